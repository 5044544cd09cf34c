//! What goes wrong while clients work: now and then something, at any moment.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crate::faults::session::Dice;
use crate::hostile::relay::{Counted, From, Reset, Treatment};
use crate::support::wait_until;
use crate::support::wire::{Wire, startup};

use super::stage::Stage;

/// Pieces of work between one and the next.
const BETWEEN: u64 = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mishap {
    Cancel,
    Terminate,
    Reset,
    Reload,
    Crash,
}

pub struct Mishaps<'a> {
    stage: &'a Stage,
    dice: Dice,
    counts: BTreeMap<Mishap, u64>,
}

impl<'a> Mishaps<'a> {
    pub fn new(stage: &'a Stage) -> Self {
        Self { stage, dice: Dice::new(1), counts: BTreeMap::new() }
    }

    pub fn happen_while(&mut self, goes_on: impl Fn() -> bool) {
        let progress = &self.stage.progress;
        let mut next = progress.load(Ordering::Relaxed) + BETWEEN;
        while goes_on() {
            if progress.load(Ordering::Relaxed) < next {
                thread::park_timeout(Duration::from_millis(5));
                continue;
            }
            next += BETWEEN;
            self.happen();
        }
    }

    fn happen(&mut self) {
        let mishap = match self.dice.below(50) {
            0 => Mishap::Crash,
            1..=9 => Mishap::Reload,
            10..=19 => Mishap::Terminate,
            20..=34 => Mishap::Reset,
            _ => Mishap::Cancel,
        };
        *self.counts.entry(mishap).or_default() += 1;
        match mishap {
            Mishap::Cancel => self.signal("pg_cancel_backend"),
            Mishap::Terminate => self.signal("pg_terminate_backend"),
            Mishap::Reset => self.reset(),
            Mishap::Reload => self.stage.reload(self.counts[&mishap]),
            Mishap::Crash => self.crash(),
        }
    }

    fn server(&self) -> Wire {
        Wire::connect(self.stage.server.address(), &startup(&[]))
    }

    /// To some session, rather to one that works.
    fn signal(&self, function: &str) {
        self.server().query(&format!(
            "SELECT {function}(pid) FROM (SELECT pid FROM pg_stat_activity
             WHERE application_name = 'soak' ORDER BY state = 'active' DESC, random() LIMIT 1) AS it"
        ));
    }

    /// To the next who connects, somewhere.
    fn reset(&mut self) {
        let from = self.dice.pick(&[From::Proxy, From::Server]);
        let counted = self.dice.pick(&[Counted::FromStart, Counted::FromReady]);
        let half = from == From::Server && self.dice.one_in(2);
        let at = self.dice.below(200);
        self.stage.relay.treat(Treatment::Reset(Reset { from, at, half, counted }));
    }

    /// All the server's processes but the one that listens end at once, until it has recovered.
    fn crash(&self) {
        let mut witness = self.server();
        self.server().query("COPY (SELECT 1) TO PROGRAM 'kill -9 $PPID'");
        wait_until("every session ends", || {
            witness.query("SELECT 1").last().is_none_or(|it| it.tag != b'Z')
        });
        wait_until("the server recovers", || {
            let mut wire = Wire::open(self.stage.server.address());
            wire.send(&startup(&[]));
            wire.until(b'Z', 1).last().is_some_and(|it| it.tag == b'Z')
        });
    }
}

impl fmt::Display for Mishaps<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.counts)
    }
}
