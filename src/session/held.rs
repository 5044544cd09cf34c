//! An ErrorResponse that is about to be absorbed, until ReadyForQuery says that it may be.

use bytes::{Bytes, BytesMut};

use crate::wire::backend::TransactionStatus;

use super::Session;
use super::output::{Conflict, Note, Outcome};
use super::passage::Passage;
use super::recovery::Reason;

/// An error held back, and both answers that may take its place.
#[derive(Debug)]
pub(super) struct Held {
    /// The server's ErrorResponse, as it came.
    pub(super) error: Bytes,
    /// What the client gets instead: CommandComplete, and replies to what the server skipped.
    pub(super) success: BytesMut,
    /// Notices and parameters that came after it.
    pub(super) behind: BytesMut,
    pub(super) conflict: Box<Conflict>,
}

impl Held {
    /// A message that came behind the error, and stays behind it.
    pub(super) fn follow(&mut self, bytes: &[u8]) {
        self.behind.extend_from_slice(bytes);
    }

    fn answer(self, outcome: Outcome, passage: &mut Passage<'_, '_>) {
        let first = if outcome == Outcome::Absorbed { &self.success[..] } else { &self.error[..] };
        passage.insert(first);
        if !self.behind.is_empty() {
            passage.insert(&self.behind);
        }
        let rows = (outcome == Outcome::Absorbed).then_some(0);
        let conflict = Conflict { outcome, rows_inserted: rows, ..*self.conflict };
        passage.note(Note::Conflict(Box::new(conflict)));
    }
}

impl Session {
    /// ReadyForQuery has come: outside a transaction block everything since the last one is
    /// undone, and that was the one statement.
    pub(super) fn settle_held(&mut self, passage: &mut Passage<'_, '_>) {
        let Some(held) = self.held.take() else { return };
        let outcome = match self.status {
            Some(TransactionStatus::Idle) => Outcome::Absorbed,
            Some(_) => Outcome::Shown(Reason::InTransaction),
            None => Outcome::Shown(Reason::Unconfirmed),
        };
        held.answer(outcome, passage);
    }

    /// Something else has come, or nothing comes any more: the error is shown.
    pub(super) fn show_held(&mut self, passage: &mut Passage<'_, '_>) {
        if let Some(held) = self.held.take() {
            held.answer(Outcome::Shown(Reason::Unconfirmed), passage);
        }
    }
}
