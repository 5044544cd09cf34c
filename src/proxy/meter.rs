//! What one session adds to the numbers: what it has counted, before anything of it is sent; how
//! long it was awake; and how long its client waited for what is the proxy's own.
//!
//! The clock is read in one of so many turns, and where such a wait begins or ends.

use std::time::Instant;

use crate::session::Session;
use crate::session::tally::{Tally, Wait};
use crate::wire::backend::TransactionStatus;

use super::metrics::{Ending, Metrics, Present, State};

/// Of so many turns one is timed.
const SAMPLED: u8 = 16;

/// One session's numbers, on their way.
#[derive(Debug)]
pub(super) struct Meter {
    /// Turns until one is timed.
    turns: u8,
    began: Option<Instant>,
    /// Bytes have come in this turn.
    has_read: bool,
    waits: Option<(Wait, Instant)>,
    present: Present,
}

impl Meter {
    /// The meter of a session; which of its first turns is timed goes by its number.
    pub(super) fn new(present: Present, session: u64) -> Self {
        let turns = u8::try_from(session % u64::from(SAMPLED)).unwrap_or_default();
        Self { turns, began: None, has_read: false, waits: None, present }
    }

    /// The session wakes up.
    pub(super) fn wakes(&mut self) {
        if self.turns == 0 {
            self.began = Some(Instant::now());
        }
    }

    /// Bytes have come.
    pub(super) fn has_read(&mut self) {
        self.has_read = true;
    }

    /// The session has counted something, and is about to send what it led to.
    pub(super) fn count(
        &mut self,
        tally: &mut Tally,
        status: Option<TransactionStatus>,
        metrics: &Metrics,
    ) {
        let traffic = &metrics.traffic;
        tally.take(|place, count| traffic.count(place, count));
        tally.take_errors(|class, count| traffic.errors(class, count));
        self.present.stands(State::of(status));
    }

    /// The session has done something.
    pub(super) fn goes_on(&mut self, session: &Session, metrics: &Metrics) {
        let waits = session.awaits();
        if waits == self.waits.map(|(wait, _)| wait) {
            return;
        }
        let now = Instant::now();
        if let Some((wait, since)) = self.waits {
            metrics.traffic.waited(wait, now.duration_since(since));
        }
        self.waits = waits.map(|wait| (wait, now));
    }

    /// The session has nothing more to do for now: what it read has been written, as far as the
    /// sockets take it.
    pub(super) fn rests(&mut self, metrics: &Metrics) {
        if !std::mem::take(&mut self.has_read) {
            return;
        }
        match self.began.take() {
            Some(began) => {
                metrics.traffic.was_awake(began.elapsed());
                self.turns = SAMPLED - 1;
            }
            None => self.turns = self.turns.saturating_sub(1),
        }
    }

    /// The session is about to end.
    pub(super) fn ends(&mut self, ending: Ending) {
        self.present.ends(ending);
    }
}

impl State {
    fn of(status: Option<TransactionStatus>) -> Self {
        match status {
            None => Self::Login,
            Some(TransactionStatus::Idle) => Self::Idle,
            Some(TransactionStatus::Transaction) => Self::Transaction,
            Some(TransactionStatus::Failed) => Self::Failed,
        }
    }
}
