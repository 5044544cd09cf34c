//! Migrations, where rules list every key: each script runs through the proxy and past it, on a
//! database of its own, and prints what came of each step. Only what a duplicate decides is different.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::orms::DJANGO;
use super::{command, python};
use crate::support::postgres::{Database, server};
use crate::support::proxy::Proxy;
use crate::support::version::server_has;

#[test]
fn of_django() {
    if !server_has(14, DJANGO) {
        return;
    }
    compare(&python(), "with_django_migrations.py", "", DJANGO_DIFFERS);
}

#[test]
fn of_alembic() {
    for driver in ["psycopg", "psycopg2"] {
        compare(&python(), "with_alembic.py", driver, ALEMBIC_DIFFERS);
    }
}

#[test]
fn of_typeorm() {
    compare("node".as_ref(), "with_typeorm_migrations.js", "", TYPEORM_DIFFERS);
}

#[test]
fn of_sequelize() {
    compare("node".as_ref(), "with_sequelize_migrations.js", "", SEQUELIZE_DIFFERS);
}

/// What is said through the proxy, and past it.
type Differs<'a> = &'a [(&'a str, &'a str)];

/// The last two are wrong: what takes the error for an answer must not be listed.
const DJANGO_DIFFERS: Differs<'_> = &[
    ("a migration with a duplicate: done", "a migration with a duplicate: 23505"),
    ("the last applied: 0003_duplicates", "the last applied: 0002_rows"),
    ("its rows: a same; b same; c same; d same", "its rows: a same; b same; c same"),
    ("cache.add where another was first: True", "cache.add where another was first: False"),
    ("a session's key that is taken: taken again", "a session's key that is taken: another one"),
];

const ALEMBIC_DIFFERS: Differs<'_> = &[
    ("rows that are there: done", "rows that are there: 23505"),
    ("version behind it: 2", "version behind it: 1"),
    ("rows behind it: a same; b same; c same; d again", "rows behind it: a same; b same; c same"),
];

const TYPEORM_DIFFERS: Differs<'_> = &[
    ("rows that are there: done", "rows that are there: 23505"),
    (
        "version behind it: Rows1000000000002; Tables1000000000001",
        "version behind it: Tables1000000000001",
    ),
    ("rows behind it: a same; b same; c same; d again", "rows behind it: a same; b same; c same"),
];

const SEQUELIZE_DIFFERS: Differs<'_> = &[
    ("rows that are there: done", "rows that are there: 23505"),
    ("version behind it: 1-tables; 2-rows", "version behind it: 1-tables"),
    ("rows behind it: a same; b same; c same; d again", "rows behind it: a same; b same; c same"),
];

fn compare(interpreter: &Path, script: &str, driver: &str, differs: Differs<'_>) {
    let (through, past) = (Database::new(), Database::new());
    for step in ["tables", "rows"] {
        // What another proxy has made: this one has not asked for its catalog before.
        let proxy = Proxy::start(RULES);
        let run = |at, database| {
            run(&mut command(interpreter, &[], &[script, step, driver]), at, database)
        };
        let said = run(proxy.address(), &through);
        let expected = run(server().address(), &past);
        let lines = said.lines().zip(expected.lines());
        let different: Vec<_> = lines.filter(|(said, expected)| said != expected).collect();
        assert_eq!(different, if step == "rows" { differs } else { &[] }, "{script} {step}");
        assert_eq!(said.lines().count(), expected.lines().count());
    }
}

fn run(command: &mut Command, at: SocketAddr, database: &Database) -> String {
    let output = command
        .env("PGHOST", at.ip().to_string())
        .env("PGPORT", at.port().to_string())
        .env("PGUSER", "postgres")
        .env("PGDATABASE", &database.name)
        .env("PGCONNECT_TIMEOUT", "30")
        .env("SERVER_HOST", server().address().ip().to_string())
        .env("SERVER_PORT", server().address().port().to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let [said, errors] =
        [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it).into_owned());
    println!("{command:?}, {}\n{said}{errors}", output.status);
    assert!(output.status.success(), "{command:?} failed");
    said
}

const RULES: &str = r#"
[[rule]]
id = "every-key"
constraint = "*_*"
returning = "existing"
"#;
