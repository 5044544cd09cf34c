//! The short way through the ledger: of messages that concern no rule, and of the replies to them.

use crate::wire::backend::TransactionStatus;

use super::super::block::Block;
use super::super::expected::{Entry, Expected, Step};
use super::super::received::Segment;
use super::super::run::{Plain, Run};
use super::{Ledger, Retention};

impl Ledger {
    /// Whether it reads what is sent, and none of that has to be kept or may be taken back.
    pub(in crate::session) fn is_free(&self) -> bool {
        let kept = self.guards > 0 || self.retention == Retention::Kept;
        self.is_reading() && self.is_sure() && !kept
    }

    /// A message that concerns no rule goes to a server that reads it.
    pub(in crate::session) fn sent_plain(&mut self, message: Plain) {
        let fits = match self.queue.back_mut() {
            Some(Entry { expected: Expected::Run(run), is_answered: false, .. }) => {
                run.push(message)
            }
            _ => false,
        };
        if !fits {
            self.push_run(message);
        }
    }

    /// The same of one that ends with a ReadyForQuery of its own.
    pub(in crate::session) fn sent_plain_end(&mut self, expected: Expected) {
        self.push_weighed(expected.into());
        self.ended = self.queue.len();
    }

    /// Whether nothing was sent behind an Execute but what may be answered without it.
    pub(super) fn ends_with_an_execution(&self) -> bool {
        let last = self.queue.back().map(|entry| &entry.expected);
        matches!(last, Some(Expected::Execute(_) | Expected::Describe(_) | Expected::Close { .. }))
    }

    /// One such message that none can be put behind, or of which there is none yet.
    pub(super) fn push_run(&mut self, message: Plain) {
        self.push_weighed(Expected::Run(Run::of(message)).into());
    }

    /// One of which nothing is kept.
    fn push_weighed(&mut self, mut entry: Entry) {
        entry.weight = size_of::<Entry>();
        self.weight += entry.weight;
        self.queue.push_back(entry);
    }

    /// Takes a reply that goes on as it comes, and of which nothing is to be learnt; whether it is
    /// one. Most are, and what else could be the case is asked only of the others.
    pub(in crate::session) fn passes(&mut self, tag: u8) -> bool {
        let Some(head) = self.queue.front_mut() else { return false };
        if tag == b'D' && head.expected.passes_rows() {
            (self.segment.open, self.segment.begun) = (true, true);
            return true;
        }
        let run = match head {
            Entry { expected: Expected::Run(run), is_answered: false, .. } => run,
            Entry { expected: Expected::PlainQuery, .. } => return self.passes_part(tag),
            _ => return false,
        };
        match run.step(tag) {
            Step::Part if tag == b't' => self.segment.open = true,
            Step::Part | Step::None => return false,
            Step::Last => {
                self.ate = false;
                if run.pop_front().is_none() {
                    drop(self.pop_entry());
                }
                self.count(tag);
            }
        }
        true
    }

    /// Of the reply to a Query.
    fn passes_part(&mut self, tag: u8) -> bool {
        let passes = matches!(tag, b'T' | b'C' | b'I');
        if passes {
            self.part(tag);
        }
        passes
    }

    /// The same of a ReadyForQuery: it answers a Sync or Query of the client's of which nothing was kept,
    /// and the transaction block is what it was taken to be.
    pub(in crate::session) fn passes_ready(&mut self, status: Option<TransactionStatus>) -> bool {
        let ends = matches!(self.head(), Some(Expected::Sync | Expected::PlainQuery));
        let passes = ends && self.here == Block::from(status) && self.is_sure();
        if passes {
            self.ate = false;
            self.segment = Segment::default();
            drop(self.pop_entry());
        }
        passes
    }
}
