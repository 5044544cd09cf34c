//! What a COPY from the client does to the replies that are to come: the server eats what is sent behind
//! it, up to its end.

use super::super::expected::{Entry, Expected};
use super::super::guard::Behind;
use super::{Intake, Ledger};

impl Ledger {
    /// What a COPY has eaten: told once.
    pub(in crate::session) fn take_eaten(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.eaten)
    }

    /// CopyInResponse: the server now eats what it is sent, up to CopyDone or CopyFail.
    pub(super) fn copy_in(&mut self) {
        let is_end = |entry: &Entry| matches!(entry.expected, Expected::CopyEnd);
        let end = self.queue.iter().position(is_end);
        let last = end.unwrap_or_else(|| self.queue.len().saturating_sub(1));
        self.ate = match self.queue.front_mut() {
            Some(Entry { expected: Expected::Run(run), .. }) => run.cut(),
            _ => false,
        };
        for entry in self.queue.drain(1..=last).collect::<Vec<_>>() {
            if matches!(entry.expected, Expected::Own(_)) {
                self.behind = Behind::Statement;
            }
            self.taken(&entry);
            self.ate |= !is_end(&entry);
            self.eaten.push(entry);
        }
        let is_end = |entry: &Entry| entry.expected.ends_with_ready();
        self.ended = self.queue.iter().rposition(is_end).map_or(0, |at| at + 1);
        self.look_ahead();
        if end.is_none() {
            self.intake = Intake::CopyIn;
        }
    }

    /// Outside COPY the server ignores CopyDone and CopyFail.
    pub(super) fn drop_stray_copy_ends(&mut self) {
        while self.copy_ends > 0 && matches!(self.head(), Some(Expected::CopyEnd)) {
            self.pop();
        }
    }
}
