//! Prepared statements and portals by name: what the server has made, as far as its replies say.
//!
//! The maps change only when ParseComplete, BindComplete or CloseComplete has come, so they
//! show the server as it was when it sent the reply in hand: a Parse that failed or was
//! skipped never counts. Only texts that may hold an INSERT are kept.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::sql::{self, Syntax};

/// The longest name the server keeps, in bytes: `NAMEDATALEN - 1`. The rest is cut off.
const NAME_LIMIT: usize = 63;

/// The name of a prepared statement or portal; empty for the unnamed one.
///
/// The server cuts it in its own encoding: beyond ASCII two names may be one to it that are not to
/// the client, or the other way round. So nothing is kept under such a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Name(SmallVec<[u8; 24]>);

impl Name {
    /// A name as the server will know it.
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(SmallVec::from_slice(bytes.get(..NAME_LIMIT).unwrap_or(bytes)))
    }
}

/// What is kept of a statement's text until an error asks what it was.
#[derive(Clone, Debug, Default)]
pub(super) enum Text {
    /// It may hold an INSERT: the text itself, to be classified if need be.
    MayInsert(Arc<[u8]>),
    /// It may be COMMIT or SET CONSTRAINTS, where deferred constraints are checked.
    DeferredChecks,
    /// It is longer than the inspection limit.
    TooLarge,
    /// It is none of these.
    #[default]
    Other,
}

impl Text {
    /// What is to be kept of a text; `None` is one longer than the inspection limit.
    pub(super) fn of(text: Option<&[u8]>) -> Self {
        match text {
            None => Self::TooLarge,
            Some(text) if sql::may_insert(text) => Self::MayInsert(text.into()),
            Some(text) if sql::may_check_deferred(text) => Self::DeferredChecks,
            Some(_) => Self::Other,
        }
    }
}

/// A statement's text and how the server read it.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) text: Text,
    pub(super) syntax: Syntax,
}

/// The prepared statements and portals of one session.
#[derive(Debug, Default)]
pub(super) struct Statements {
    prepared: HashMap<Name, Prepared>,
    portals: HashMap<Name, Prepared>,
    /// Parsed in this segment behind a statement that ran.
    unsettled: Vec<Name>,
}

impl Statements {
    /// ParseComplete: `name` now is this statement, which was parsed behind another that ran in
    /// the same segment, or not.
    pub(super) fn parsed(&mut self, name: Name, text: Text, syntax: Syntax, behind: bool) {
        if behind && !matches!(text, Text::Other) {
            self.unsettled.push(name.clone());
        }
        put(&mut self.prepared, name, Some(Prepared { text, syntax }));
    }

    /// BindComplete: `portal` now runs what `statement` is.
    pub(super) fn bound(&mut self, portal: Name, statement: &Name) {
        let prepared = self.prepared.get(statement).cloned();
        put(&mut self.portals, portal, prepared);
    }

    /// CloseComplete for a prepared statement; portals made of it go on.
    pub(super) fn closed_statement(&mut self, name: &Name) {
        self.prepared.remove(name);
    }

    /// CloseComplete for a portal.
    pub(super) fn closed_portal(&mut self, name: &Name) {
        self.portals.remove(name);
    }

    /// An error undid a SET, if there was one, so that nothing will tell how the texts behind it
    /// were read; the statements made of them stay.
    pub(super) fn rolled_back(&mut self) {
        for name in self.unsettled.drain(..) {
            self.prepared.remove(&name);
        }
    }

    /// ReadyForQuery: outside a transaction block the portals are gone.
    pub(super) fn segment_ended(&mut self, transaction_ended: bool) {
        self.unsettled.clear();
        if transaction_ended {
            self.portals.clear();
        }
    }

    /// The names may mean anything now: SQL-level PREPARE and DEALLOCATE share them.
    pub(super) fn forget(&mut self) {
        self.prepared.clear();
        self.portals.clear();
    }

    /// What a portal runs, if it may be an INSERT.
    pub(super) fn portal(&self, name: &Name) -> Option<&Prepared> {
        self.portals.get(name)
    }

    /// What a prepared statement is, if it may be an INSERT.
    pub(super) fn statement(&self, name: &Name) -> Option<&Prepared> {
        self.prepared.get(name)
    }
}

fn put(map: &mut HashMap<Name, Prepared>, name: Name, prepared: Option<Prepared>) {
    match prepared {
        Some(prepared) if name.0.is_ascii() && !matches!(prepared.text, Text::Other) => {
            map.insert(name, prepared);
        }
        _ if map.is_empty() => {}
        _ => {
            map.remove(&name);
        }
    }
}
