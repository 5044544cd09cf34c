//! A load of many rows in one pipeline: each message takes as long as the one before it, and with
//! `strategy = "rewrite"` the good rows are stored.

use crate::support::postgres::Database;
use crate::support::proxy::Proxy;
use crate::support::wire::{self, Wire, lines, startup};

/// So many that anything done for each message about all that were sent before it takes minutes.
const ROWS: usize = 100_000;

/// Every so many rows one is a duplicate.
const EVERY: usize = 10;

#[test]
fn a_long_pipeline_goes_through_where_a_rule_reacts() {
    load("react", |number| number, ROWS);
}

#[test]
fn a_long_pipeline_keeps_its_good_rows_where_a_rule_rewrites() {
    load("rewrite", |number| number - number % EVERY / (EVERY - 1), ROWS - ROWS / EVERY);
}

/// Loads rows with these keys, outside a transaction block, and sees how many are stored.
fn load(strategy: &str, key: impl Fn(usize) -> usize, expected: usize) {
    let database = Database::new();
    database.sql("CREATE TABLE loads (key int PRIMARY KEY)");
    let rule = "[[rule]]\nid = \"loads\"\nconstraint = \"loads_pkey\"\n";
    let proxy = Proxy::start(&format!("{rule}strategy = \"{strategy}\"\n"));
    let mut client = Wire::connect(proxy.address(), &startup(&[("database", &database.name)]));
    client.send(&wire::parse("load", "INSERT INTO loads VALUES ($1)"));
    for number in 0..ROWS {
        let bind = wire::bind("", "load", &[&key(number).to_string()]);
        client.send(&[bind, wire::execute("", 0)].concat());
    }
    client.send(&wire::sync());
    let replies = client.until(b'Z', 1);
    assert_eq!(replies.len(), 1 + 2 * ROWS + 1, "{}", lines(&replies[replies.len() - 2..]));
    let stored = database.sql("SELECT 'rows: ' || count(*) FROM loads");
    assert!(stored.contains(&format!("rows: {expected}\"")), "{stored}");
}
