//! SIGINT, at which everything ends at once; what SIGTERM does is in `draining`.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::fake::Upstream;
use super::process::Process;
use super::{ends, fatal, one_query, proxy, session};
use crate::support::postgres::{Database, server};
use crate::support::wire::{Wire, query, startup};

#[test]
fn a_signal_ends_every_session_with_a_word_and_the_program_with_success() {
    let database = Database::new();
    for patience in ["30s", "0s"] {
        let mut proxy = proxy(&format!("limits.drain_timeout = '{patience}'"));
        // More than share a worker.
        let mut all: Vec<_> = (0..10).map(|_| session(&proxy, &database)).collect();
        all[0].send(&query("SELECT pg_sleep(60)"));
        let began = Instant::now();
        // Without any patience SIGTERM is the same.
        proxy.signal(if patience == "0s" { "TERM" } else { "INT" });
        all.iter_mut().for_each(ends);
        drop(all);
        assert!(proxy.exit().success());
        assert!(began.elapsed() < STOP);
        proxy.errors.wait_for("pgabsorb stopped", 1);
        assert!(TcpStream::connect(proxy.address()).is_err());
    }
}

#[test]
fn whoever_is_not_in_a_session_yet_does_not_delay_the_end() {
    let upstream = Upstream::bind();
    let mut proxy = upstream.proxy("");
    let mut silent = Wire::open(proxy.address());
    let mut waiting = Wire::open(proxy.address());
    waiting.send(&startup(&[]));
    upstream.accept().packet();
    let began = Instant::now();
    proxy.signal("INT");
    assert!(silent.rest().0.is_empty());
    drop((silent, waiting));
    assert!(proxy.exit().success());
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn a_client_that_does_not_read_does_not_prevent_the_end() {
    let (database, mut proxy) = (Database::new(), proxy(""));
    let mut stuck = TcpStream::connect(proxy.address()).unwrap();
    let sql = "SELECT repeat('x', 1000) FROM generate_series(1, 100000)";
    let all = [startup(&[("database", &database.name)]), query(sql)].concat();
    stuck.write_all(&all).unwrap();
    // One byte shows that the session runs; the rest is not read.
    stuck.peek(&mut [0]).unwrap();
    let began = Instant::now();
    proxy.signal("INT");
    assert!(proxy.exit().success());
    assert!(began.elapsed() < STOP);
}

#[test]
fn the_next_run_gets_the_same_port_at_once() {
    let mut first = proxy("");
    let address = first.address().to_string();
    let mut wire = Wire::connect(first.address(), &startup(&[]));
    first.signal("INT");
    fatal(&mut wire);
    assert!(first.exit().success());
    // The proxy closed first, so the kernel still remembers the connection.
    let second = Process::run("", |command| {
        command.args(["--listen", &address, "--upstream", &server().address().to_string()]);
    });
    let reply = one_query(TcpStream::connect(second.address()).unwrap(), "SELECT 'again'");
    assert!(reply.contains("again"), "{reply}");
}

#[test]
fn a_signal_right_behind_the_ready_line_is_heard() {
    for _ in 0..20 {
        let mut proxy = proxy("");
        proxy.signal("INT");
        assert!(proxy.exit().success());
    }
}

const STOP: Duration = Duration::from_secs(6);
