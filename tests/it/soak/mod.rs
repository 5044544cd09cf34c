//! A soak: clients of every kind, half of them encrypted, work through one proxy for a long
//! time, while sessions are terminated, cancelled and cut off, rules are read anew, and the server crashes.
//!
//! After each round all leave. Then what they were told is stored is stored, and nothing else is but
//! what nobody was told the end of; the log has a line for each duplicate; nothing that the proxy
//! took for a session is left; and its memory does not grow from round to round.
//!
//! `PGABSORB_SOAK_SECONDS=1800 cargo test --release --test it soak -- --nocapture` goes on for
//! longer than the usual time.

mod client;
mod connection;
mod ledger;
mod mishap;
mod stage;

use std::env;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use client::Client;
use ledger::Ledger;
use mishap::Mishaps;
use stage::Stage;

const CLIENTS: u64 = 16;

/// Rounds of the usual run, and the pieces of work in each.
const ROUNDS: usize = 4;
const WORK: u64 = 500;

/// Those of a round in a longer run.
const MORE_WORK: u64 = 4000;

/// How much more memory, in KiB, the proxy may hold in a later round than in an earlier one: what the
/// allocator keeps depends on who was there at once.
const SLACK: u64 = 4096;

#[test]
fn what_was_acknowledged_is_stored_and_nothing_grows() {
    let seconds = env::var("PGABSORB_SOAK_SECONDS").ok().and_then(|it| it.parse().ok());
    let duration = seconds.map(Duration::from_secs);
    let work = if duration.is_some() { MORE_WORK } else { WORK };
    let stage = Stage::new();
    let mut mishaps = Mishaps::new(&stage);
    let (mut whole, mut memory) = (Ledger::default(), Vec::new());
    let start = Instant::now();
    while duration.map_or(memory.len() < ROUNDS, |it| start.elapsed() < it) {
        let ledger = play(&stage, &mut mishaps, work);
        stage.check(&ledger);
        memory.push(stage.proxy.memory());
        println!("{:?}, {:?} KiB: {ledger}", start.elapsed(), memory.last());
        whole.add_counts(&ledger);
    }
    println!("in all: {whole}; {mishaps}");
    whole.check();
    assert_flat(&memory);
}

/// One round: all work until so much is done, and leave.
fn play(stage: &Stage, mishaps: &mut Mishaps<'_>, work: u64) -> Ledger {
    stage.begin();
    let end = stage.progress.load(Ordering::Relaxed) + work;
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| scope.spawn(move || Client::new(stage, number).work_until(end)))
            .collect();
        mishaps.happen_while(|| clients.iter().any(|it| !it.is_finished()));
        let mut whole = Ledger::default();
        for client in clients {
            match client.join() {
                Ok(ledger) => whole.add(ledger),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        whole
    })
}

/// The later half of the rounds holds no more than the first half did.
fn assert_flat(memory: &[u64]) {
    let (first, last) = memory.split_at(memory.len() / 2);
    let most = |rounds: &[u64]| rounds.iter().copied().max().unwrap_or_default();
    assert!(most(last) <= most(first) + SLACK, "memory grows, in KiB: {memory:?}");
}
