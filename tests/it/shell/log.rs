//! The line that every duplicate key leaves in the log.

use std::fs;

use serde_json::Value;

use super::{Process, has, proxy, session};
use crate::support::postgres::{Database, server};
use crate::support::wait_until;
use crate::support::wire::{Wire, pbe, query, startup, sync};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, mail text); INSERT INTO t VALUES (1)";
const RULE: &str = "[[rule]]\nid = 'the-t'\nconstraint = 't_pkey'\naction = 'absorb'\n";

/// A proxy with the rule, and these settings ahead of it.
fn logging(settings: &str) -> Process {
    proxy(&format!("{settings}\n{RULE}"))
}

fn conflicts(proxy: &Process, count: usize) -> Vec<Value> {
    let lines = proxy.output.wait_for(r#""event":"conflict""#, count);
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_conflict_is_one_line_that_says_all_but_the_key() {
    let (database, proxy) = (Database::new(), logging(""));
    database.sql(TABLE);
    let parameters = [("database", &*database.name), ("application_name", "hook")];
    let mut wire = Wire::open(proxy.address());
    wire.send(&startup(&parameters));
    let welcome = wire.until(b'Z', 1);
    let key = &welcome.iter().find(|message| message.tag == b'K').unwrap().body;
    let pid = i32::from_be_bytes(key[..4].try_into().unwrap());
    assert!(has(&wire.query("INSERT INTO t VALUES (1, 'a@b')"), "INSERT 0 0"));

    let line = &conflicts(&proxy, 1)[0];
    let expected = [
        ("level", "info"),
        ("event", "conflict"),
        ("outcome", "absorbed"),
        ("strategy", "react"),
        ("rule", "the-t"),
        ("constraint", "t_pkey"),
        ("schema", "public"),
        ("table", "t"),
        ("columns", "id"),
        ("database", &database.name),
        ("user", "postgres"),
        ("application_name", "hook"),
        ("transaction_status", "idle"),
    ];
    for (field, value) in expected {
        assert_eq!(line[field], value, "{field} in {line}");
    }
    assert_eq!(line["backend_pid"], pid);
    assert_eq!((&line["rows_requested"], &line["rows_inserted"]), (&1.into(), &0.into()));
    assert!(line["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    assert!(line["session"].is_u64() && line["statement"].is_string(), "{line}");
    assert_eq!(line["fingerprint"].as_str().unwrap().len(), 16);
    assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    assert!(line.get("key").is_none() && line.get("reason").is_none(), "{line}");
    assert!(!line.to_string().contains("a@b"), "{line}");
}

#[test]
fn a_duplicate_that_is_shown_says_why() {
    let (database, proxy) = (Database::new(), logging(""));
    database.sql(TABLE);
    let mut wire = session(&proxy, &database);
    wire.query("BEGIN");
    assert!(has(&wire.query("UPDATE t SET id = 1; INSERT INTO t VALUES (2), (1)"), "INSERT 0 1"));
    assert!(has(&wire.query("UPDATE t SET id = 1"), "C23505"));
    let [absorbed, line] = &conflicts(&proxy, 2)[..] else { panic!("two conflicts") };
    assert_eq!((&absorbed["outcome"], &absorbed["rows_inserted"]), (&"absorbed".into(), &1.into()));
    assert_eq!(line["outcome"], "shown");
    assert_eq!(line["reason"], "not_insert");
    assert_eq!(line["transaction_status"], "transaction");
    assert!(line.get("strategy").is_none(), "{line}");
}

#[test]
fn statements_of_one_shape_have_one_fingerprint_and_others_another() {
    let (database, proxy) = (Database::new(), logging(""));
    database.sql(TABLE);
    let mut wire = session(&proxy, &database);
    for sql in [
        "INSERT INTO t VALUES (1, 'one')",
        "insert  into t\nvalues (1, 'another') -- comment",
        "INSERT INTO t (id) VALUES (1)",
    ] {
        assert!(has(&wire.query(sql), "INSERT 0 0"));
    }
    let lines = conflicts(&proxy, 3);
    assert_eq!(lines[0]["fingerprint"], lines[1]["fingerprint"]);
    assert_ne!(lines[0]["fingerprint"], lines[2]["fingerprint"]);
}

#[test]
fn the_key_is_hidden_hashed_or_shown_as_the_rules_file_says() {
    let database = Database::new();
    database.sql(TABLE);
    database.sql("INSERT INTO t VALUES (2)");
    let keys = |setting: &str| -> Vec<Value> {
        let proxy = logging(&format!("log.key_values = '{setting}'"));
        let mut wire = session(&proxy, &database);
        for id in [1, 2, 1] {
            wire.query(&format!("INSERT INTO t VALUES ({id})"));
        }
        conflicts(&proxy, 3).iter().map(|line| line["key"].clone()).collect()
    };
    assert_eq!(keys("hide"), [Value::Null, Value::Null, Value::Null]);
    let hashed = keys("hash");
    assert!(hashed[0] == hashed[2] && hashed[0] != hashed[1], "{hashed:?}");
    assert!(hashed[0].is_string() && !hashed[0].to_string().contains("id"), "{hashed:?}");
    assert!(keys("show")[1].as_str().unwrap().contains("(id)=(2)"));
}

#[test]
fn what_a_rewritten_statement_left_out_is_told_as_the_server_would() {
    let database = Database::new();
    database.sql("CREATE TABLE t (a int, b text, c text, CONSTRAINT t_pkey PRIMARY KEY (b, a))");
    database.sql("INSERT INTO t VALUES (-1, 'x y')");
    let keys = |rule: &str| -> Vec<Value> {
        let proxy = proxy(&format!("log.key_values = 'show'\n{RULE}{rule}"));
        let mut wire = session(&proxy, &database);
        for text in [
            "INSERT INTO t VALUES (-1, 'x y', f)",
            "INSERT INTO t (c, b, a) VALUES (NULL, 'x y'::text, '-1'), (1, 'z', 1)",
            "INSERT INTO t (b, a) VALUES ('x' || ' y', -1)",
        ] {
            wire.query(&text.replace('f', "'z'"));
        }
        wire.send(
            &[pbe("INSERT INTO t (b, a) VALUES ($1, $2::int)", &["x y", "-1"]), sync()].concat(),
        );
        wire.until(b'Z', 1);
        let lines = conflicts(&proxy, 4);
        let strategy = if rule.is_empty() { "react" } else { "rewrite" };
        assert!(lines.iter().all(|line| line["strategy"] == strategy), "{lines:?}");
        database.sql("DELETE FROM t WHERE b = 'z'");
        let told = ["rows_requested", "rows_inserted", "fingerprint"];
        let several = told.map(|field| lines[1][field].clone());
        assert_eq!(several[..2], [2, 1]);
        lines.iter().map(|line| line["key"].clone()).collect()
    };
    let (said, read) = (keys(""), keys("strategy = 'rewrite'"));
    assert_eq!((&said[0], &said[3]), (&read[0], &read[3]));
    // Which of several rows it was, and what an expression gives, only the server knows.
    assert_eq!((&read[1], &read[2]), (&Value::Null, &Value::Null));
}

/// Quotes, a line's end, a byte that starts a command to the terminal, and letters.
const EVIL: &str = "we\"ird\n\x1b[31m\u{202e}ü";

fn evil_conflict(proxy: &Process, database: &Database) {
    let quoted = EVIL.replace('"', "\"\"");
    database.sql(&format!(
        "CREATE TABLE \"{quoted}t\" (\"{quoted}\" int CONSTRAINT \"{quoted}\" PRIMARY KEY);
         INSERT INTO \"{quoted}t\" VALUES (1)"
    ));
    let parameters = [("database", &*database.name), ("client_encoding", "utf8")];
    let mut wire = Wire::connect(proxy.address(), &startup(&parameters));
    assert!(has(&wire.query(&format!("INSERT INTO \"{quoted}t\" VALUES (1)")), "C23505"));
}

#[test]
fn names_cannot_forge_a_line_of_json() {
    let (database, proxy) = (Database::new(), logging("log.key_values = 'show'"));
    evil_conflict(&proxy, &database);
    let line = &conflicts(&proxy, 1)[0];
    assert_eq!(line["constraint"], EVIL);
    assert_eq!(line["table"], format!("{EVIL}t"));
    let raw = &proxy.output.wait_for("conflict", 1)[0];
    assert!(!raw.chars().any(char::is_control), "{}", raw.escape_debug());
}

#[test]
fn names_cannot_forge_a_line_of_text() {
    let (database, proxy) =
        (Database::new(), logging("log = { format = 'text', key_values = 'show' }"));
    evil_conflict(&proxy, &database);
    let raw = &proxy.output.wait_for("conflict", 1)[0];
    assert!(raw.contains(r#"constraint="we\"ird\n\u{1b}[31m"#), "{}", raw.escape_debug());
    assert!(!raw.chars().any(char::is_control), "{}", raw.escape_debug());
    assert!(raw.contains(" INFO conflict outcome=\"shown\" reason=\"not_listed\""), "{raw}");
}

#[test]
fn a_log_file_is_appended_to_and_complete_when_the_program_ends() {
    let database = Database::new();
    database.sql(TABLE);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "what was there\n").unwrap();
    let mut proxy = logging(&format!("log.file = '{}'", file.path().display()));
    let mut wire = session(&proxy, &database);
    wire.query("INSERT INTO t VALUES (1)");
    proxy.signal("TERM");
    drop(wire);
    assert!(proxy.exit().success());
    let text = fs::read_to_string(file.path()).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    assert_eq!(first, "what was there");
    assert_eq!(rest.matches("\"event\":\"conflict\"").count(), 1, "{rest}");
    assert_eq!(proxy.output.text(), "");
}

#[test]
fn a_reader_of_the_log_who_does_not_read_holds_up_no_session() {
    let database = Database::new();
    database.sql(TABLE);
    let rules = format!("proxy.upstream = '{}'\n{RULE}", server().address());
    let directory = tempfile::tempdir().unwrap();
    let (config, ready) = (directory.path().join("rules.toml"), directory.path().join("ready"));
    fs::write(&config, rules).unwrap();
    // Standard output is a pipe that nobody reads.
    let mut child = super::process::command()
        .args(["run", "--listen", "127.0.0.1:0", "--config"])
        .arg(&config)
        .stderr(fs::File::create(&ready).unwrap())
        .spawn()
        .unwrap();
    let said = || fs::read_to_string(&ready).unwrap();
    wait_until("the proxy is ready", || said().contains("forwarding"));
    let said = said();
    let address = said.split_once("listening on ").unwrap().1.split_once(',').unwrap().0;
    let mut wire =
        Wire::connect(address.parse().unwrap(), &startup(&[("database", &database.name)]));
    for _ in 0..10 {
        wire.send(&query("INSERT INTO t VALUES (1)").repeat(100));
        assert_eq!(wire.until(b'Z', 100).iter().filter(|it| it.tag == b'C').count(), 100);
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
