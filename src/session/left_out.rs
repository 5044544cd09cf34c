//! A rewritten statement has ended: what it left out, and what the client is told of it.

use bytes::Bytes;

use crate::rules::{Action, Strategy};
use crate::sql::{self, Value};
use crate::wire::frame::Frame;
use crate::wire::{backend, build, frontend};

use super::Session;
use super::output::{Conflict, Note, Outcome};
use super::passage::Passage;
use super::rewrite::Rewritten;
use super::text::{Kind, Text};
use super::verified::Fact;

/// What the client has said.
pub(super) struct Said<'a> {
    pub(super) text: &'a Text,
    /// What stands behind the names of a Bind.
    pub(super) values: &'a [u8],
    /// The text's shape, if it is known.
    pub(super) fingerprint: Option<u64>,
}

impl Session {
    /// The CommandComplete of a rewritten statement has come. Rows that it left out are told; what
    /// comes back goes to the client in its place, if anything does.
    pub(super) fn rewritten_ended(
        &self,
        rewritten: &Rewritten,
        said: &Said<'_>,
        frame: &Frame<'_>,
        passage: &mut Passage<'_, '_>,
    ) -> Option<Bytes> {
        let inserted = backend::inserted_rows(frame.bytes)?;
        let told = rewritten.told_rows.filter(|told| *told != inserted);
        let left_out = rewritten.rows_requested.is_some_and(|requested| inserted < requested);
        if left_out {
            let conflict = self.left_out(rewritten, inserted, said);
            passage.note(Note::Conflict(Box::new(conflict)));
        }
        told.map(|rows| build::command_complete(&format!("INSERT 0 {rows}")))
    }

    fn left_out(&self, rewritten: &Rewritten, inserted: u32, said: &Said<'_>) -> Conflict {
        let sure = rewritten.facts.hold(Fact::Untriggered);
        let text: &[u8] = match &said.text.kind {
            Kind::MayInsert(text) => text,
            _ => b"",
        };
        let fingerprint = || sql::fingerprint(text, self.syntax);
        Conflict {
            outcome: if sure { Outcome::Absorbed } else { Outcome::LeftOut },
            strategy: Strategy::Rewrite,
            rule: Some((rewritten.rule.clone(), Action::Absorb)),
            constraint: rewritten.constraint.clone(),
            columns: rewritten.columns.clone(),
            detail: detail(rewritten, text, said.values),
            origin: self.origin.clone(),
            backend_pid: self.backend_pid,
            transaction_status: self.status,
            statement: Some("insert"),
            rows_requested: rewritten.rows_requested,
            rows_inserted: Some(inserted),
            fingerprint: said.fingerprint.or_else(|| Some(fingerprint())),
        }
    }
}

/// The values of the key, as the server's own error would have them in its detail field, in English;
/// `None` if any of them takes more than to be read off the text or the parameters.
fn detail(rewritten: &Rewritten, text: &[u8], values: &[u8]) -> Option<Vec<u8>> {
    let columns = rewritten.columns.as_ref()?;
    let value = |value: &Value| match value {
        Value::Parameter(number) => frontend::text_parameter(values, *number),
        Value::Literal(range) => text.get(range.clone()),
        Value::Other => None,
    };
    let key: Vec<_> = rewritten.key.as_ref()?.iter().map(value).collect::<Option<_>>()?;
    let mut detail = format!("Key ({columns})=(").into_bytes();
    detail.extend(key.join(&b", "[..]));
    detail.extend(b") already exists.");
    Some(detail)
}
