//! The session room: one client connection and its one server connection, as a pure machine.
//!
//! It takes the bytes that came from either side and hands out, through [`Output`], the bytes for
//! the other, and facts worth logging. It knows the wire, the rules and SQL texts; it must not
//! know sockets, tasks, time or logs.
//!
//! ```text
//!   client bytes ─▶ handle_frontend ─▶ ledger: one entry per reply to come ─▶ server bytes
//!   client bytes ◀─ replies ◀───────── handle_backend: head of the ledger ◀── server bytes
//!                        │
//!                        │ ErrorResponse 23505 ─▶ recovery: may it be a success?
//!                        │        no  ─▶ passes, byte for byte
//!                        ▼        yes ─▶ held until all that it did is undone
//! ```
//!
//! With no rules, or where none applies, the bytes out are the bytes in, at any chunking.

mod adopt;
mod asked;
mod block;
pub mod catalog;
mod clause;
mod conflict;
mod expected;
mod fallback;
mod fast_path;
mod guard;
mod held;
mod ledger;
mod left_out;
pub mod login;
mod lookup;
mod name;
pub mod output;
mod passage;
mod plan;
mod received;
pub mod recovery;
mod redo;
mod replies;
pub mod rewrite;
mod run;
mod simple;
mod splice;
mod statements;
pub mod tally;
mod text;
pub mod verified;
mod weight;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use thiserror::Error;

use crate::rules::{Origin, Ruleset};
use crate::sql::{Encoding, Memo, Syntax};
use crate::wire::backend::{self, TransactionStatus};
use crate::wire::build;
use crate::wire::frame::{BadLength, Frame, Framer, Interest, Step};
use crate::wire::frontend::{self, Target};
use crate::wire::target::{Attributes, TargetSessionAttrs};

use catalog::{Catalog, SharedCatalog};
pub(crate) use clause::quoted;
use expected::Object;
use fallback::{Fallback, Suspect};
use held::{Held, Waiting};
use ledger::Ledger;
use login::{ChannelBinding, Login};
use lookup::Lookup;
use name::Name;
use output::{Note, Output};
use passage::{Passage, Towards};
use plan::Plan;
use rewrite::Doubt;
use statements::Statements;
use tally::{Event, Message, Tally};

use verified::{Named, Verified};

/// The one thing a session cannot go on after: the server broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProtocolViolation {
    /// The server sent a message that cannot be one.
    #[error("the server broke the protocol: {0}")]
    BadLength(#[from] BadLength),
    /// Replies came that nobody asked for, and some of the proxy's own were still to come.
    #[error("the server broke the protocol: its replies are out of step")]
    OutOfStep,
}

/// What a session needs to know when it begins.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Who connects, as the StartupMessage says.
    pub origin: Origin,
    /// The rules that apply.
    pub rules: Arc<Ruleset>,
    /// What is known of the database's indexes, shared by its sessions.
    pub catalog: Arc<SharedCatalog>,
    /// The longest message that is looked at, in bytes.
    pub inspect: usize,
    /// How many bytes the session may keep before it makes clients wait, and looks at less.
    pub memory: usize,
    /// Whether a login can be bound to the channel.
    pub channel_binding: ChannelBinding,
    /// What the server has to be.
    pub target: TargetSessionAttrs,
}

/// One client connection and its server connection, from the server's first reply on.
#[derive(Debug)]
pub struct Session {
    origin: Origin,
    rules: Arc<Ruleset>,
    catalog: Arc<SharedCatalog>,
    /// What was learnt inside the transaction block, for as long as that lasts.
    own_catalog: Option<Arc<Catalog>>,
    frontend: Framer,
    backend: Framer,
    /// Bytes that may be kept.
    memory: usize,
    /// The client's bytes have no structure any more; the server will say so and close.
    frontend_is_raw: Option<BadLength>,
    /// Of the message that the backend framer is in the middle of.
    fate: Fate,
    ledger: Ledger,
    statements: Statements,
    syntax: Syntax,
    /// What the last texts are, as they are read now.
    memo: Memo,
    /// Counts the changes of `syntax`, and of what it leaves out: a text that was parsed before the
    /// last change was read otherwise.
    reading: u32,
    /// What the last ReadyForQuery said.
    status: Option<TransactionStatus>,
    backend_pid: Option<i32>,
    /// The server's major version, 0 until it has said so.
    server_version: u32,
    held: Option<Box<Held>>,
    /// The client's reply to a guarded statement or a redo, until it is sure that it stands.
    kept: BytesMut,
    /// What the session has made sure of, about the tables it rewrites INSERTs into.
    verified: Verified,
    /// Why INSERTs were not rewritten, as far as that was told.
    doubts: HashSet<(Named, Doubt)>,
    /// What is to be told next.
    notes: Vec<Note>,
    /// What runs in the place of what the server has refused.
    fallback: Option<Box<Fallback>>,
    /// What of that is under way.
    suspect: Option<Box<Suspect>>,
    /// The error of a question that has aborted the client's transaction.
    refusal: Option<Bytes>,
    /// What the client sent behind a statement that had to be recovered.
    waiting: VecDeque<Waiting>,
    pace: Pace,
    /// Savepoints that may be under way before the next message waits.
    window: usize,
    /// The server needs no Flush to answer what it has been sent.
    flushed: bool,
    /// The client's next message was not taken.
    stalled: bool,
    lookup: Lookup,
    login: Login,
    target: TargetSessionAttrs,
    /// What the server has said that it is.
    attributes: Attributes,
    goodbye: Goodbye,
    tally: Tally,
}

/// How the client's messages go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// As they come.
    Free,
    /// The last Execute stands alone in its segment, and may have to be run again: what comes
    /// behind it is kept, to be sent again.
    Watching,
    /// What comes behind the last message waits until the server has answered it.
    Barrier,
}

/// Who has announced the end of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goodbye {
    Unsaid,
    /// By Terminate.
    Client,
    /// By FATAL: what comes after it, if anything, is the end of the connection.
    Server,
}

impl Session {
    /// A session whose StartupMessage has gone to the server.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self {
            origin: setup.origin,
            rules: setup.rules,
            catalog: setup.catalog,
            own_catalog: None,
            frontend: Framer::new(setup.inspect),
            backend: Framer::new(setup.inspect),
            memory: setup.memory,
            frontend_is_raw: None,
            fate: Fate::Pass,
            ledger: Ledger::new(),
            statements: Statements::default(),
            syntax: Syntax { standard_conforming_strings: true, encoding: Encoding::Other },
            memo: Memo::default(),
            reading: 0,
            status: None,
            backend_pid: None,
            server_version: 0,
            held: None,
            kept: BytesMut::new(),
            verified: Verified::default(),
            doubts: HashSet::new(),
            notes: Vec::new(),
            fallback: None,
            suspect: None,
            refusal: None,
            waiting: VecDeque::new(),
            pace: Pace::Free,
            window: plan::WIDE,
            flushed: true,
            stalled: false,
            lookup: Lookup::default(),
            login: Login::Passed(setup.channel_binding),
            target: setup.target,
            attributes: Attributes::default(),
            goodbye: Goodbye::Unsaid,
            tally: Tally::default(),
        }
    }

    /// Takes bytes from the client and returns how many of them are done with; the caller brings
    /// the rest again: with more behind them, or when [`wants_frontend`](Self::wants_frontend).
    pub fn handle_frontend(&mut self, input: &[u8], out: &mut dyn Output) -> usize {
        let mut passage = Passage::new(input, Towards::Backend, out);
        self.stalled = !self.waiting.is_empty();
        while !self.stalled {
            self.hurry_frontend(&mut passage);
            if passage.rest().is_empty() {
                break;
            }
            if self.login_refusal().is_some() {
                passage.withhold(passage.rest().len());
                break;
            }
            if self.frontend_is_raw.is_some() {
                passage.pass(passage.rest().len());
                break;
            }
            let before = self.frontend;
            let logs_in = self.reads_login(b'p');
            let interest = |tag| {
                if frontend::is_bare(tag) {
                    return Interest::Bare;
                }
                interest(frontend::is_read(tag) || logs_in && tag == b'p')
            };
            match self.frontend.step(passage.rest(), interest) {
                Ok(Step::Frame(frame)) if frame.tag == b'p' && !self.password(&frame) => {
                    passage.withhold(passage.rest().len());
                }
                Ok(Step::Frame(frame)) if frame.tag != b'p' && self.waits_for_login() => {
                    self.frontend = before;
                    self.stalled = true;
                }
                Ok(Step::Frame(frame)) => match self.plan(&frame, 0) {
                    Plan::Wait => {
                        self.frontend = before;
                        self.stall(&mut passage);
                    }
                    Plan::Ask(asks) => {
                        self.frontend = before;
                        self.stalled = true;
                        passage.insert(&asks);
                    }
                    plan => {
                        self.tally.count(Event::Message(Message::of(frame.tag)));
                        passage.carry_out(plan, frame.bytes.len());
                    }
                },
                Ok(Step::More(bytes)) => passage.pass(bytes.len()),
                Ok(Step::Incomplete) => break,
                Err(length) => self.frontend_is_raw = Some(length),
            }
        }
        self.tell(&mut passage);
        passage.count(&mut self.tally, self.status);
        passage.finish()
    }

    /// Whether the client's bytes would be taken: they are not while it has to wait for the server.
    #[must_use]
    pub fn wants_frontend(&self) -> bool {
        if self.stalled && self.waits_for_login() {
            return false;
        }
        !self.stalled || self.waiting.is_empty() && self.held.is_none() && !self.is_busy()
    }

    /// The client has to wait, and the server is made to answer what it has been sent.
    fn stall(&mut self, passage: &mut Passage<'_, '_>) {
        self.stalled = true;
        if self.needs_flush() {
            passage.insert(&build::flush());
        }
    }

    /// What the client sent before, and the server has not done, is sent.
    fn send_waiting(&mut self, passage: &mut Passage<'_, '_>) {
        let mut asks = self.stalled;
        while let Some(next) = self.waiting.pop_front() {
            // The client may have sent a Flush, which the server has skipped.
            asks = true;
            let tag = next.message.first().copied().unwrap_or_default();
            let frame = Frame { tag, bytes: &next.message, whole: true };
            match self.plan(&frame, next.cut) {
                Plan::Wait => {
                    self.waiting.push_front(next);
                    self.stalled = true;
                    break;
                }
                Plan::Ask(asked) => {
                    passage.ask_backend(&asked);
                    self.waiting.push_front(next);
                    self.stalled = true;
                    return;
                }
                Plan::Pass => passage.ask_backend(&next.message),
                Plan::Around { before, after } => {
                    for bytes in [&before, &next.message, &after] {
                        passage.ask_backend(bytes);
                    }
                }
                Plan::Instead { before, message } => {
                    passage.ask_backend(&before);
                    passage.ask_backend(&message);
                }
            }
            if next.is_answered {
                self.ledger.mark_answered();
            }
        }
        if asks && self.needs_flush() {
            passage.ask_backend(&build::flush());
        }
    }

    /// Whether the server has to be made to answer what it has been sent; asked once.
    fn needs_flush(&mut self) -> bool {
        let needs = !self.flushed && self.held.is_none();
        self.flushed |= needs;
        needs
    }

    /// Takes bytes from the server and returns how many of them are done with; the caller brings
    /// the rest again, with more behind them.
    pub fn handle_backend(
        &mut self,
        input: &[u8],
        out: &mut dyn Output,
    ) -> Result<usize, ProtocolViolation> {
        let mut passage = Passage::new(input, Towards::Frontend, out);
        let taken = self.take_backend(&mut passage);
        passage.count(&mut self.tally, self.status);
        let done = passage.finish();
        taken.map(|()| done)
    }

    fn take_backend(&mut self, passage: &mut Passage<'_, '_>) -> Result<(), ProtocolViolation> {
        loop {
            self.hurry_backend(passage);
            if passage.rest().is_empty() {
                break;
            }
            if self.login_refusal().is_some() {
                passage.withhold(passage.rest().len());
                break;
            }
            let involved = self.held.is_some() || self.ledger.is_involved();
            let logs_in = self.reads_login(b'R');
            let is_read = |tag| involved || backend::is_read(tag) || logs_in && tag == b'R';
            let interest = |tag| interest(is_read(tag));
            match self.backend.step(passage.rest(), interest)? {
                Step::Frame(frame) => {
                    let passes = self.passes(&frame);
                    self.fate = if passes { Fate::Pass } else { self.received(&frame, passage)? };
                    self.forward(frame.bytes, passage);
                }
                Step::More(bytes) => self.forward(bytes, passage),
                Step::Incomplete => break,
            }
        }
        self.send_waiting(passage);
        self.tell(passage);
        Ok(())
    }

    /// Tells what has been noted.
    fn tell(&mut self, passage: &mut Passage<'_, '_>) {
        if !self.notes.is_empty() {
            self.notes.drain(..).for_each(|note| passage.note(note));
        }
    }

    /// The server's side has ended: what was held back of it is shown.
    pub fn handle_backend_end(&mut self, out: &mut dyn Output) {
        let mut passage = Passage::new(&[], Towards::Frontend, out);
        self.show_held(&mut passage);
        passage.count(&mut self.tally, self.status);
        passage.finish();
    }

    /// Whether the proxy may end the session with a FATAL of its own: the server has not said one,
    /// and is not in the middle of a message.
    #[must_use]
    pub fn can_end_with_fatal(&self) -> bool {
        self.goodbye != Goodbye::Server && self.backend.at_boundary()
    }

    /// Whether either side has announced the end, by Terminate or FATAL.
    #[must_use]
    pub fn goodbye_was_said(&self) -> bool {
        self.goodbye != Goodbye::Unsaid
    }

    /// Whether the server has ended the session with a FATAL.
    #[must_use]
    pub fn fatal_was_said(&self) -> bool {
        self.goodbye == Goodbye::Server
    }

    /// Where the client has broken the protocol, if it has: from there on its bytes are the server's
    /// to refuse.
    #[must_use]
    pub fn client_violation(&self) -> Option<BadLength> {
        self.frontend_is_raw
    }

    /// Whether the client is logged in: the server has been ready for its queries.
    #[must_use]
    pub fn is_logged_in(&self) -> bool {
        self.login == Login::Done
    }

    fn forward(&self, bytes: &[u8], passage: &mut Passage<'_, '_>) {
        match self.fate {
            Fate::Pass => passage.pass(bytes.len()),
            Fate::Withhold => passage.withhold(bytes.len()),
        }
    }

    fn say_goodbye(&mut self, tag: u8) {
        if tag == b'X' && self.goodbye == Goodbye::Unsaid {
            self.goodbye = Goodbye::Client;
        }
    }
}

/// Whether the client gets a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pass,
    Withhold,
}

fn interest(is_read: bool) -> Interest {
    if is_read { Interest::Whole } else { Interest::Header }
}

fn object(target: Target<'_>) -> Object {
    match target {
        Target::Statement(name) => Object::Statement(Name::new(name)),
        Target::Portal(name) => Object::Portal(Name::new(name)),
    }
}
