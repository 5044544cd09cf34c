//! Which databases are looked at, and what is said where that fails.

use pgabsorb::cli::throwaway::{Options, Throwaway};

use super::{check, rule, run, url};
use crate::support::postgres::{Database, server};
use crate::support::wire::{Wire, startup};

#[test]
fn a_rule_is_checked_in_its_own_databases() {
    let [one, two] = [Database::new(), Database::new()];
    one.sql("CREATE TABLE a (id int PRIMARY KEY)");
    two.sql("CREATE TABLE b (id int PRIMARY KEY)");
    let mine = format!("databases = ['{}', 'x']", one.name);
    let rules = [
        rule("mine", "a_pkey", &mine),
        rule("any", "b_pkey", ""),
        rule("nowhere", "c_pkey", "databases = 'shop_*'"),
    ];
    let said = check(&rules.concat(), &[url(&one, "postgres"), url(&two, "postgres")]);
    assert_eq!((said.code, &*said.err), (Some(0), ""), "{}", said.out);
    let (first, second) = said.out.split_once(&format!("database {}", two.name)).unwrap();
    assert!(first.contains(&format!("database {} as postgres, PostgreSQL ", one.name)), "{first}");
    assert!(first.contains("rule \"mine\"\n  public.a: primary key a_pkey (id)\n"), "{first}");
    assert!(first.contains("  note: no unique constraint or unique index b_pkey in"), "{first}");
    let elsewhere = format!("rule \"mine\"\n  not checked here: it is for {} or x\n", one.name);
    assert!(second.contains(&elsewhere), "{second}");
    assert!(second.contains("rule \"any\"\n  public.b: primary key b_pkey (id)\n"), "{second}");
    assert!(
        second.contains("rule \"nowhere\"\n  not checked here: it is for shop_*\n"),
        "{second}"
    );
    assert!(second.ends_with(
        "\nrule \"nowhere\" was checked nowhere: give --database once more, for one of its own\n"
    ));
}

#[test]
fn the_environment_may_name_the_database() {
    let database = Database::new();
    let said = run(&rule("r", "t_pkey", ""), |command| {
        command.env("PGABSORB_DATABASE", url(&database, "postgres"));
    });
    assert_eq!(said.code, Some(1), "{}", said.out);
    said.line("r", "error: no unique constraint or unique index t_pkey in this database");
}

#[test]
fn nothing_is_changed_or_left_behind() {
    let database = Database::new();
    database.sql("CREATE TABLE t (id serial PRIMARY KEY); INSERT INTO t VALUES (5)");
    let looks = "SELECT last_value, is_called FROM t_id_seq; SELECT * FROM t";
    let before = database.sql(looks);
    check(&rule("r", "t_pkey", "strategy = 'rewrite'"), &[url(&database, "postgres")]);
    assert_eq!(database.sql(looks), before);
}

#[test]
fn a_table_that_is_locked_is_not_waited_for_long() {
    let database = Database::new();
    database.sql("CREATE TABLE t (id serial PRIMARY KEY)");
    let parameters = [("database", &*database.name)];
    let mut wire = Wire::connect(server().address(), &startup(&parameters));
    wire.query("BEGIN; LOCK TABLE t");
    let said = check(&rule("r", "t_pkey", ""), &[url(&database, "postgres")]);
    assert_eq!(said.code, Some(1), "{}", said.out);
    let told = "cannot read the indexes and constraints of the database: db error: ERROR: canceling \
                statement due to lock timeout";
    assert!(said.err.contains(told), "{}", said.err);
}

#[test]
fn a_database_that_cannot_be_reached_is_named_with_the_reason() {
    let address = server().address();
    let nowhere = format!("postgresql://nobody@{address}/nowhere");
    for (url, told) in [
        (
            "postgresql://me:secret@127.0.0.1:1/shop",
            "cannot connect to database shop on 127.0.0.1:1 as me: error connecting to server: \
             Connection refused",
        ),
        (&nowhere, "role \"nobody\" does not exist"),
        (
            "nonsense",
            "the database has to be told as postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
        ),
        ("user=me dbname=shop port=1", "cannot connect to database shop on no host as me: "),
        (
            "postgresql://me@h/shop?sslmode=verify-full",
            "sslmode=verify-full needs sslrootcert=FILE",
        ),
    ] {
        let said = check(&rule("r", "t_pkey", ""), &[url.to_owned()]);
        assert_eq!(said.code, Some(1), "{}", said.out);
        assert!(said.err.starts_with("pgabsorb: ") && said.err.contains(told), "{}", said.err);
        assert!(!said.err.contains("secret"), "{}", said.err);
    }
}

#[test]
fn a_wrong_password_is_told_and_the_right_one_may_come_from_the_environment() {
    let options = Options::default()
        .hba("host all asked 127.0.0.1/32 scram-sha-256")
        .setting("password_encryption", "scram-sha-256");
    let server = Throwaway::start(&options).unwrap();
    let mut wire = Wire::connect(server.address(), &startup(&[]));
    wire.query("CREATE ROLE asked LOGIN PASSWORD 'right'");
    wire.query("CREATE TABLE t (id int PRIMARY KEY)");
    let url = |user: &str| format!("postgresql://{user}@{}/postgres", server.address());
    let rules = rule("r", "t_pkey", "");
    let said = check(&rules, &[url("asked:wrong")]);
    assert_eq!(said.code, Some(1), "{}", said.out);
    let told = "as asked: db error: FATAL: password authentication failed for user \"asked\"";
    assert!(said.err.contains(told), "{}", said.err);
    let said = run(&rules, |command| {
        command.args(["--database", &url("asked")]).env("PGPASSWORD", "right");
    });
    assert_eq!((said.code, &*said.err), (Some(0), ""), "{}", said.out);
}
