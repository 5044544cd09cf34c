//! Many clients at once insert the same keys, in transactions of several INSERTs, through the real
//! proxy: no one sees an error, and whatever was acknowledged is stored, once.
//!
//! The keys of a transaction are in order, so that no two transactions wait for each other.
//! `PGABSORB_CROWD_SECONDS=20` lets them go on for longer than the usual time.

use std::collections::BTreeSet;
use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::faults::session::Dice;
use crate::support::postgres::Database;
use crate::support::proxy::Proxy;
use crate::support::wire::{self, Message, Wire, lines, startup};

const CLIENTS: usize = 32;
const KEYS: usize = 1000;

/// So many transactions make most keys of a round duplicates; then the next round begins.
const ROUND: usize = 600;

const RULES: &str = r#"
[[rule]]
id = "crowd"
constraint = "crowd_pkey"
action = "absorb"
"#;

#[test]
fn a_crowd_that_inserts_the_same_keys_sees_no_error_and_stores_each_once() {
    let database = Database::new();
    database.sql("CREATE TABLE crowd (round int, id int, client int, PRIMARY KEY (round, id))");
    let proxy = Proxy::start(RULES);
    let seconds = env::var("PGABSORB_CROWD_SECONDS").ok().and_then(|it| it.parse().ok());
    let deadline = Instant::now() + Duration::from_secs(seconds.unwrap_or(5));
    let transactions = AtomicUsize::new(0);
    let run = |number: usize| {
        let wire = Wire::connect(proxy.address(), &startup(&[("database", &database.name)]));
        let mut member = Member::new(number, wire);
        while Instant::now() < deadline {
            let round = transactions.fetch_add(1, Ordering::Relaxed) / ROUND;
            member.transaction(round);
        }
        member
    };
    let crowd = thread::scope(|scope| {
        let members: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || run(number))).collect();
        members.into_iter().map(|it| it.join().unwrap()).collect::<Vec<_>>()
    });
    check(&database, &crowd, transactions.into_inner());
}

fn check(database: &Database, crowd: &[Member], transactions: usize) {
    let acknowledged: BTreeSet<_> = crowd.iter().flat_map(|it| &it.acknowledged).collect();
    let inserted: usize = crowd.iter().map(|it| it.inserted).sum();
    let duplicates: usize = crowd.iter().map(|it| it.duplicates).sum();
    println!("{transactions} transactions, {inserted} rows, {duplicates} duplicates");
    let mut wire = Wire::connect(
        crate::support::postgres::server().address(),
        &startup(&[("database", &database.name)]),
    );
    let reply = wire.query("SELECT (round * 1000 + id)::text FROM crowd");
    let rows = reply.iter().filter(|it| it.tag == b'D');
    let stored: Vec<usize> =
        rows.map(|row| str::from_utf8(&row.body[6..]).unwrap().parse().unwrap()).collect();
    assert_eq!(stored.len(), inserted, "rows that were told to be inserted are stored once each");
    let stored: BTreeSet<_> = stored.iter().collect();
    assert_eq!(stored, acknowledged, "what is stored is what was acknowledged");
    assert!(duplicates > transactions / 4, "{duplicates} duplicates in {transactions}");
}

/// One of the crowd.
struct Member {
    number: usize,
    wire: Wire,
    dice: Dice,
    /// Keys of which a committed transaction has told that they are stored.
    acknowledged: BTreeSet<usize>,
    /// Rows that it has stored itself, and those that were there.
    inserted: usize,
    duplicates: usize,
}

impl Member {
    fn new(number: usize, wire: Wire) -> Self {
        let dice = Dice::new(number as u64);
        Self { number, wire, dice, acknowledged: BTreeSet::new(), inserted: 0, duplicates: 0 }
    }

    /// BEGIN, a few INSERTs of one row or several, COMMIT.
    fn transaction(&mut self, round: usize) {
        let count = 1 + self.dice.below(6);
        let keys: BTreeSet<_> = (0..count).map(|_| self.dice.below(KEYS)).collect();
        let keys: Vec<_> = keys.into_iter().collect();
        let together = self.dice.pick(&[1, 1, 2, 3]);
        let mut texts = vec!["BEGIN".to_owned()];
        texts.extend(keys.chunks(together).map(|keys| self.insert(round, keys)));
        texts.push("COMMIT".to_owned());
        let replies = self.run(&texts);
        for tag in tags(&replies) {
            if let Some(rows) = tag.strip_prefix("INSERT 0 ") {
                let rows: usize = rows.parse().unwrap();
                self.inserted += rows;
                self.duplicates += usize::from(rows == 0);
            }
        }
        assert_eq!(tags(&replies).last().map(String::as_str), Some("COMMIT"), "{replies:?}");
        self.acknowledged.extend(keys.into_iter().map(|key| round * KEYS + key));
    }

    fn insert(&mut self, round: usize, keys: &[usize]) -> String {
        let row = |key: &usize| format!("({round}, {key}, {})", self.number);
        let rows: Vec<_> = keys.iter().map(row).collect();
        let returning = if self.dice.one_in(4) { " RETURNING id" } else { "" };
        format!("INSERT INTO crowd VALUES {}{returning}", rows.join(", "))
    }

    /// In either protocol: one by one, together, or several behind each other.
    fn run(&mut self, texts: &[String]) -> Vec<Message> {
        let call = |text: &String| wire::pbe(text, &[]);
        match self.dice.below(5) {
            0 => self.one_by_one(texts, |text| wire::query(text)),
            1 => self.one_by_one(texts, |text| [call(text), wire::sync()].concat()),
            2 => self.send(&wire::query(&texts.join("; ")), 1),
            3 => {
                let calls: Vec<_> = texts.iter().map(call).collect();
                self.send(&[calls.concat(), wire::sync()].concat(), 1)
            }
            _ => {
                let queries: Vec<_> = texts.iter().map(|text| wire::query(text)).collect();
                self.send(&queries.concat(), texts.len())
            }
        }
    }

    fn one_by_one(&mut self, texts: &[String], bytes: impl Fn(&String) -> Vec<u8>) -> Vec<Message> {
        texts.iter().flat_map(|text| self.send(&bytes(text), 1)).collect()
    }

    /// No error of any kind may come.
    fn send(&mut self, bytes: &[u8], readies: usize) -> Vec<Message> {
        self.wire.send(bytes);
        let replies = self.wire.until(b'Z', readies);
        assert!(!replies.iter().any(|it| it.tag == b'E'), "{}", lines(&replies));
        replies
    }
}

fn tags(replies: &[Message]) -> Vec<String> {
    let tag = |it: &Message| {
        String::from_utf8_lossy(it.body.strip_suffix(b"\0").unwrap_or_default()).into_owned()
    };
    replies.iter().filter(|it| it.tag == b'C').map(tag).collect()
}
