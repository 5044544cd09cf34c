//! `pgabsorb explain` says of a statement what the proxy then does with it.

use std::fs;

use crate::check::{Said, said, url};
use crate::shell::process::{Process, command};
use crate::support::postgres::{Database, server};
use crate::support::wire::{Message, Wire, lines, startup};

const RULES: &str = "
[[rule]]
id = 'reacts'
constraint = 'reacts_pkey'
table = 'reacts'

[[rule]]
id = 'existing'
constraint = 'existing_email_key'
returning = 'existing'

[[rule]]
id = 'rewrites'
constraint = 'rewrites_pkey'
strategy = 'rewrite'

[[rule]]
id = 'observes'
constraint = 'obs*_pkey'
action = 'observe'

[[rule]]
id = 'alerts'
constraint = 'alerts_pkey'
action = 'alert'
";

const TABLES: &str = "
CREATE TABLE reacts (id int PRIMARY KEY, v text);
CREATE TABLE existing (id int GENERATED ALWAYS AS IDENTITY, email text UNIQUE);
CREATE TABLE rewrites (id int PRIMARY KEY);
CREATE TABLE observes (id int PRIMARY KEY);
CREATE TABLE alerts (id int PRIMARY KEY);
CREATE TABLE other (id int PRIMARY KEY);
INSERT INTO reacts VALUES (1); INSERT INTO existing (email) VALUES ('a');
INSERT INTO rewrites VALUES (1); INSERT INTO observes VALUES (1); INSERT INTO alerts VALUES (1);
INSERT INTO other VALUES (1)";

fn explain(rules: &str, statement: &str, database: Option<&str>) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("rules.toml");
    fs::write(&config, format!("[proxy]\nupstream = '127.0.0.1:5432'\n{rules}")).unwrap();
    let mut command = command();
    command.args(["explain", "--config"]).arg(&config);
    if let Some(url) = database {
        command.args(["--database", url]);
    }
    said(command.arg(statement))
}

/// What `explain` says of one place, up to the first space or colon.
fn word<'a>(told: &'a str, place: &str) -> &'a str {
    let mut lines = told.lines().filter(|line| line.starts_with("    ") && line.contains(place));
    let line = lines.next().unwrap_or_else(|| panic!("{place} in\n{told}"));
    let fates = ["absorbed", "rewritten", "shown", "observed", "alert"];
    let found = fates.into_iter().filter_map(|fate| Some((line.find(&format!(": {fate}"))?, fate)));
    let (at, fate) = found.min().unwrap_or_else(|| panic!("{line}"));
    line.get(at + 2..at + 2 + fate.len()).unwrap()
}

/// What the proxy does: as its answer and its log tell.
fn done(reply: &[Message], log: &str) -> &'static str {
    let shown = lines(reply).contains("C23505");
    let outcome = |word: &str| log.contains(&format!(r#""outcome":"{word}""#));
    match shown {
        false if log.contains(r#""strategy":"rewrite""#) => "rewritten",
        false if outcome("absorbed") => "absorbed",
        true if outcome("observed") => "observed",
        true if outcome("alert") => "alert",
        true if outcome("shown") => "shown",
        _ => panic!("{}\n{log}", lines(reply)),
    }
}

#[test]
fn the_proxy_does_what_is_said_of_it() {
    let database = Database::new();
    database.sql(TABLES);
    let url = url(&database, "postgres");
    for statement in [
        "INSERT INTO reacts VALUES (1)",
        "INSERT INTO reacts VALUES (1), (2)",
        "INSERT INTO reacts VALUES (1) RETURNING id",
        "INSERT INTO public.reacts SELECT 1",
        "INSERT INTO existing (email) VALUES ('a') RETURNING id",
        "INSERT INTO rewrites VALUES (1)",
        "INSERT INTO observes VALUES (1)",
        "INSERT INTO alerts VALUES (1)",
    ] {
        let told = explain(RULES, statement, Some(&url));
        assert_eq!(told.code, Some(0), "{}", told.err);
        for (place, before, query) in [
            ("alone", "", statement.to_owned()),
            ("inside BEGIN", "BEGIN", statement.to_owned()),
            ("outside BEGIN, with others", "", format!("SELECT 1; {statement}")),
        ] {
            let proxy = Process::start(RULES, &server().address().to_string());
            let packet = startup(&[("database", &database.name)]);
            let mut wire = Wire::connect(proxy.address(), &packet);
            if !before.is_empty() {
                wire.query(before);
            }
            let reply = wire.query(&query);
            proxy.output.wait_for(r#""event":"conflict""#, 1);
            let done = done(&reply, &proxy.output.text());
            assert_eq!(word(&told.out, place), done, "{place}: {statement}\n{}", told.out);
            wire.query("ROLLBACK; DELETE FROM reacts WHERE id > 1");
        }
    }
}

#[test]
fn without_a_database_it_says_what_it_assumes() {
    let told = explain(RULES, "INSERT INTO reacts (id) VALUES (1), (2)", None).out;
    let redo =
        "INSERT INTO reacts (id) VALUES (1), (2) ON CONFLICT ON CONSTRAINT reacts_pkey DO NOTHING";
    assert!(told.contains(redo) && told.contains("assumed, without --database"), "{told}");
    assert!(told.contains("rule \"observes\"") && told.contains("--database tells"), "{told}");
    let told = explain(RULES, "INSERT INTO rewrites VALUES (1)", None).out;
    assert!(told.contains("ON CONFLICT (<key>) WHERE"), "{told}");
    assert!(told.contains("<key> stands for its columns"), "{told}");
}

#[test]
fn what_no_rule_or_no_one_can_absorb_is_said_with_its_reason() {
    let rules = "[[rule]]\nid = 'r'\nconstraint = 'reacts_pkey'\ntable = 'reacts'\n";
    for (statement, reason) in [
        ("INSERT INTO other VALUES (1)", "shown, not_listed"),
        ("UPDATE reacts SET id = 1", "shown, not_insert"),
        ("INSERT INTO reacts VALUES ('a", "shown, unclassified"),
        ("INSERT INTO reacts VALUES (1) ON CONFLICT DO NOTHING", "shown, own_on_conflict"),
    ] {
        let told = explain(rules, statement, None);
        assert!(told.out.contains(reason), "{statement}\n{}{}", told.out, told.err);
        assert_eq!(told.code, Some(0));
    }
    let told = explain("[[rule]]\nid = 'r'\n", "INSERT INTO reacts VALUES (1)", None);
    assert!(told.code == Some(1) && told.err.contains("constraint is missing"), "{}", told.err);
}

#[test]
fn a_rule_for_some_clients_is_not_passed_over() {
    let rules = "[[rule]]\nid = 'r'\nconstraint = 'reacts_pkey'\ntable = 'reacts'\nusers = 'app'\n";
    let told = explain(rules, "INSERT INTO reacts VALUES (1)", None).out;
    assert!(told.contains("rule \"r\" (--user says") && !told.contains("not_listed"), "{told}");
}

/// As the role that connects has it.
#[test]
fn strings_are_read_as_the_server_reads_them() {
    let database = Database::new();
    database.sql(TABLES);
    let role = format!("backslashes_{}", database.name);
    database.sql(&format!(
        "CREATE ROLE {role} LOGIN; ALTER ROLE {role} SET standard_conforming_strings = off;
         GRANT ALL ON reacts TO {role}"
    ));
    let statement = r"INSERT INTO reacts VALUES (1, 'a\'; b')";
    let told = explain(RULES, statement, Some(&url(&database, &role))).out;
    assert_eq!(word(&told, "alone"), "absorbed", "{told}");
    let told = explain(RULES, statement, Some(&url(&database, "postgres"))).out;
    assert!(told.contains("unclassified"), "{told}");
    database.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn nothing_is_run() {
    let database = Database::new();
    database.sql(TABLES);
    let url = url(&database, "postgres");
    explain(RULES, "INSERT INTO reacts VALUES (2)", Some(&url));
    assert!(database.sql("SELECT count(*) FROM reacts").contains("\\x011"));
}
