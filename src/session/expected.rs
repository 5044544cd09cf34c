//! What asks for a reply: the messages of the client's, and the proxy's own.

use std::sync::Arc;

use bytes::Bytes;

use crate::wire::backend::SqlState;

use super::block::Effect;
use super::name::Name;
use super::rewrite::Rewritten;
use super::run::{Plain, Run};
use super::splice::{Piece, Splice};
use super::statements::{Bound, Prepared, Weighs as _};
use super::text::{Kind, Renames, Text};

/// A reply that is to come, named for the message that asked for it.
#[derive(Debug)]
pub(super) enum Expected {
    /// The end of start-up and authentication.
    Startup,
    Query(Box<Query>),
    /// A Query of the client's of which nothing is kept.
    PlainQuery,
    Parse {
        name: Name,
        prepared: Option<Arc<Prepared>>,
        /// Whether the statements are to be told how it ends.
        told: bool,
    },
    Bind {
        portal: Name,
        bound: Option<Arc<Bound>>,
        told: bool,
    },
    Describe(Object),
    Execute(Execution),
    Close {
        object: Object,
        told: bool,
    },
    Sync,
    FunctionCall,
    /// An extended-query message whose names could not be read: they are longer than its opening,
    /// or it is malformed, and then only an error will answer it.
    Unreadable,
    /// CopyDone or CopyFail: no reply, but the end of what a CopyInResponse makes the server eat.
    CopyEnd,
    /// The proxy's own Sync.
    OwnSync,
    /// The proxy's own command, from its first Close to its last.
    Own(Command),
    /// Messages of the client's that concern no rule.
    Run(Run),
}

impl Expected {
    /// Whether the reply to a message ends with its own ReadyForQuery.
    pub(super) fn ends_with_ready(&self) -> bool {
        use Expected::{FunctionCall, OwnSync, PlainQuery, Query, Startup, Sync};
        matches!(self, Startup | Query(_) | PlainQuery | Sync | FunctionCall | OwnSync)
    }

    /// Whether rows are a part of the reply to it, and go on as they come.
    pub(super) fn passes_rows(&self) -> bool {
        match self {
            Self::Query(query) => query.splice.is_none(),
            Self::Execute(_) | Self::PlainQuery => true,
            Self::Run(run) => run.first() == Plain::Execute,
            _ => false,
        }
    }

    /// What it does to the transaction block.
    pub(super) fn effect(&self) -> Effect {
        match self {
            Self::Query(query) if !query.failed => query.text.effect,
            Self::Execute(execution) => {
                let bound = execution.bound.as_ref();
                bound.map_or(Effect::NOTHING, |bound| bound.prepared.text.effect)
            }
            Self::Own(Command { purpose: Purpose::RollbackTo, .. }) => Effect::REVIVES,
            Self::Own(Command { purpose: Purpose::Abort, .. }) => Effect::ABORTS,
            _ => Effect::NOTHING,
        }
    }

    /// The prepared statements that a CommandComplete of it may have given another meaning.
    pub(super) fn renames(&self) -> &Renames {
        match self {
            Self::Query(query) => &query.text.renames,
            Self::Execute(Execution { bound: Some(bound), .. }) => &bound.prepared.text.renames,
            _ => &Renames::Any,
        }
    }

    /// What the statement that it is about was rewritten to, with the client's text.
    fn addition(&self) -> Option<(&Rewritten, &[u8])> {
        let prepared = match self {
            Self::Parse { prepared, .. } => prepared.as_ref(),
            Self::Bind { bound, .. } => bound.as_ref().map(|bound| &bound.prepared),
            Self::Execute(execution) => execution.bound.as_ref().map(|bound| &bound.prepared),
            _ => None,
        }?;
        match &prepared.text.kind {
            Kind::MayInsert(text) => Some((prepared.rewritten.as_deref()?, text)),
            _ => None,
        }
    }

    /// What the statement that it is about was rewritten to.
    pub(super) fn rewritten(&self) -> Option<&Rewritten> {
        match self {
            Self::Query(query) => query.splice.as_ref()?.rewritten(),
            _ => Some(self.addition()?.0),
        }
    }

    /// Where the character at a position of the text that was sent stands in the client's.
    pub(super) fn clients_position(&self, position: usize) -> usize {
        match (self, self.addition()) {
            (Self::Query(query), _) => {
                let splice = query.splice.as_ref();
                splice.map_or(position, |splice| splice.clients_position(position))
            }
            (_, Some((rewritten, text))) => rewritten.places(text).clients_position(position),
            _ => position,
        }
    }

    /// Whether it releases the savepoint before a statement of the client's.
    pub(super) fn is_release(&self) -> bool {
        matches!(self, Self::Own(command) if command.purpose == Purpose::Release)
    }

    /// Bytes that it takes beside its own, about.
    fn weigh(&self) -> usize {
        match self {
            // The client's text, and what was made of it.
            Self::Query(query) => {
                let texts = if query.splice.is_some() { 2 } else { 1 };
                size_of::<Query>() + query.text.weight() * texts
            }
            Self::Parse { name, prepared, .. } => {
                name.bytes().len() + prepared.as_ref().map_or(0, |it| it.weight())
            }
            Self::Bind { portal, bound, .. } => {
                portal.bytes().len() + bound.as_ref().map_or(0, |it| it.weight())
            }
            Self::Execute(execution) => execution.portal.bytes().len(),
            Self::Describe(object) | Self::Close { object, .. } => object.name().bytes().len(),
            _ => 0,
        }
    }

    /// The manual's [message flow](https://www.postgresql.org/docs/current/protocol-flow.html), as
    /// a table of messages and the replies to them.
    pub(super) fn step(&mut self, tag: u8) -> Step {
        use Expected::{
            Bind, Close, Describe, Execute, FunctionCall, Own, Parse, PlainQuery, Query, Run,
            Unreadable,
        };
        match (self, tag) {
            (entry, b'Z') if entry.ends_with_ready() => Step::Last,
            (Run(run), _) => run.step(tag),
            (Own(command), _) => command.step(tag),
            (Parse { .. }, _) => Plain::Parse.step(tag),
            (Bind { .. }, _) => Plain::Bind.step(tag),
            (Close { .. }, _) => Plain::Close.step(tag),
            (Describe(Object::Statement(_)), _) => Plain::DescribeStatement.step(tag),
            (Describe(Object::Portal(_)), _) => Plain::DescribePortal.step(tag),
            (Execute(_), _) => Plain::Execute.step(tag),
            (Unreadable, b'1' | b'2' | b'3' | b'n' | b'T' | b'C' | b'I' | b's') => Step::Last,
            (Query(_) | PlainQuery, b'T' | b'D' | b'C' | b'I' | b'G' | b'H' | b'W')
            | (Unreadable, b't' | b'D' | b'G' | b'H')
            | (FunctionCall, b'V') => Step::Part,
            _ => Step::None,
        }
    }
}

/// A Query, the client's or the proxy's own.
#[derive(Debug)]
pub(super) struct Query {
    /// The client's text.
    pub(super) text: Text,
    /// What has been made of it, where it is not sent as it came.
    pub(super) splice: Option<Box<Splice>>,
    /// How many characters of the text that the client sent stood before this one.
    pub(super) cut: usize,
    /// How texts were read when it was sent: see [`Session::reading`](super::Session).
    pub(super) reading: u32,
    /// Whether its ReadyForQuery is the client's.
    pub(super) readies: bool,
    /// Whether an error has come: the rest of it does not run.
    pub(super) failed: bool,
    /// Whether the spliced text was refused as a whole.
    pub(super) refused: bool,
}

impl Query {
    /// The client's own, as it came.
    pub(super) fn plain(text: Text) -> Self {
        Self {
            text,
            splice: None,
            cut: 0,
            reading: 0,
            readies: true,
            failed: false,
            refused: false,
        }
    }

    /// Whether it is of no consequence what it was, but for its reply.
    fn is_plain(&self) -> bool {
        let ends = self.failed || self.refused;
        self.text.is_other() && self.splice.is_none() && self.readies && !ends
    }

    /// The statement of a spliced text that the server is at, and steps over it if it `ends`.
    pub(super) fn piece(&mut self, ends: bool) -> Option<Piece> {
        let splice = self.splice.as_mut()?;
        if ends { splice.complete() } else { splice.current() }.cloned()
    }

    /// Whether an error means that the server has refused the spliced text as a whole; `alone` is
    /// whether nothing else is undone with it.
    pub(super) fn is_refused(&mut self, sqlstate: Option<SqlState>, alone: bool) -> bool {
        let splice = self.splice.as_ref().zip(sqlstate);
        self.refused |=
            splice.is_some_and(|(splice, sqlstate)| splice.is_refused_by(sqlstate, alone));
        self.refused
    }
}

impl From<Query> for Expected {
    fn from(query: Query) -> Self {
        if query.is_plain() { Self::PlainQuery } else { Self::Query(Box::new(query)) }
    }
}

/// An Execute of the client's.
#[derive(Debug)]
pub(super) struct Execution {
    pub(super) portal: Name,
    pub(super) max_rows: i32,
    /// What the portal runs, if it may be an INSERT or changes more than tables.
    pub(super) bound: Option<Arc<Bound>>,
    /// Whether the proxy's savepoint stands before it.
    pub(super) guarded: bool,
}

/// A command of the proxy's own, and how many CloseCompletes are still to come of it.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) purpose: Purpose,
    pub(super) closes: u8,
    /// The prepared statement of the client's that it makes.
    pub(super) makes: Option<(Name, Arc<Prepared>)>,
}

/// What a command of the proxy's own is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The savepoint before a statement of the client's.
    Savepoint,
    /// Its release.
    Release,
    /// Undoes a statement that failed.
    RollbackTo,
    /// Asks the catalog.
    Lookup,
    /// Asks what a table's name means in this session.
    Verify,
    /// Makes a prepared statement, which was rewritten, of the client's own text.
    Restore,
    /// Runs a statement of the client's again, with ON CONFLICT.
    Redo,
    /// Fails, so that the transaction is aborted as the client will be told.
    Abort,
}

/// An entry of the ledger.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) expected: Expected,
    /// The client's message, where it may have to be sent again.
    message: Option<Box<Bytes>>,
    /// Whether the client has had the reply already.
    pub(super) is_answered: bool,
    /// Bytes that it takes, about, while it is in the ledger.
    pub(super) weight: usize,
}

impl Entry {
    /// What was sent may have to be sent again, if there is a message.
    pub(super) fn new(expected: Expected, message: Bytes) -> Self {
        let message = (!message.is_empty()).then(|| Box::new(message));
        Self { message, ..expected.into() }
    }

    /// The client's message, where it may have to be sent again.
    pub(super) fn message(&self) -> Option<&Bytes> {
        self.message.as_deref()
    }

    /// Its length, where it was kept.
    pub(super) fn kept(&self) -> usize {
        self.message().map_or(0, Bytes::len)
    }

    /// Bytes that it takes, about: what several have in common is counted for each.
    pub(super) fn weigh(&self) -> usize {
        let message = self.message().map_or(0, |message| size_of::<Bytes>() + message.len());
        size_of::<Self>() + message + self.expected.weigh()
    }
}

impl From<Expected> for Entry {
    fn from(expected: Expected) -> Self {
        Self { expected, message: None, is_answered: false, weight: 0 }
    }
}

/// What a Describe or Close is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Object {
    Statement(Name),
    Portal(Name),
}

impl Object {
    fn name(&self) -> &Name {
        match self {
            Self::Statement(name) | Self::Portal(name) => name,
        }
    }
}

/// What a reply does to the entry at the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    None,
    Part,
    Last,
}

impl Command {
    pub(super) fn new(purpose: Purpose, closes: u8) -> Self {
        Self { purpose, closes, makes: None }
    }

    fn step(&mut self, tag: u8) -> Step {
        match tag {
            b'3' if self.closes <= 1 => Step::Last,
            b'3' => {
                self.closes -= 1;
                Step::Part
            }
            b'1' | b'2' | b'D' | b'C' | b's' => Step::Part,
            _ => Step::None,
        }
    }
}
