//! The differential oracle: random sessions that a client plays through the proxy with plain
//! INSERTs, and a careful author on a direct connection with `ON CONFLICT (...) DO NOTHING` where
//! the contract absorbs. Every reply has to be the same, in the same order, and every row that is
//! stored in the end. Where the contract shows the error, the author writes the INSERT plainly too.
//!
//! With `strategy = "rewrite"` each listed INSERT has the author's clause, wherever it stands.
//!
//! What may differ: values of an identity column (a duplicate uses up one, and one that is run again
//! more); the notices of the first run, which come too where a statement is run again; where the
//! second run fails, the first one's error; whether an unnamed portal outlives a Query that fails
//! inside a block; when, up to the end of the transaction, parameters and notifications are reported.
//!
//! The usual run plays the same sessions each time, so that what it fails for is the last change.
//! `PGABSORB_SESSIONS=50000 cargo test --release --test it differential` plays as many others,
//! `PGABSORB_SEED` the sessions of a failure again.

mod direct;
mod fixed;
mod proxied;
mod rows;
mod session;
mod statement;
mod tables;

use std::cell::RefCell;
use std::env;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;
use std::time::Duration;

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

use crate::support::postgres::{Database, server};
use crate::support::proxy::Proxy;
use crate::support::wait_until;
use crate::support::wire::{Wire, lines, startup};
use session::Step;

#[test]
fn a_client_sees_what_a_careful_author_sees() {
    let world = RefCell::new(World::new("author", Strategy::React, Answer::Nothing));
    run(sessions(2000), &session::session(), |steps| world.borrow_mut().play(&steps));
}

#[test]
fn a_client_gets_the_rows_that_a_careful_author_gets() {
    answers("existing", Answer::Existing);
}

#[test]
fn a_client_updates_the_rows_that_a_careful_author_updates() {
    answers("upsert", Answer::Update);
}

/// Sessions of either strategy in turn.
fn answers(name: &str, answer: Answer) {
    let reacting = World::new(&format!("{name}_react"), Strategy::React, answer);
    let rewriting = World::new(&format!("{name}_rewrite"), Strategy::Rewrite, answer);
    let worlds = RefCell::new([reacting, rewriting]);
    run(sessions(600), &session::session(), |steps| {
        let steps = steps.into_iter().map(|step| step.map(|it| it.answering(answer)));
        let steps: Vec<_> = steps.collect();
        let rewritten: Vec<_> = steps.iter().cloned().map(Step::for_rewriting).collect();
        let [reacting, rewriting] = &mut *worlds.borrow_mut();
        reacting.play(&steps)?;
        rewriting.play(&rewritten)
    });
}

#[test]
fn a_client_whose_statements_are_rewritten_sees_what_a_careful_author_sees() {
    let world = RefCell::new(World::new("rewrite", Strategy::Rewrite, Answer::Nothing));
    run(sessions(1000), &session::session(), |steps| {
        let steps: Vec<_> = steps.into_iter().map(Step::for_rewriting).collect();
        world.borrow_mut().play(&steps)
    });
}

/// Runs a property on random values; a failure says the seed that brings it back.
fn run<S: proptest::strategy::Strategy>(
    cases: u32,
    strategy: &S,
    property: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let seed =
        number("PGABSORB_SEED").unwrap_or_else(|| match number::<u32>("PGABSORB_SESSIONS") {
            Some(_) => RandomState::new().hash_one(cases),
            None => USUAL_SEED,
        });
    let mut runner = TestRunner::new(Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 1000,
        max_shrink_time: 60_000,
        ..Config::default()
    });
    match runner.run(strategy, property) {
        Ok(()) => {}
        Err(TestError::Fail(reason, _)) => {
            panic!("PGABSORB_SEED={seed} PGABSORB_SESSIONS={cases}\n{reason}")
        }
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

fn sessions(usual: u32) -> u32 {
    number("PGABSORB_SESSIONS").unwrap_or(usual)
}

fn number<T: FromStr>(variable: &str) -> Option<T> {
    env::var(variable).ok()?.parse().ok()
}

/// Any number will do.
const USUAL_SEED: u64 = 23505;

/// What the rules want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    React,
    Rewrite,
}

/// What the rules make of a duplicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    Nothing,
    /// RETURNING gives the row that is there.
    Existing,
    /// The row that is there gets the new values.
    Update,
}

/// A database for each run, of the same origin, so that even object ids are the same.
struct World {
    strategy: Strategy,
    direct: Side,
    proxied: Side,
    proxy: Proxy,
    played: u32,
    /// How long a reply may take: less once one has failed to come, or shrinking would take hours.
    limit: Duration,
}

struct Side {
    database: Database,
    /// On a direct connection: brings the tables back to where each session begins.
    admin: Wire,
    /// The session's own connection, which is used until one fails on it.
    wire: Option<Wire>,
}

impl Side {
    fn new(name: &str, template: &Database) -> Self {
        let database = Database::copied(name, template);
        let admin = Wire::connect(server().address(), &startup(&[("database", &database.name)]));
        Self { database, admin, wire: None }
    }

    fn connect(&self, proxy: Option<&Proxy>) -> Wire {
        let address = proxy.map_or_else(|| server().address(), Proxy::address);
        Wire::connect(address, &startup(&[("database", &self.database.name)]))
    }

    fn reset(&mut self) {
        let reply = lines(&self.admin.query(tables::RESET));
        assert!(!reply.contains("ErrorResponse"), "{reply}");
    }

    /// Nobody knows what is left of a session that has failed: nothing, from here on.
    fn end_sessions(&mut self) {
        let others = "FROM pg_stat_activity WHERE datname = current_database()
             AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
        self.admin.query(&format!("SELECT pg_terminate_backend(pid) {others}"));
        wait_until("the sessions end", || {
            !lines(&self.admin.query(&format!("SELECT 'left' {others}"))).contains("left")
        });
    }

    fn dump(&mut self) -> String {
        lines(&self.admin.query(tables::DUMP))
    }
}

impl World {
    fn new(name: &str, strategy: Strategy, answer: Answer) -> Self {
        let template = Database::named(&format!("template_{name}"));
        template.sql(&tables::schema());
        Self {
            strategy,
            direct: Side::new(&format!("direct_{name}"), &template),
            proxied: Side::new(&format!("proxied_{name}"), &template),
            proxy: Proxy::start(&tables::rules(strategy, answer)),
            played: 0,
            limit: Duration::from_secs(10),
        }
    }

    /// Plays a session on either side.
    fn play(&mut self, steps: &[Step]) -> Result<(), TestCaseError> {
        self.played += 1;
        self.direct.reset();
        self.proxied.reset();
        let mut direct = fresh(&mut self.direct, None, self.played);
        let mut proxied = fresh(&mut self.proxied, Some(&self.proxy), self.played);
        let batches = direct::play(&mut direct, steps, self.strategy);
        let outcome = proxied::play(&mut proxied, &batches, self.limit);
        let (stored, kept) = (self.direct.dump(), self.proxied.dump());
        let outcome = outcome.and_then(|()| same_rows(&stored, &kept));
        self.direct.wire = Some(direct);
        if outcome.is_ok() {
            self.proxied.wire = Some(proxied);
        } else {
            self.limit = Duration::from_millis(500);
            drop(proxied);
            self.proxied.end_sessions();
        }
        outcome.map_err(|difference| TestCaseError::fail(describe(steps, &difference)))
    }
}

/// A session's connection as new; now and then it is.
fn fresh(side: &mut Side, proxy: Option<&Proxy>, number: u32) -> Wire {
    let old = side.wire.take().filter(|_| !number.is_multiple_of(50));
    let Some(mut wire) = old else { return side.connect(proxy) };
    let reply = lines(&wire.query("DISCARD ALL"));
    assert!(!reply.contains("ErrorResponse"), "{reply}");
    wire
}

fn same_rows(stored: &str, kept: &str) -> Result<(), String> {
    if stored == kept {
        return Ok(());
    }
    let only = |these: &str, those: &str| {
        let lines = these.lines().filter(|line| !those.lines().any(|other| other == *line));
        lines.collect::<Vec<_>>().join("\n")
    };
    Err(format!(
        "stored directly only:\n{}\nthrough the proxy only:\n{}",
        only(stored, kept),
        only(kept, stored)
    ))
}

fn describe(steps: &[Step], difference: &str) -> String {
    let mut text = String::from("\n");
    for (number, step) in steps.iter().enumerate() {
        let _ = writeln!(text, "{number:>3}  {step:?}");
    }
    format!("{text}{difference}")
}
