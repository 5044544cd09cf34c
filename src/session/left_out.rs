//! A rewritten statement has ended: what it left out, and what the client is told of it.

use bytes::Bytes;

use crate::rules::{Action, Strategy};
use crate::sql;
use crate::wire::backend;
use crate::wire::build;
use crate::wire::frame::Frame;

use super::Session;
use super::output::{Conflict, Note, Outcome};
use super::passage::Passage;
use super::rewrite::Rewritten;
use super::text::{Kind, Text};
use super::verified::Fact;

impl Session {
    /// The CommandComplete of a rewritten statement has come. Rows that it left out are told; what
    /// comes back goes to the client in its place, if anything does.
    pub(super) fn rewritten_ended(
        &self,
        rewritten: &Rewritten,
        text: &Text,
        frame: &Frame<'_>,
        passage: &mut Passage<'_, '_>,
    ) -> Option<Bytes> {
        let inserted = backend::inserted_rows(frame.bytes)?;
        let told = rewritten.told_rows.filter(|told| *told != inserted);
        let left_out = rewritten.rows_requested.is_some_and(|requested| inserted < requested);
        if left_out && rewritten.leaves_out {
            passage.note(Note::Conflict(Box::new(self.left_out(rewritten, inserted, text))));
        }
        told.map(|rows| build::command_complete(&format!("INSERT 0 {rows}")))
    }

    fn left_out(&self, rewritten: &Rewritten, inserted: u32, text: &Text) -> Conflict {
        let sure = rewritten.facts.hold(Fact::Untriggered);
        let fingerprint = match &text.kind {
            Kind::MayInsert(text) => Some(sql::fingerprint(text, self.syntax)),
            _ => None,
        };
        Conflict {
            outcome: if sure { Outcome::Absorbed } else { Outcome::LeftOut },
            strategy: Strategy::Rewrite,
            rule: Some((rewritten.rule.clone(), Action::Absorb)),
            constraint: rewritten.constraint.clone(),
            columns: rewritten.columns.clone(),
            detail: None,
            origin: self.origin.clone(),
            backend_pid: self.backend_pid,
            transaction_status: self.status,
            statement: Some("insert"),
            rows_requested: rewritten.rows_requested,
            rows_inserted: Some(inserted),
            fingerprint,
        }
    }
}
