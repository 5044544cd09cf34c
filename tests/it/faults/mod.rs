//! Faults: random sessions through the real proxy, with a relay behind it that lets one thing go
//! wrong at one message to the server, of the client's or of the proxy's own: a cancel, a timeout,
//! a refusal, the end of the server process, of its connection, or of the client's.
//!
//! Whatever it is, the client may believe what it is told: what it was told is committed is stored
//! and nothing else is, unless the connection was lost before a reply; a duplicate is only what is
//! one; no error is the proxy's own; each ReadyForQuery comes, once.
//!
//! The usual run plays the same sessions each time, so that what it fails for is the last change.
//! `PGABSORB_FAULTS=20000 cargo test --release --test it faults` plays as many others,
//! `PGABSORB_SEED` the session of a failure again (together with how often).

mod admin;
mod belief;
mod client;
mod fault;
mod relay;
pub mod session;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use crate::shell::process::Process;
use crate::support::PATIENCE;
use crate::support::postgres::Database;
use crate::support::wire::{Wire, lines, startup};
use admin::Admin;
use belief::Rows;
use client::Client;
use fault::{At, Fault, Spot, What};
use relay::{Link, Relay};
use session::{Batch, Dice};

/// Any number will do.
const USUAL_SEED: u64 = 23505;

/// Sessions are played side by side: most of the time they wait.
const WORLDS: usize = 3;

#[test]
fn what_a_client_is_told_is_so_whatever_goes_wrong() {
    let number = |name| env::var(name).ok().and_then(|it| it.parse::<u64>().ok());
    let wanted = number("PGABSORB_FAULTS");
    let count = wanted.unwrap_or(600);
    let seed = number("PGABSORB_SEED");
    let first = seed.unwrap_or_else(|| match wanted {
        Some(count) => RandomState::new().hash_one(count) >> 1,
        None => USUAL_SEED,
    });
    let next = AtomicU64::new(0);
    let mut tally = Tally::default();
    thread::scope(|scope| {
        let work = || {
            let mut worlds = [Strategy::React, Strategy::Rewrite].map(World::new);
            let mut tally = Tally::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok(tally);
                }
                // With a seed it is that one session, as often as is wanted.
                let seed = if seed.is_some() { first } else { first + number };
                let world = &mut worlds[Strategy::of(seed) as usize];
                if let Err(wrong) = world.play(seed, &mut tally) {
                    next.store(count, Ordering::Relaxed);
                    return Err(wrong);
                }
            }
        };
        let workers: Vec<_> = (0..WORLDS).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            match worker.join() {
                Ok(Ok(more)) => tally.add(more),
                Ok(Err(wrong)) => panic!("{wrong}"),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    println!("{tally:?}");
    if seed.is_none() {
        tally.check(count);
    }
}

/// What has been seen to happen.
#[derive(Debug, Default)]
struct Tally {
    fired: BTreeMap<(What, Option<Spot>), u64>,
    /// Statements that have failed because of it.
    failed: usize,
    /// Duplicates that were told to be successes.
    absorbed: usize,
}

impl Tally {
    fn add(&mut self, other: Self) {
        for (key, count) in other.fired {
            *self.fired.entry(key).or_default() += count;
        }
        self.failed += other.failed;
        self.absorbed += other.absorbed;
    }

    /// A run in which nothing happens proves nothing.
    fn check(&self, sessions: u64) {
        let fired: u64 = self.fired.values().sum();
        assert!(fired * 3 > sessions, "faults seldom happen");
        assert!(self.absorbed as u64 > sessions / 2, "duplicates are seldom absorbed");
        assert!(self.failed as u64 > sessions / 30, "statements seldom fail");
        for spot in Spot::ALL {
            let here = self.fired.iter().filter(|((_, at), _)| *at == Some(spot));
            let here: u64 = here.map(|(_, count)| count).sum();
            assert!(here * 100 > sessions, "nothing goes wrong at {spot:?}");
        }
    }
}

/// A database, a relay before the server, and a proxy before that.
struct World {
    strategy: Strategy,
    database: Database,
    admin: Arc<Mutex<Admin>>,
    relay: Relay,
    proxy: Process,
    /// The name of a constraint is made of it, so that the proxy does not know it.
    name: u64,
}

/// How the rules want duplicates dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strategy {
    React,
    Rewrite,
}

impl Strategy {
    fn of(seed: u64) -> Self {
        if seed.is_multiple_of(2) { Self::React } else { Self::Rewrite }
    }

    fn rules(self) -> String {
        let strategy = if self == Self::React { "react" } else { "rewrite" };
        let rule = |constraint: &str| {
            let id = constraint.trim_end_matches('*');
            let head = format!("[[rule]]\nid = \"{id}\"\nconstraint = \"{constraint}\"\n");
            format!("{head}strategy = \"{strategy}\"\n")
        };
        rule("one_pkey*") + &rule("twin_pkey")
    }
}

impl World {
    fn new(strategy: Strategy) -> Self {
        let database = Database::new();
        database.sql(admin::SCHEMA);
        let admin = Arc::new(Mutex::new(Admin::new(&database)));
        let relay = Relay::bind();
        let proxy = Process::start(&strategy.rules(), &relay.address());
        Self { strategy, database, admin, relay, proxy, name: 0 }
    }

    /// Plays the session of a seed.
    fn play(&mut self, seed: u64, tally: &mut Tally) -> Result<(), String> {
        let mut dice = Dice::new(seed);
        let session = session::session(&mut dice);
        let fault = fault::fault(&mut dice);
        self.prepare(fault, &mut dice);
        let stream = TcpStream::connect(self.proxy.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        let other_end = stream.try_clone().unwrap();
        let mut wire = Wire::over(stream);
        let database = [("database", &*self.database.name)];
        wire.send(&startup(&[&database[..], fault.settings()].concat()));
        let link = self.relay.accept(fault, &self.admin, other_end);
        let welcome = wire.until(b'Z', 1);
        assert_eq!(welcome.last().map(|it| it.tag), Some(b'Z'), "{}", lines(&welcome));

        let mut client = Client::new(wire, fault, &link);
        let outcome = client.play(&session);
        let (failed, absorbed) = (client.failed, client.absorbed);
        drop(client);
        let outcome = outcome.and_then(|fates| self.check(&link, &fates));
        if let Err(wrong) = outcome {
            return Err(describe(seed, fault, &session, &link, &wrong));
        }
        tally.failed += failed;
        tally.absorbed += absorbed;
        if link.seen().fired {
            *tally.fired.entry((fault.what, fault.spot())).or_default() += 1;
        }
        link.join();
        Ok(())
    }

    /// The rows that each session finds, and a proxy that knows as much as the fault needs.
    fn prepare(&mut self, fault: Fault, dice: &mut Dice) {
        let mut admin = self.admin.lock().unwrap();
        admin.reset();
        // Now and then a constraint has a new name, and the catalog is asked behind an error.
        if dice.one_in(3) {
            admin.rename(self.name, self.name + 1);
            self.name += 1;
        } else if matches!(fault.at, At::Own(Spot::Lookup, _)) || dice.one_in(20) {
            self.proxy = Process::start(&self.strategy.rules(), &self.relay.address());
        }
    }

    /// The session is over at the server too, and what is stored is what may be.
    fn check(&self, link: &Link, fates: &BTreeSet<Rows>) -> Result<(), String> {
        let (pid, deadline) = (link.seen().pid(), Instant::now() + PATIENCE);
        // The relay may need the same connection to come to an end.
        while self.admin.lock().unwrap().lives(pid) {
            if Instant::now() > deadline {
                return Err("the server's side of the session does not end".to_owned());
            }
        }
        let stored = self.admin.lock().unwrap().dump();
        if fates.contains(&stored) {
            return Ok(());
        }
        let mut text = format!("stored is\n  {stored:?}\nwhere it should be\n");
        for fate in fates {
            let _ = writeln!(text, "  {fate:?}");
        }
        Err(text)
    }
}

fn describe(seed: u64, fault: Fault, session: &[Batch], link: &Link, wrong: &str) -> String {
    let mut text = format!("PGABSORB_SEED={seed}\n{fault:?}\n");
    for batch in session {
        let _ = writeln!(text, "  {batch:?}");
    }
    for line in link.seen().lines {
        let _ = writeln!(text, "{line}");
    }
    text + wrong
}
