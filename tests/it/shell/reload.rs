//! SIGHUP: the rules file is read anew.

use super::process::Process;
use super::{has, proxy, session};
use crate::support::postgres::Database;
use crate::support::wire::{Wire, bind, close, execute, parse, sync};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)";
const RULE: &str = "[[rule]]\nid = 't'\nconstraint = 't_pkey'\n";
const DUPLICATE: &str = "INSERT INTO t VALUES (1)";

/// Gives the proxy another rules file, for the nth time.
fn reload(proxy: &Process, rules: &str, nth: usize) {
    proxy.write_rules(rules);
    proxy.signal("HUP");
    proxy.output.wait_for(r#""event":"rules reloaded""#, nth);
}

fn absorbs(wire: &mut Wire) -> bool {
    let reply = wire.query(DUPLICATE);
    assert!(has(&reply, "INSERT 0 0") || has(&reply, "C23505"));
    has(&reply, "INSERT 0 0")
}

#[test]
fn sessions_go_by_the_new_rules_from_their_next_transaction_on() {
    let (database, proxy) = (Database::new(), proxy(""));
    database.sql(TABLE);
    let (mut idle, mut busy) = (session(&proxy, &database), session(&proxy, &database));
    assert!(!absorbs(&mut idle));
    busy.query("BEGIN");
    reload(&proxy, RULE, 1);
    assert!(absorbs(&mut idle) && absorbs(&mut session(&proxy, &database)));
    assert!(!absorbs(&mut busy), "inside a transaction that began before");
    busy.query("ROLLBACK");
    assert!(absorbs(&mut busy));
    let line = proxy.output.wait_for("rules reloaded", 1);
    assert!(line[0].contains(r#""generation":2,"rules":1"#), "{line:?}");
    reload(&proxy, "", 2);
    assert!(!absorbs(&mut idle) && !absorbs(&mut busy));
}

#[test]
fn a_statement_that_was_rewritten_is_the_clients_own_again() {
    let (database, proxy) = (Database::new(), proxy(&format!("{RULE}strategy = 'rewrite'")));
    database.sql(TABLE);
    let mut wire = session(&proxy, &database);
    wire.send(&[parse("s", DUPLICATE), bind("", "s", &[]), execute("", 0), sync()].concat());
    assert!(has(&wire.until(b'Z', 1), "INSERT 0 0"));
    let prepared = "SELECT statement FROM pg_prepared_statements";
    assert!(has(&wire.query(prepared), "DO NOTHING"));
    reload(&proxy, "", 1);
    wire.send(&[bind("", "s", &[]), execute("", 0), sync()].concat());
    assert!(has(&wire.until(b'Z', 1), "C23505"));
    assert!(!has(&wire.query(prepared), "DO NOTHING"));
}

#[test]
fn what_a_name_stood_for_before_there_were_no_rules_is_forgotten() {
    let (database, proxy) = (Database::new(), proxy(RULE));
    database.sql(TABLE);
    let mut wire = session(&proxy, &database);
    wire.send(&[parse("s", "INSERT INTO t VALUES (1), (2)"), sync()].concat());
    wire.until(b'Z', 1);
    reload(&proxy, "", 1);
    let another = parse("s", "INSERT INTO t VALUES (1), (3)");
    wire.send(&[close(b'S', "s"), another, sync()].concat());
    wire.until(b'Z', 1);
    reload(&proxy, RULE, 2);
    wire.send(&[bind("", "s", &[]), execute("", 0), sync()].concat());
    assert!(has(&wire.until(b'Z', 1), "C23505"), "what is not known is shown");
    let others = database.sql("SELECT FROM t WHERE id <> 1");
    assert!(others.contains("SELECT 0"), "{others}");
}

#[test]
fn one_line_stops_all_rules() {
    let (database, proxy) = (Database::new(), proxy(RULE));
    database.sql(TABLE);
    let mut wire = session(&proxy, &database);
    assert!(absorbs(&mut wire));
    reload(&proxy, &format!("[defaults]\naction = 'observe'\n{RULE}"), 1);
    assert!(!absorbs(&mut wire));
    proxy.output.wait_for(r#""outcome":"observed""#, 1);
}

#[test]
fn a_rule_only_observes_past_its_last_day() {
    let (database, proxy) = (Database::new(), proxy(&format!("{RULE}expires = 2999-12-31")));
    database.sql(TABLE);
    let mut wire = session(&proxy, &database);
    assert!(absorbs(&mut wire));
    reload(&proxy, &format!("{RULE}expires = 2020-02-29"), 1);
    assert!(!absorbs(&mut wire));
    proxy.output.wait_for(r#""outcome":"observed""#, 1);
    let line = proxy.output.wait_for("rule expired", 1);
    assert!(line[0].contains(r#""rule":"t","expires":"2020-02-29""#), "{line:?}");
}

#[test]
fn a_rule_only_observes_beyond_its_limit() {
    let (database, proxy) = (Database::new(), proxy(&format!("{RULE}max_absorbed_per_minute = 0")));
    database.sql(TABLE);
    let mut wire = session(&proxy, &database);
    assert!(absorbs(&mut wire), "what trips it");
    let line = proxy.output.wait_for("rule over its limit", 1);
    assert!(line[0].contains(r#""level":"error""#) && line[0].contains(r#""limit":0"#), "{line:?}");
    // The minute may end in between, and let one more through.
    while absorbs(&mut wire) {}
    proxy.output.wait_for(r#""outcome":"observed""#, 1);
}

#[test]
fn a_signal_right_behind_the_ready_line_is_heard() {
    for _ in 0..20 {
        let proxy = proxy("");
        proxy.signal("HUP");
        proxy.output.wait_for("rules reloaded", 1);
    }
}

#[test]
fn a_file_with_a_mistake_changes_nothing() {
    let (database, proxy) = (Database::new(), proxy(RULE));
    database.sql(TABLE);
    let mut wire = session(&proxy, &database);
    proxy.write_rules(&format!("{RULE}strategy = 'rewirte'"));
    proxy.signal("HUP");
    let line = proxy.output.wait_for("rules not reloaded", 1);
    assert!(
        line[0].contains(r#""level":"error""#) && line[0].contains("rules.toml:4:12"),
        "{line:?}"
    );
    assert!(absorbs(&mut wire));
}

#[test]
fn what_takes_a_restart_is_said() {
    let proxy = proxy("");
    proxy.write_rules("[limits]\nconnections = 7\n");
    proxy.signal("HUP");
    let line = proxy.output.wait_for("they take a restart", 1);
    assert!(line[0].contains(r#""level":"warn""#), "{line:?}");
}
