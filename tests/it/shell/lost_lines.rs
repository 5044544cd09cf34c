//! A log that nobody reads holds up no session, and it is known how many lines it has lost.

use std::io::{BufRead, BufReader};
use std::thread;

use serde_json::Value;

use super::admin::ADMIN;
use super::metrics::Numbers;
use super::process::Process;
use super::session;
use crate::support::postgres::{Database, server};

const RULE: &str = "[[rule]]\nid = 'the-t'\nconstraint = 't_pkey'\n";

/// More than the queue holds and the pipe takes.
const EACH: u64 = 3000;
const SESSIONS: u64 = 4;

#[test]
fn sessions_go_on_while_nobody_reads_the_log_and_what_it_has_lost_is_counted() {
    let database = Database::new();
    database.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let upstream = server().address().to_string();
    let (reader, writer) = std::io::pipe().unwrap();
    let proxy = Process::run(&format!("{ADMIN}{RULE}"), |command| {
        command.args(["--listen", "127.0.0.1:0", "--upstream", &upstream]).stdout(writer);
    });
    thread::scope(|scope| {
        for _ in 0..SESSIONS {
            scope.spawn(|| {
                let mut wire = session(&proxy, &database);
                for _ in 0..EACH {
                    assert!(super::has(&wire.query("INSERT INTO t VALUES (1)"), "INSERT 0 0"));
                }
            });
        }
    });
    let dropped = |proxy: &Process| Numbers::read(proxy).of("pgabsorb_log_lines_dropped_total");
    let (lost, all) = (dropped(&proxy), SESSIONS * EACH);
    assert!((1..all).contains(&lost), "{lost}");

    let mut lines: Vec<Value> = Vec::new();
    for line in BufReader::new(reader).lines() {
        lines.push(serde_json::from_str(&line.unwrap()).unwrap());
        if lines.last().unwrap()["event"] != "conflict" {
            break;
        }
    }
    let (told, written) = lines.split_last().unwrap();
    assert!(told["event"].as_str().unwrap().starts_with("log lines were dropped"), "{told}");
    assert_eq!(told["lines"], lost);
    assert_eq!(written.len() as u64 + lost, all);
    assert_eq!(dropped(&proxy), lost);
}
