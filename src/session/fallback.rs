//! A rewritten statement that the server refuses for its clause: the client's own runs instead,
//! where nothing else has run.
//!
//! What the client sent is sent again, and as the table is not trusted any more, it goes as it is.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::wire::backend::SqlState;
use crate::wire::build;

use super::Session;
use super::expected::{Command, Entry, Execution, Expected, Purpose};
use super::held::Waiting;
use super::name::Name;
use super::passage::Passage;
use super::received::{Failed, Segment};
use super::rewrite::{self, Doubt, Rewritten};
use super::statements::Prepared;
use super::text::Kind;
use super::verified::Named;

/// What runs in the place of what the server has refused.
#[derive(Debug)]
pub(super) struct Fallback {
    again: Vec<Waiting>,
    suspect: Suspect,
}

/// A table whose clause may be what the server has refused.
#[derive(Debug)]
pub(super) struct Suspect {
    named: Named,
    sqlstate: SqlState,
}

impl Session {
    /// Whether the client's own statement runs instead of a rewritten one that has failed for what
    /// may be the clause's doing: then nothing is to be seen of the error. The table is not trusted
    /// any more.
    pub(super) fn falls_back(
        &mut self,
        sqlstate: Option<SqlState>,
        failed: &mut Failed,
        before: Segment,
        passage: &mut Passage<'_, '_>,
    ) -> bool {
        let Some(sqlstate) = sqlstate.filter(|it| rewrite::is_caused(*it)) else { return false };
        let named = self.failing(failed).map(|rewritten| rewritten.named.clone());
        let Some(named) = named else { return false };
        let suspect = Suspect { named, sqlstate };
        let again = match failed {
            Failed::Head if self.is_refused(Some(sqlstate), before) => {
                // The whole text is sent again.
                self.fallback = Some(Box::new(Fallback { again: Vec::new(), suspect }));
                return true;
            }
            Failed::Extended { failed, skipped } if self.stood_alone(before) => {
                again(failed, skipped)
            }
            _ => None,
        };
        let Some(again) = again else {
            // It may be something else; the next time it is taken for the clause. A key that is twice
            // in a statement says nothing of the table at all.
            if sqlstate == SqlState::CARDINALITY {
                return false;
            }
            if self.doubt(&suspect.named, Doubt::Refused(sqlstate)) {
                self.verified.forget(&suspect.named);
            } else {
                self.verified.refuse(suspect.named);
            }
            return false;
        };
        if self.ledger.head().is_none() {
            // The server skips until a Sync that the client has not sent.
            passage.ask_backend(&build::sync());
            self.ledger.sent(Expected::OwnSync);
        }
        self.fallback = Some(Box::new(Fallback { again, suspect }));
        true
    }

    /// Whether the statement that has failed was alone, and nothing behind it has run.
    fn stood_alone(&self, before: Segment) -> bool {
        let alone = before.executed == 0 && before.bound <= 1 && !before.begun;
        let last = self.ledger.is_at_the_end() && self.frontend.at_boundary();
        alone && last && !self.ledger.is_in_block()
    }

    /// What the statement that has failed was rewritten to.
    fn failing<'a>(&'a self, failed: &'a Failed) -> Option<&'a Rewritten> {
        match failed {
            Failed::Head => self.ledger.head()?.rewritten(),
            Failed::Extended { failed, .. } => failed.expected.rewritten(),
            Failed::OutOfStep { .. } | Failed::Unasked => None,
        }
    }

    /// The ReadyForQuery behind what was refused has come: what the client sent is sent again.
    pub(super) fn fall_back(&mut self, fallback: Fallback, clients: bool) {
        self.suspect = Some(Box::new(fallback.suspect));
        if clients {
            self.waiting.push_front(Waiting::new(build::sync()));
        }
        for message in fallback.again.into_iter().rev() {
            self.waiting.push_front(message);
        }
    }

    /// Whether what runs now runs in the place of a statement that was rewritten for this name.
    pub(super) fn suspects(&self, named: &Named) -> bool {
        self.suspect.as_ref().is_some_and(|suspect| suspect.named == *named)
    }

    /// What runs in the place of a rewritten statement has failed as well: it was not the clause.
    pub(super) fn acquit(&mut self) {
        if let Some(suspect) = self.suspect.take() {
            self.verified.forget(&suspect.named);
        }
    }

    /// What runs in the place of a rewritten statement has succeeded: it was the clause.
    pub(super) fn convict(&mut self) {
        if let Some(suspect) = self.suspect.take() {
            let Suspect { named, sqlstate } = *suspect;
            self.verified.refuse(named.clone());
            self.doubt(&named, Doubt::Refused(sqlstate));
        }
    }

    /// Makes a prepared statement of the client's own text, ahead of what needs it so.
    pub(super) fn restore(&mut self, name: &[u8], prepared: &Prepared) -> (Arc<Prepared>, Bytes) {
        let original = Arc::new(Prepared { rewritten: None, ..prepared.clone() });
        let Kind::MayInsert(text) = &prepared.text.kind else { return (original, Bytes::new()) };
        let mut out = BytesMut::from(&build::close_statement(name)[..]);
        out.extend_from_slice(&build::parse(name, text, &prepared.types));
        out.extend_from_slice(&build::close_statement(NOTHING));
        let name = Name::new(name);
        self.statements.sent_statement(&name, Some(Arc::clone(&original)));
        let makes = Some((name, Arc::clone(&original)));
        self.sent_own(Expected::Own(Command { makes, ..Command::new(Purpose::Restore, 2) }));
        (original, out.freeze())
    }
}

/// The messages that run what failed once more, and what the server skipped with it, if all of them
/// were kept.
fn again(failed: &Entry, skipped: &mut Vec<Entry>) -> Option<Vec<Waiting>> {
    let mut again = Vec::new();
    if let Expected::Execute(execution) = &failed.expected {
        again.push(bind_again(execution)?);
    }
    let is_own = |entry: &Entry| matches!(entry.expected, Expected::Own(_));
    for entry in std::iter::once(failed).chain(skipped.iter()).filter(|entry| !is_own(entry)) {
        let message = entry.message()?.clone();
        again.push(Waiting { is_answered: entry.is_answered, ..Waiting::new(message) });
    }
    skipped.clear();
    Some(again)
}

/// The portal is gone with the transaction: it is made again, and the client knows.
fn bind_again(execution: &Execution) -> Option<Waiting> {
    let bound = execution.bound.as_ref()?;
    let values = Some(&bound.values).filter(|values| !values.is_empty())?;
    let portal = execution.portal.bytes();
    let message = build::bind(portal, bound.statement.bytes(), values);
    Some(Waiting { is_answered: true, ..Waiting::new(message) })
}

/// The name of no prepared statement: closing it ends a command.
const NOTHING: &[u8] = b"pgabsorb_none";
