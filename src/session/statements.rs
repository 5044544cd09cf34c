//! Prepared statements and portals by name.
//!
//! What the server has made is known when ParseComplete, BindComplete or CloseComplete has come: a
//! message that failed or was skipped never counts. What has been sent and not answered yet is
//! `pending`, and good for the rest of its own segment, which the server skips if the message
//! fails. Only what may be an INSERT, or changes more than tables, is kept.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::RandomState;

use super::block::Effect;
use super::name::Name;
use super::rewrite::Rewritten;
use super::text::{Renames, Text};

/// A prepared statement.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) text: Text,
    /// The table that it inserts into, if it is an INSERT.
    pub(super) table: Option<String>,
    /// The parameters' types as the Parse gave them: a count and OIDs.
    pub(super) types: Bytes,
    /// How texts were read when it was parsed: see [`Session::reading`](super::Session).
    pub(super) reading: u32,
    /// Whether its text is the same in any syntax.
    pub(super) alike: bool,
    /// What the server has of it in addition to the client's text.
    pub(super) rewritten: Option<Arc<Rewritten>>,
    /// The text's shape, if it was rewritten.
    pub(super) fingerprint: Option<u64>,
}

impl Prepared {
    /// What a name stands for that may be anything.
    pub(super) fn unsure() -> Self {
        Self {
            text: Text::UNSURE,
            table: None,
            types: Bytes::new(),
            reading: 0,
            alike: false,
            rewritten: None,
            fingerprint: None,
        }
    }
}

impl Prepared {
    /// Whether it was rewritten so that it hits no other constraint that is absorbed.
    pub(super) fn is_covered(&self) -> bool {
        self.rewritten.as_ref().is_some_and(|rewritten| rewritten.covers)
    }
}

/// A portal.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) prepared: Arc<Prepared>,
    /// The prepared statement's name.
    pub(super) statement: Name,
    /// The Bind behind its two names: parameters and formats; empty if they were not kept.
    pub(super) values: Bytes,
}

/// What a name stands for at the point that has been sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resolved<T> {
    Known(T),
    /// Nothing that is kept: no INSERT.
    Nothing,
    /// A reply that is under way decides.
    Unsure,
}

/// What one kind of name stands for.
#[derive(Debug)]
struct Names<T> {
    known: ByName<Arc<T>>,
    /// Bytes of what is known.
    weight: usize,
    pending: ByName<Pending<T>>,
}

/// A client can only slow down itself by names that share a place: a hash that is fast does.
type ByName<T> = HashMap<Name, T, RandomState>;

/// The last change to a name that was sent and has not been answered.
#[derive(Debug)]
struct Pending<T> {
    value: Option<Arc<T>>,
    segment: u64,
    /// Changes of this name that are under way.
    changes: u32,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { known: ByName::default(), weight: 0, pending: ByName::default() }
    }
}

/// What takes memory for as long as it is known.
pub(super) trait Weighs {
    /// Bytes, about.
    fn weight(&self) -> usize;
}

impl Weighs for Prepared {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.text.weight() + self.types.len()
    }
}

/// Without its statement.
impl Weighs for Bound {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.values.len()
    }
}

impl<T: Weighs> Names<T> {
    /// Whether the change matters, so that its end has to be told.
    fn sent(&mut self, name: &Name, value: Option<Arc<T>>, segment: u64) -> bool {
        let changes = self.pending.get(name).map_or(0, |pending| pending.changes);
        let matters = value.is_some() || changes > 0 || self.known.contains_key(name);
        if matters {
            let pending = Pending { value, segment, changes: changes + 1 };
            self.pending.insert(name.clone(), pending);
        }
        matters
    }

    /// A change was answered or dropped: it is no longer under way.
    fn settle(&mut self, name: &Name) {
        if let Some(pending) = self.pending.get_mut(name) {
            pending.changes -= 1;
            if pending.changes == 0 {
                self.pending.remove(name);
            }
        }
    }

    fn answered(&mut self, name: &Name, value: Option<Arc<T>>) {
        self.settle(name);
        match value {
            Some(value) if name.bytes().is_ascii() => self.know(name.clone(), value),
            _ => self.forget(name),
        }
    }

    fn know(&mut self, name: Name, value: Arc<T>) {
        self.weight += value.weight();
        if let Some(before) = self.known.insert(name, value) {
            self.weight -= before.weight();
        }
    }

    fn forget(&mut self, name: &Name) {
        if let Some(before) = self.known.remove(name) {
            self.weight -= before.weight();
        }
    }

    fn are_unknown(&self) -> bool {
        self.known.is_empty() && self.pending.is_empty()
    }

    fn forget_all(&mut self) {
        self.known.clear();
        self.weight = 0;
    }

    fn resolve(&self, name: &Name, segment: u64) -> Resolved<Arc<T>> {
        let value = match self.pending.get(name) {
            Some(pending) if pending.segment == segment => pending.value.clone(),
            Some(_) => return Resolved::Unsure,
            None => self.known.get(name).cloned(),
        };
        value.filter(|_| name.bytes().is_ascii()).map_or(Resolved::Nothing, Resolved::Known)
    }
}

/// The prepared statements and portals of one session.
#[derive(Debug, Default)]
pub(super) struct Statements {
    prepared: Names<Prepared>,
    portals: Names<Bound>,
    /// Parsed in this segment behind a statement that ran, and read by a syntax that it may have
    /// changed.
    unsettled: Vec<Name>,
    /// Counts the segments that were sent.
    segment: u64,
    /// Statements under way that may give names another meaning.
    renaming: u32,
    /// Whether any statement was ever rewritten.
    rewritten: bool,
}

impl Statements {
    /// A Parse or the Close of a statement is sent; whether its end has to be told.
    pub(super) fn sent_statement(&mut self, name: &Name, prepared: Option<Arc<Prepared>>) -> bool {
        self.rewritten |= prepared.as_ref().is_some_and(|it| it.rewritten.is_some());
        self.prepared.sent(name, prepared, self.segment)
    }

    /// Bytes that they take, about.
    pub(super) fn weight(&self) -> usize {
        self.prepared.weight + self.portals.weight
    }

    /// Whether a statement that was rewritten may be among them.
    pub(super) fn may_be_rewritten(&self) -> bool {
        self.rewritten
    }

    /// A Bind or the Close of a portal is sent; whether its end has to be told.
    pub(super) fn sent_portal(&mut self, name: &Name, bound: Option<Arc<Bound>>) -> bool {
        self.portals.sent(name, bound, self.segment)
    }

    /// A Sync or Query is sent: what has no answer yet may fail without the next ones being
    /// skipped.
    pub(super) fn sent_end(&mut self) {
        self.segment += 1;
    }

    /// Whether nothing is kept of any name, and nothing is under way that would change that.
    pub(super) fn are_unknown(&self) -> bool {
        self.renaming == 0 && self.prepared.are_unknown() && self.portals.are_unknown()
    }

    /// A statement is sent that may give names another meaning.
    pub(super) fn sent_renaming(&mut self) {
        self.renaming += 1;
    }

    /// Such a statement has ended.
    pub(super) fn renaming_ended(&mut self) {
        self.renaming = self.renaming.saturating_sub(1);
    }

    /// ParseComplete: `name` now is this statement, which was parsed behind another that ran in
    /// the same segment, or not.
    pub(super) fn parsed(&mut self, name: &Name, prepared: Option<Arc<Prepared>>, behind: bool) {
        if behind && prepared.as_ref().is_some_and(|prepared| !prepared.alike) {
            self.unsettled.push(name.clone());
        }
        self.prepared.answered(name, prepared);
    }

    /// BindComplete, or CloseComplete for a portal.
    pub(super) fn bound(&mut self, portal: &Name, bound: Option<Arc<Bound>>) {
        self.portals.answered(portal, bound);
    }

    /// CloseComplete for a prepared statement; portals made of it go on.
    pub(super) fn closed_statement(&mut self, name: &Name) {
        self.prepared.answered(name, None);
    }

    /// A Parse or the Close of a statement was not done.
    pub(super) fn dropped_statement(&mut self, name: &Name) {
        self.prepared.settle(name);
    }

    /// A Bind or the Close of a portal was not done.
    pub(super) fn dropped_portal(&mut self, name: &Name) {
        self.portals.settle(name);
    }

    /// An error undid a SET, if there was one, so that nothing will tell how the texts behind it
    /// were read; the statements made of them stay.
    pub(super) fn rolled_back(&mut self) {
        for name in self.unsettled.drain(..) {
            self.prepared.may_differ(&name);
        }
    }

    /// ReadyForQuery: outside a transaction block the portals are gone.
    pub(super) fn segment_ended(&mut self, transaction_ended: bool) {
        self.unsettled.clear();
        if transaction_ended && !self.portals.known.is_empty() {
            self.portals.forget_all();
        }
    }

    /// The names may mean anything now: SQL-level PREPARE and DEALLOCATE share them.
    ///
    /// A portal goes on being what it was bound to, unless all may have been dropped.
    pub(super) fn forget(&mut self, names: &Renames) {
        let all: Vec<_>;
        let names = match names {
            Renames::These(names) if !names.is_empty() => names,
            _ => {
                all = self.prepared.known.keys().cloned().collect();
                self.portals.forget_all();
                &all
            }
        };
        for name in names {
            self.prepared.may_differ(name);
        }
    }

    /// What a prepared statement is, if it may be an INSERT.
    pub(super) fn statement(&self, name: &Name) -> Resolved<Arc<Prepared>> {
        if self.renaming > 0 {
            return Resolved::Unsure;
        }
        if !name.bytes().is_ascii() {
            return Resolved::Known(Arc::new(Prepared::unsure()));
        }
        self.prepared.resolve(name, self.segment)
    }

    /// What a portal runs, if it may be an INSERT.
    pub(super) fn portal(&self, name: &Name) -> Resolved<Arc<Bound>> {
        if self.renaming > 0 {
            return Resolved::Unsure;
        }
        self.portals.resolve(name, self.segment)
    }
}

impl Names<Prepared> {
    /// A name may stand for something else now; for what changes the transaction block it may still.
    fn may_differ(&mut self, name: &Name) {
        match self.known.get(name) {
            Some(prepared) if prepared.text.effect != Effect::NOTHING => {
                self.know(name.clone(), Arc::new(Prepared::unsure()));
            }
            _ => self.forget(name),
        }
    }
}
