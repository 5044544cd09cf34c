//! A statement run again with ON CONFLICT: the client's own text, with the clause in it.

use bytes::{Bytes, BytesMut};

use crate::sql::Insert;
use crate::wire::build;

use super::expected::{Command, Execution, Expected, Purpose};
use super::held::{Again, Held};
use super::recovery::Reason;
use super::text::Kind;

/// The name of the statement that runs again. Its portal has the client's name: the client may go
/// on fetching from it.
const NAME: &str = "pgabsorb_redo";

/// Whether everything is at hand that running the statement again takes.
pub(super) fn is_possible(held: &Held) -> Result<(), Reason> {
    let at_hand = match &held.again {
        Again::Not => false,
        Again::Query { .. } => true,
        Again::Execute { execution, .. } => {
            execution.bound.as_ref().is_some_and(|bound| !bound.values.is_empty())
        }
    };
    if at_hand { Ok(()) } else { Err(Reason::TooLarge) }
}

/// The text that holds the statement, and the statement.
pub(super) fn subject(held: &Held) -> Option<(&[u8], &Insert)> {
    let text: &[u8] = match &held.again {
        Again::Not => return None,
        Again::Query { text, .. } => text,
        Again::Execute { execution, .. } => match &execution.bound.as_ref()?.prepared.text.kind {
            Kind::MayInsert(text) => text,
            _ => return None,
        },
    };
    Some((text, held.asked.insert()?))
}

/// The statement's text, with the clause; empty if there is none to run again.
pub(super) fn text(held: &Held) -> BytesMut {
    let mut redo = BytesMut::new();
    if let (Some((text, insert)), Some(part)) = (subject(held), held.asked.part()) {
        redo.extend_from_slice(text.get(part.range.start..insert.conflict_at).unwrap_or_default());
        redo.extend_from_slice(&held.clause);
        redo.extend_from_slice(text.get(insert.conflict_at..part.range.end).unwrap_or_default());
    }
    redo
}

/// The messages that run a portal's statement again, and their entry.
pub(super) fn messages(held: &Held, execution: &Execution) -> (Bytes, Expected) {
    let portal = execution.portal.bytes();
    let mut closes = 2;
    let mut out = BytesMut::new();
    out.extend_from_slice(&build::close_statement(NAME.as_bytes()));
    if let Some(bound) = &execution.bound {
        out.extend_from_slice(&build::parse(NAME.as_bytes(), &text(held), &bound.prepared.types));
        if !portal.is_empty() {
            out.extend_from_slice(&build::close_portal(portal));
            closes += 1;
        }
        out.extend_from_slice(&build::bind(portal, NAME.as_bytes(), &bound.values));
        out.extend_from_slice(&build::execute(portal, execution.max_rows));
    }
    out.extend_from_slice(&build::close_statement(NAME.as_bytes()));
    (out.freeze(), Expected::Own(Command::new(Purpose::Redo, closes)))
}
