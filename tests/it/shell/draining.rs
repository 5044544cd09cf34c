//! SIGTERM: the sessions come to the end of their transactions, and nothing that was told is lost.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::admin::{ADMIN, get};
use super::process::Process;
use super::{ends, has, is_fatal, proxy, session};
use crate::faults::session::Dice;
use crate::support::postgres::{Database, server};
use crate::support::wait_until;
use crate::support::wire::{Message, Wire, lines, query, startup};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY)";

#[test]
fn an_idle_session_ends_at_once_and_a_busy_one_behind_its_transaction() {
    let (database, mut proxy) = (Database::new(), proxy(""));
    database.sql(TABLE);
    let mut idle = session(&proxy, &database);
    let (mut open, mut failed) = (session(&proxy, &database), session(&proxy, &database));
    open.query("BEGIN; INSERT INTO t VALUES (1)");
    failed.query("BEGIN; SELECT 1/0");
    let mut busy = session(&proxy, &database);
    busy.send(&query("SELECT pg_advisory_lock(1)"));
    let mut key = session(&proxy, &database);
    key.query("BEGIN; SELECT pg_advisory_xact_lock(2)");
    proxy.signal("TERM");
    ends(&mut idle);
    assert!(has(&busy.until(b'Z', 1), "SELECT 1"));
    ends(&mut busy);
    // What comes in between is a transaction's own affair.
    assert!(has(&open.query("INSERT INTO t VALUES (2)"), "INSERT 0 1"));
    open.send(&[query("COMMIT"), query("SELECT 'never'")].concat());
    assert!(has(&open.until(b'Z', 1), "COMMIT"));
    failed.query("ROLLBACK");
    ends(&mut failed);
    let (rest, cut) = open.rest();
    assert!(cut.is_empty() && is_fatal(rest.last().unwrap()), "{}", lines(&rest));
    key.query("COMMIT");
    ends(&mut key);
    drop((idle, busy, open, failed, key));
    assert!(proxy.exit().success());
    proxy.output.wait_for(r#""event":"drained""#, 1);
    assert!(database.sql("SELECT count(*) FROM t").contains("\\x012"));
}

#[test]
fn what_does_not_end_in_time_is_cut_off() {
    let database = Database::new();
    database.sql(TABLE);
    let mut proxy = proxy("limits.drain_timeout = '300ms'");
    let mut open = session(&proxy, &database);
    open.query("BEGIN; INSERT INTO t VALUES (1)");
    proxy.signal("TERM");
    ends(&mut open);
    drop(open);
    assert!(proxy.exit().success());
    proxy.output.wait_for("drain_timeout is over", 1);
    wait_until("the transaction is rolled back", || {
        database.sql("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%' AND datname = current_database()").contains("\\x010")
    });
    assert!(database.sql("SELECT count(*) FROM t").contains("\\x010"));
}

#[test]
fn a_second_signal_ends_all_at_once() {
    for second in ["TERM", "INT"] {
        let (database, mut proxy) = (Database::new(), proxy("limits.drain_timeout = '1h'"));
        let mut open = session(&proxy, &database);
        open.query("BEGIN");
        proxy.signal("TERM");
        proxy.output.wait_for(r#""event":"draining""#, 1);
        proxy.signal(second);
        ends(&mut open);
        drop(open);
        assert!(proxy.exit().success());
    }
}

/// A load balancer has to notice first.
#[test]
fn the_proxy_is_not_ready_before_it_lets_nobody_in_any_more() {
    let database = Database::new();
    let mut proxy = proxy(&format!("{ADMIN}limits.drain_delay = '1h'"));
    assert_eq!(get(&proxy, "/readyz").0, 200);
    assert!(get(&proxy, "/metrics").1.contains("\npgabsorb_draining 0\n"));
    proxy.signal("TERM");
    wait_until("it is not ready", || get(&proxy, "/readyz").0 == 503);
    assert_eq!(get(&proxy, "/healthz").0, 200);
    assert!(get(&proxy, "/metrics").1.contains("\npgabsorb_draining 1\n"));
    let mut late = session(&proxy, &database);
    assert!(has(&late.query("SELECT 'served'"), "served"));
    assert!(has(&late.query("SELECT 'again'"), "again"));
    proxy.signal("TERM");
    ends(&mut late);
    drop(late);
    assert!(proxy.exit().success());
}

/// Each client inserts its own keys, alone and in transactions, until it is told that it is over.
#[test]
fn what_was_acknowledged_under_load_is_stored_and_nothing_else() {
    for round in 0..4 {
        let (database, mut proxy) =
            (Database::new(), proxy("[[rule]]\nid = 't'\nconstraint = 't_pkey'"));
        database.sql(TABLE);
        let told = AtomicUsize::new(0);
        let acknowledged = thread::scope(|scope| {
            let clients: Vec<_> = (0..16_u32)
                .map(|number| {
                    let wire = session(&proxy, &database);
                    let client = Client {
                        wire,
                        dice: Dice::new(u64::from(round * 100 + number)),
                        next: usize::try_from(number).unwrap() * 100_000,
                    };
                    let told = &told;
                    scope.spawn(move || client.run(told))
                })
                .collect();
            wait_until("there is a load", || told.load(Ordering::Relaxed) > 500);
            proxy.signal("TERM");
            clients.into_iter().flat_map(|it| it.join().unwrap()).collect::<BTreeSet<_>>()
        });
        assert!(proxy.exit().success());
        proxy.output.wait_for(r#""event":"drained""#, 1);
        let mut direct =
            Wire::connect(server().address(), &startup(&[("database", &database.name)]));
        let rows = direct.query("SELECT id::text FROM t");
        let rows = rows.iter().filter(|it| it.tag == b'D');
        let stored: BTreeSet<usize> =
            rows.map(|row| str::from_utf8(&row.body[6..]).unwrap().parse().unwrap()).collect();
        assert_eq!(stored, acknowledged);
    }
}

struct Client {
    wire: Wire,
    dice: Dice,
    next: usize,
}

impl Client {
    /// The keys that it was told are stored, until the last word.
    fn run(mut self, told: &AtomicUsize) -> BTreeSet<usize> {
        let mut stored = BTreeSet::new();
        loop {
            let (keys, texts) = self.transaction();
            // A transaction is sent message by message, or all at once.
            let pipelined = self.dice.one_in(2);
            let flights = if pipelined {
                vec![texts]
            } else {
                texts.into_iter().map(|it| vec![it]).collect()
            };
            let mut replies = Vec::new();
            for flight in flights {
                let bytes: Vec<u8> = flight.iter().flat_map(|text| query(text)).collect();
                self.wire.send(&bytes);
                let reply = self.wire.until(b'Z', flight.len());
                let answered = reply.iter().filter(|it| it.tag == b'Z').count();
                replies.extend(reply);
                if answered < flight.len() {
                    self.is_over(&replies, keys, &mut stored);
                    return stored;
                }
            }
            assert!(!replies.iter().any(|it| it.tag == b'E'), "{}", lines(&replies));
            told.fetch_add(keys.len(), Ordering::Relaxed);
            stored.extend(keys);
        }
    }

    fn transaction(&mut self) -> (Vec<usize>, Vec<String>) {
        let count = 1 + self.dice.below(4);
        let keys: Vec<_> = (self.next..self.next + count).collect();
        self.next += count;
        let insert = |key: &usize| format!("INSERT INTO t VALUES ({key})");
        let mut texts: Vec<_> =
            keys.iter().flat_map(|key| vec![insert(key); 1 + key % 2]).collect();
        if count > 1 {
            texts.insert(0, "BEGIN".to_owned());
            texts.push("COMMIT".to_owned());
        }
        (keys, texts)
    }

    /// The last word came: whole, between transactions, and behind all that was answered.
    fn is_over(&mut self, replies: &[Message], keys: Vec<usize>, stored: &mut BTreeSet<usize>) {
        let (last, before) = replies.split_last().expect("a word");
        assert!(is_fatal(last), "{}", lines(replies));
        assert!(has(std::slice::from_ref(last), "C57P01"), "{}", lines(replies));
        let (rest, cut) = self.wire.rest();
        assert!(rest.is_empty() && cut.is_empty());
        let committed = has(before, "COMMIT") || keys.len() == 1 && has(before, "INSERT 0 1");
        assert!(
            committed || !has(before, "INSERT 0 1"),
            "a transaction was cut: {}",
            lines(replies)
        );
        if committed {
            stored.extend(keys);
        }
    }
}

/// What a slow reader has still to read is not cut.
#[test]
fn what_was_answered_is_read_to_its_end() {
    let (database, mut proxy) = (Database::new(), proxy(""));
    let mut slow = TcpStream::connect(proxy.address()).unwrap();
    let sql = "SELECT repeat('x', 1000) FROM generate_series(1, 20000)";
    let packet = startup(&[("database", &database.name)]);
    slow.write_all(&[packet, query(sql)].concat()).unwrap();
    slow.peek(&mut [0]).unwrap();
    proxy.signal("TERM");
    proxy.output.wait_for(r#""event":"draining""#, 1);
    // Longer than whatever is said last is waited for.
    thread::sleep(Duration::from_secs(3));
    let mut reply = Vec::new();
    slow.read_to_end(&mut reply).unwrap();
    let end = reply[reply.len() - 200..].escape_ascii().to_string();
    assert!(end.contains("SELECT 20000") && end.contains("C57P01"), "{} {end}", reply.len());
    drop(slow);
    assert!(proxy.exit().success());
}

#[test]
fn who_says_nothing_does_not_hold_up_the_end() {
    let mut proxy = proxy("limits.drain_timeout = '1h'");
    let silent = Wire::open(proxy.address());
    proxy.signal("TERM");
    assert!(proxy.exit().success());
    drop(silent);
}

/// Rules come and go while clients insert: each of them sees what one of both says, and goes on.
#[test]
fn reloads_under_load_lose_no_query() {
    const RULE: &str = "[[rule]]\nid = 't'\nconstraint = 't_pkey'\naction = ";
    let absorb = format!("{RULE}'absorb'\n");
    let observe = format!("{RULE}'observe'\n");
    let (database, proxy) = (Database::new(), proxy(&absorb));
    database.sql(&format!("{TABLE}; INSERT INTO t VALUES (1)"));
    let over = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|number| {
                let mut wire = session(&proxy, &database);
                let over = &over;
                scope.spawn(move || {
                    let (mut absorbed, mut shown) = (0, 0);
                    while !over.load(Ordering::Relaxed) {
                        let in_block = number % 2 == 0;
                        if in_block {
                            wire.query("BEGIN");
                        }
                        let first = wire.query("INSERT INTO t VALUES (1)");
                        let is_absorbed = has(&first, "INSERT 0 0");
                        assert!(is_absorbed || has(&first, "C23505"), "{}", lines(&first));
                        let count = if is_absorbed { &mut absorbed } else { &mut shown };
                        *count += 1;
                        if in_block {
                            // One transaction goes by one set of rules.
                            let second = wire.query("INSERT INTO t VALUES (1)");
                            let same = if is_absorbed { "INSERT 0 0" } else { "C25P02" };
                            assert!(has(&second, same), "{}", lines(&second));
                            wire.query("ROLLBACK");
                        }
                    }
                    (absorbed, shown)
                })
            })
            .collect();
        for nth in 1..=30 {
            proxy.write_rules(if nth % 2 == 0 { &absorb } else { &observe });
            proxy.signal("HUP");
            proxy.output.wait_for(r#""event":"rules reloaded""#, nth);
        }
        over.store(true, Ordering::Relaxed);
        clients.into_iter().map(|it| it.join().unwrap()).collect::<Vec<_>>()
    });
    let (absorbed, shown) = seen.iter().fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    assert!(absorbed > 0 && shown > 0, "{seen:?}");
    let lines = |outcome: &str| {
        let needle = format!(r#""outcome":"{outcome}""#);
        proxy.output.text().lines().filter(|line| line.contains(&needle)).count()
    };
    // A block's second duplicate that is absorbed is one more.
    wait_until("all are logged", || lines("observed") == shown && lines("absorbed") >= absorbed);
}

/// A new process takes over the port of one that drains, and clients that come all the time see
/// nothing of it.
#[test]
fn another_process_takes_over() {
    let upstream = server().address().to_string();
    let start = |listen: &str| {
        Process::run("proxy.reuse_port = true", |command| {
            command.args(["--listen", listen, "--upstream", &upstream]);
        })
    };
    let mut old = start("127.0.0.1:0");
    let address = old.address();
    let over = AtomicBool::new(false);
    let served = thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(|| come_and_go(address, &over))).collect();
        for _ in 0..3 {
            let new = start(&address.to_string());
            old.signal("TERM");
            assert!(old.exit().success());
            old = new;
        }
        over.store(true, Ordering::Relaxed);
        let counts = clients.into_iter().map(|it| it.join().unwrap());
        counts.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1))
    });
    let (served, reset) = served;
    println!("{served} clients were served, {reset} were reset");
    assert!(served > 20 && reset <= 3, "{served} {reset}");
}

/// Connects, asks once, and goes, as often as there is time. How many were served, and how many were
/// reset: that the system does this to a connection in the very moment in which a listener closes is
/// nothing that a process can prevent.
fn come_and_go(address: SocketAddr, over: &AtomicBool) -> (usize, usize) {
    let (mut served, mut reset) = (0, 0);
    while !over.load(Ordering::Relaxed) {
        let mut wire = Wire::open(address);
        wire.send(&[startup(&[]), query("SELECT 'served'")].concat());
        let reply = wire.until(b'Z', 2);
        if reply.is_empty() {
            reset += 1;
        } else {
            assert!(has(&reply, "served"), "{}", lines(&reply));
            served += 1;
        }
    }
    (served, reset)
}
