//! What each ORM makes of a duplicate, by the rule: with none, with the default, and with
//! `returning = "existing"`; and that it is the same with either strategy. An ORM that says success and
//! has an object of no row is what `docs/orms.md` has to warn of, and its table is what the scripts
//! printed.

use std::array;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use super::orms::{DJANGO, SCHEMA, hibernate_path, java};
use super::table::Table;
use super::{command, python};
use crate::support::postgres::{Database, server};
use crate::support::proxy::Proxy;
use crate::support::version::server_has;

#[test]
fn by_django() {
    if !server_has(14, DJANGO) {
        return;
    }
    told("Django", true, python(), &[], "told_by_django.py");
    told("Django, `python -O`", true, python(), &["-O"], "told_by_django.py");
}

#[test]
fn by_sqlalchemy() {
    told("SQLAlchemy", true, python(), &[], "told_by_sqlalchemy.py");
}

#[test]
fn by_activerecord() {
    told("ActiveRecord", false, "ruby", &[], "told_by_activerecord.rb");
}

#[test]
fn by_sequelize() {
    told("Sequelize", true, "node", &[], "told_by_sequelize.js");
}

#[test]
fn by_typeorm() {
    told("TypeORM", true, "node", &[], "told_by_typeorm.js");
}

#[test]
fn by_prisma() {
    told("Prisma", true, "node", &[], "told_by_prisma.js");
}

#[test]
fn by_knex() {
    told("Knex", true, "node", &[], "told_by_knex.js");
}

#[test]
fn by_hibernate() {
    told("Hibernate", false, "java", &java(&hibernate_path()), "told_by_hibernate.java");
}

#[test]
fn the_page_has_two_rows_for_each_orm() {
    let rows = ORMS.iter().flat_map(|orm| RETURNING.map(|returning| name(orm, returning)));
    assert_eq!(TABLE.names(), rows.collect::<Vec<_>>());
}

/// Runs a script, and holds the page's rows against what it printed.
fn told(orm: &str, pinned: bool, interpreter: impl AsRef<Path>, options: &[&str], script: &str) {
    let databases: [_; 5] = array::from_fn(|_| Database::new());
    for database in &databases {
        database.sql(SCHEMA);
    }
    let names = databases.each_ref().map(|it| it.name.as_str());
    let proxy = Proxy::start(&rules(&names));
    let output = command(interpreter, options, &[script])
        .env("PGHOST", proxy.address().ip().to_string())
        .env("PGPORT", proxy.address().port().to_string())
        .env("PGUSER", "postgres")
        .env("PGCONNECT_TIMEOUT", "30")
        .env("SERVER_HOST", server().address().ip().to_string())
        .env("SERVER_PORT", server().address().port().to_string())
        .env("TOLD", names.join(" "))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let [printed, errors] =
        [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it).into_owned());
    println!("{script}, {}\n{printed}{errors}", output.status);
    assert!(output.status.success(), "{script} failed");
    proxy.log_lines("\"strategy\":\"rewrite\"", 3);

    let (version, [none, said @ ..]) = read(&printed, &names);
    assert_eq!(none, ["23505", "", "23505", "23505", "23505"], "without a rule");
    for (row, returning) in RETURNING.into_iter().enumerate() {
        assert_eq!(said[row], said[row + RETURNING.len()], "react and rewrite, {returning}");
        let cells = said[row].join(" | ");
        TABLE.holds(&format!("| {} | {version} | {cells} |", name(orm, returning)), pinned);
    }
}

/// The ORM's version, and of each database what was said.
fn read<'a>(printed: &'a str, databases: &[&str; 5]) -> (&'a str, [[&'a str; 5]; 5]) {
    let mut lines = printed.lines();
    let version = lines.next().and_then(|line| line.strip_prefix("orm ")).expect("its version");
    let said: BTreeMap<_, _> =
        lines.map(|line| line.split_once(": ").expect("NAME: what")).collect();
    let of = |database: &&str| {
        WHAT.map(|what| *said.get(format!("{database} {what}").as_str()).expect("a line for each"))
    };
    (version, databases.each_ref().map(of))
}

fn name(orm: &str, returning: &str) -> String {
    format!("{orm}, {returning}")
}

/// The first database has none. Those of the next two react, and those of the last two rewrite.
fn rules([_, databases @ ..]: &[&str; 5]) -> String {
    let rule = |(number, database): (usize, &&str)| {
        let returning = RETURNING[number % RETURNING.len()];
        let strategy = ["react", "rewrite"][number / RETURNING.len()];
        ["customers_email_key", "countries_pkey"].map(|constraint| {
            format!(
                "[[rule]]\nid = \"{constraint}-{number}\"\nconstraint = \"{constraint}\"\n\
                 databases = \"{database}\"\nreturning = \"{returning}\"\n\
                 strategy = \"{strategy}\"\n"
            )
        })
    };
    databases.iter().enumerate().flat_map(rule).collect()
}

/// What a script does, in the order of the columns.
const WHAT: [&str; 5] = ["one", "update", "several", "own", "natural"];

const RETURNING: [&str; 2] = ["empty", "existing"];

const TABLE: Table = Table { page: "orms.md", head: "| ORM, rule |" };

/// The ORMs, in the order of the page.
const ORMS: [&str; 9] = [
    "Django",
    "Django, `python -O`",
    "SQLAlchemy",
    "ActiveRecord",
    "Sequelize",
    "TypeORM",
    "Prisma",
    "Knex",
    "Hibernate",
];
