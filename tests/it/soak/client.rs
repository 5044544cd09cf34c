//! One client: what it does, one piece of work after the other, and what it is told.

use std::sync::atomic::Ordering;

use crate::faults::session::Dice;
use crate::support::wait_until;
use crate::support::wire::{self, pbe, query, startup, sync, terminate};

use super::connection::{Connection, Reply};
use super::ledger::{Event, Ledger};
use super::stage::Stage;

/// Keys from here on are inserted by all; below, each client has its own.
const SHARED: u64 = 1 << 40;

/// How the INSERTs of a piece of work are sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// One, which is committed by itself.
    Simple,
    Extended,
    /// Several, before one Sync.
    Pipeline,
    /// A transaction block, one by one.
    Block,
    BlockThatIsRolledBack,
    /// All of it at once.
    BlockAtOnce,
}

const SHAPES: [Shape; 8] = [
    Shape::Simple,
    Shape::Simple,
    Shape::Extended,
    Shape::Extended,
    Shape::Pipeline,
    Shape::Block,
    Shape::BlockThatIsRolledBack,
    Shape::BlockAtOnce,
];

impl Shape {
    fn holds_several(self) -> bool {
        !matches!(self, Self::Simple | Self::Extended)
    }

    fn commits(self) -> bool {
        self != Self::BlockThatIsRolledBack
    }

    /// What is sent, and how many ReadyForQuery each flight is answered with.
    fn flights(self, keys: &[u64]) -> Vec<(Vec<u8>, usize)> {
        let inserts = keys.iter().map(|key| query(&insert(*key)));
        let bound = keys.iter().map(|key| pbe(&insert(*key), &[]));
        let begin = std::iter::once(query("BEGIN"));
        let end = std::iter::once(query(if self.commits() { "COMMIT" } else { "ROLLBACK" }));
        match self {
            Self::Simple => inserts.map(|it| (it, 1)).collect(),
            Self::Extended | Self::Pipeline => {
                vec![(bound.chain([sync()]).flatten().collect(), 1)]
            }
            Self::Block | Self::BlockThatIsRolledBack => {
                begin.chain(inserts).chain(end).map(|it| (it, 1)).collect()
            }
            Self::BlockAtOnce => {
                vec![(begin.chain(inserts).chain(end).flatten().collect(), keys.len() + 2)]
            }
        }
    }
}

fn table(key: u64) -> &'static str {
    if key.is_multiple_of(2) { "t" } else { "r" }
}

fn insert(key: u64) -> String {
    format!("INSERT INTO {} (id, v) VALUES ({key}, 'value')", table(key))
}

pub struct Client<'a> {
    stage: &'a Stage,
    number: u64,
    connection: Connection,
    dice: Dice,
    /// The next of its own keys.
    next: u64,
    /// Its last key that is stored.
    last: Option<u64>,
    ledger: Ledger,
}

impl<'a> Client<'a> {
    pub fn new(stage: &'a Stage, number: u64) -> Self {
        let mut ledger = Ledger::default();
        let connection = log_in(stage, number, &mut ledger);
        let dice = Dice::new(number + stage.progress.load(Ordering::Relaxed));
        Self { stage, number, connection, dice, next: number << 32, last: None, ledger }
    }

    /// Until all together have done this many pieces of work.
    pub fn work_until(mut self, end: u64) -> Ledger {
        while self.stage.progress.load(Ordering::Relaxed) < end {
            match self.dice.below(30) {
                0 => self.leave(),
                1 => self.vanish(),
                2 => self.copy(),
                3 => self.insert_much(),
                4 => self.read_much(),
                5 => self.insert_unlisted(),
                6..=9 => self.insert_shared(),
                _ => self.insert_some(),
            }
            self.stage.progress.fetch_add(1, Ordering::Relaxed);
        }
        // One that has been cut off is told no end.
        let _ = self.connection.send(&terminate());
        self.ledger
    }

    fn leave(&mut self) {
        let _ = self.connection.send(&terminate());
        self.connection = log_in(self.stage, self.number, &mut self.ledger);
    }

    /// In the midst of something.
    fn vanish(&mut self) {
        let key = self.new_key();
        self.ledger.doubtful.insert(key);
        let _ = self.connection.send(&query(&insert(key)));
        self.connection = log_in(self.stage, self.number, &mut self.ledger);
    }

    fn new_key(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// New keys, and each now and then once more, or one that is stored.
    fn insert_some(&mut self) {
        let shape = self.dice.pick(&SHAPES);
        let (mut keys, mut new) = (Vec::new(), Vec::new());
        for _ in 0..if shape.holds_several() { 1 + self.dice.below(6) } else { 1 } {
            if let Some(last) = self.last.filter(|_| self.dice.one_in(2)) {
                keys.push(last);
                continue;
            }
            let key = self.new_key();
            new.push(key);
            keys.extend(vec![key; if shape.holds_several() { 1 + self.dice.below(2) } else { 1 }]);
        }
        let duplicates = (keys.len() - new.len()) as u64;
        let flights = shape.flights(&keys);
        let (last, before) = flights.split_last().expect("there is always one");
        let mut told = Reply::default();
        for (bytes, count) in before {
            told.extend(self.connection.exchange(bytes, *count));
            if !told.is_good() {
                // It had not come to its end.
                return self.is_undone(&told, duplicates);
            }
        }
        told.extend(self.connection.exchange(&last.0, last.1));
        if !told.is_whole || told.has_failed() && shape == Shape::BlockAtOnce {
            // Its COMMIT may have been done, or its BEGIN have failed ahead of all.
            self.ledger.doubtful.extend(new);
            return self.is_undone(&told, duplicates);
        }
        if told.has_failed() {
            return self.is_undone(&told, duplicates);
        }
        let counts = (told.completed("INSERT 0 1"), told.completed("INSERT 0 0"));
        assert_eq!(counts, (new.len(), keys.len() - new.len()), "{told}");
        self.is_done(duplicates);
        if shape.commits() {
            self.last = new.last().copied().or(self.last);
            self.ledger.stored.extend(new);
        }
    }

    /// What others insert as well; whoever is first.
    fn insert_shared(&mut self) {
        let key = SHARED + self.stage.shared.fetch_add(1, Ordering::Relaxed) / 4;
        let is_extended = self.dice.one_in(2);
        let shape = if is_extended { Shape::Extended } else { Shape::Simple };
        let (bytes, count) = shape.flights(&[key]).remove(0);
        let reply = self.connection.exchange(&bytes, count);
        if !reply.is_good() {
            self.ledger.doubtful.insert(key);
            return self.is_undone(&reply, 1);
        }
        let duplicates = reply.completed("INSERT 0 0");
        assert_eq!(duplicates + reply.completed("INSERT 0 1"), 1, "{reply}");
        self.is_done(duplicates as u64);
        self.ledger.stored.insert(key);
    }

    fn copy(&mut self) {
        let keys: Vec<_> = (0..100).map(|_| self.new_key()).collect();
        let keys: Vec<_> = keys.into_iter().filter(|it| it.is_multiple_of(2)).collect();
        let rows: Vec<u8> =
            keys.iter().flat_map(|key| format!("{key}\tc\n").into_bytes()).collect();
        let bytes = [
            query("COPY t FROM STDIN"),
            rows.chunks(100).flat_map(wire::copy_data).collect(),
            wire::copy_done(),
        ];
        let reply = self.connection.exchange(&bytes.concat(), 1);
        self.stores(&reply, keys, "COPY 50");
    }

    fn insert_much(&mut self) {
        let key = self.new_key();
        let value = "v".repeat(1000 * self.dice.below(500));
        let sql = format!("INSERT INTO {} (id, v) VALUES ($1, $2)", table(key));
        let bytes = [pbe(&sql, &[&key.to_string(), &value]), sync()].concat();
        let reply = self.connection.exchange(&bytes, 1);
        self.stores(&reply, vec![key], "INSERT 0 1");
    }

    /// One statement with new keys alone.
    fn stores(&mut self, reply: &Reply, keys: Vec<u64>, tag: &str) {
        if reply.is_good() {
            assert_eq!(reply.completed(tag), 1, "{reply}");
            self.ledger.stored.extend(keys);
            return self.is_done(0);
        }
        if !reply.is_whole {
            self.ledger.doubtful.extend(keys);
        }
        self.is_undone(reply, 0);
    }

    fn read_much(&mut self) {
        let sql = "SELECT repeat('x', 100000) FROM generate_series(1, 30)";
        let reply = self.connection.exchange(&query(sql), 1);
        if !reply.is_good() {
            return self.is_undone(&reply, 0);
        }
        assert!(reply.size() > 3_000_000, "{}", reply.size());
        self.is_done(0);
    }

    /// Inside a block it would be lost with all that is before it.
    fn insert_unlisted(&mut self) {
        let reply = self.connection.exchange(&query("INSERT INTO free VALUES (0)"), 1);
        if reply.is_whole && reply.code().as_deref() == Some("23505") {
            return self.ledger.count(Event::Unlisted, 1);
        }
        assert!(!reply.is_good(), "{reply}");
        self.is_undone(&reply, 0);
    }

    fn is_done(&mut self, duplicates: u64) {
        self.ledger.count(Event::Done, 1);
        self.ledger.count(Event::Absorbed, duplicates);
    }

    /// It failed for a reason that there is, or the connection ended; the next piece of work finds
    /// one outside a block.
    fn is_undone(&mut self, reply: &Reply, duplicates: u64) {
        let code = reply.code();
        if !reply.is_whole {
            let excuses = ["57P01", "57P02", "57014", "08006", "23505"];
            assert!(code.is_none_or(|it| excuses.contains(&&*it)), "{reply}");
            self.ledger.count(Event::Lost, 1);
            self.connection = log_in(self.stage, self.number, &mut self.ledger);
            return;
        }
        match code.as_deref() {
            Some("57014") => self.ledger.count(Event::Failed, 1),
            Some("23505") if duplicates > 0 => self.ledger.count(Event::Shown, 1),
            _ => panic!("{reply}"),
        }
        if !reply.is_idle() && !self.connection.exchange(&query("ROLLBACK"), 1).is_good() {
            self.leave();
        }
    }
}

/// Tries until the server lets it in. Every other one is encrypted.
fn log_in(stage: &Stage, number: u64, ledger: &mut Ledger) -> Connection {
    let mut connection = None;
    wait_until("a client is let in", || {
        connection = try_to_log_in(stage, number);
        ledger.count(Event::Refused, u64::from(connection.is_none()));
        connection.is_some()
    });
    connection.expect("one that is let in")
}

fn try_to_log_in(stage: &Stage, number: u64) -> Option<Connection> {
    let mut connection = stage.connect(number.is_multiple_of(2)).ok()?;
    let reply = connection.exchange(&startup(&[("application_name", "soak")]), 1);
    if reply.is_good() {
        return Some(connection);
    }
    let code = reply.code();
    // Terminated, crashed, recovering, cancelled, cut off.
    let excuses = ["57P01", "57P02", "57P03", "57014", "08006"];
    assert!(code.is_none_or(|it| excuses.contains(&&*it)), "{reply}");
    None
}
