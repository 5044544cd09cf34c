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
//!                        ▼        yes ─▶ held until ReadyForQuery says that all is undone
//! ```
//!
//! With no rules, or where none applies, the bytes out are the bytes in, at any chunking.

pub mod catalog;
mod conflict;
mod held;
mod ledger;
pub mod output;
mod passage;
pub mod recovery;
mod statements;

use std::sync::Arc;

use thiserror::Error;

use crate::rules::{Origin, Ruleset};
use crate::sql::{Encoding, Syntax};
use crate::wire::backend::{self, ErrorFields, SqlState, TransactionStatus};
use crate::wire::frame::{BadLength, Frame, Framer, Interest, Step};
use crate::wire::frontend::{self, FrontendMessage, Target};

use catalog::{Catalog, SharedCatalog};
use held::Held;
use ledger::{Expected, Ledger, Object, Received};
use output::{Note, Output};
use passage::{Passage, Towards};
use statements::{Name, Statements, Text};

/// The one thing a session cannot go on after: the server broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProtocolViolation {
    /// The server sent a message that cannot be one.
    #[error("the server broke the protocol: {0}")]
    BadLength(#[from] BadLength),
    /// Replies came that nobody asked for, and some of the proxy's own were still to come.
    #[error("the server broke the protocol: its replies are out of step")]
    OutOfStep,
    /// The server left the idle state while the proxy alone was talking to it.
    #[error("the server broke the protocol: it opened a transaction that nobody began")]
    UnaskedTransaction,
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
}

/// One client connection and its server connection, from the server's first reply on.
#[derive(Debug)]
pub struct Session {
    origin: Origin,
    rules: Arc<Ruleset>,
    catalog: Arc<SharedCatalog>,
    frontend: Framer,
    backend: Framer,
    /// The client's bytes have no structure any more; the server will say so and close.
    frontend_is_raw: bool,
    /// Whether the message that the backend framer is in the middle of goes to the client.
    withholding: bool,
    ledger: Ledger,
    statements: Statements,
    syntax: Syntax,
    status: Option<TransactionStatus>,
    backend_pid: Option<i32>,
    held: Option<Box<Held>>,
    lookup: Lookup,
    goodbye: Goodbye,
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

/// Where the session's own catalog lookup stands.
#[derive(Debug, Default)]
enum Lookup {
    #[default]
    NotAsked,
    /// Rows so far; `None` after an error or a row that could not be read.
    Asked(Option<Box<Catalog>>),
    /// It failed once: this session does not ask again.
    Failed,
}

impl Session {
    /// A session whose StartupMessage has gone to the server.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self {
            origin: setup.origin,
            rules: setup.rules,
            catalog: setup.catalog,
            frontend: Framer::new(setup.inspect),
            backend: Framer::new(setup.inspect),
            frontend_is_raw: false,
            withholding: false,
            ledger: Ledger::new(),
            statements: Statements::default(),
            syntax: Syntax { standard_conforming_strings: true, encoding: Encoding::Other },
            status: None,
            backend_pid: None,
            held: None,
            lookup: Lookup::default(),
            goodbye: Goodbye::Unsaid,
        }
    }

    /// Takes bytes from the client and returns how many of them are done with; the caller brings
    /// the rest again, with more behind them.
    pub fn handle_frontend(&mut self, input: &[u8], out: &mut dyn Output) -> usize {
        let mut passage = Passage::new(input, Towards::Backend, out);
        while !passage.rest().is_empty() {
            if self.frontend_is_raw {
                passage.pass(passage.rest().len());
                break;
            }
            match self.frontend.step(passage.rest(), Self::frontend_interest) {
                Ok(Step::Frame(frame)) => {
                    self.sent(&frame, &mut passage);
                    passage.pass(frame.bytes.len());
                }
                Ok(Step::More(bytes)) => passage.pass(bytes.len()),
                Ok(Step::Incomplete) => break,
                Err(BadLength { .. }) => self.frontend_is_raw = true,
            }
        }
        passage.finish()
    }

    /// Takes bytes from the server and returns how many of them are done with; the caller brings
    /// the rest again, with more behind them.
    pub fn handle_backend(
        &mut self,
        input: &[u8],
        out: &mut dyn Output,
    ) -> Result<usize, ProtocolViolation> {
        let mut passage = Passage::new(input, Towards::Frontend, out);
        while !passage.rest().is_empty() {
            let involved =
                self.held.is_some() || matches!(self.ledger.head(), Some(Expected::Lookup));
            let interest = |tag| interest(involved || backend::is_read(tag));
            match self.backend.step(passage.rest(), interest)? {
                Step::Frame(frame) => {
                    self.withholding = self.received(&frame, &mut passage)? == Fate::Withhold;
                    self.forward(frame.bytes, &mut passage);
                }
                Step::More(bytes) => self.forward(bytes, &mut passage),
                Step::Incomplete => break,
            }
        }
        Ok(passage.finish())
    }

    /// The server's side has ended: what was held back of it is shown.
    pub fn handle_backend_end(&mut self, out: &mut dyn Output) {
        self.show_held(&mut Passage::new(&[], Towards::Frontend, out));
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

    /// Whether the client is logged in: the server has been ready for its queries.
    #[must_use]
    pub fn is_logged_in(&self) -> bool {
        self.status.is_some()
    }

    fn frontend_interest(tag: u8) -> Interest {
        interest(frontend::is_read(tag))
    }

    fn forward(&self, bytes: &[u8], passage: &mut Passage<'_, '_>) {
        if self.withholding { passage.withhold(bytes.len()) } else { passage.pass(bytes.len()) }
    }

    /// A message goes to the server: what will it answer?
    fn sent(&mut self, frame: &Frame<'_>, passage: &mut Passage<'_, '_>) {
        let expected = match FrontendMessage::read(frame) {
            FrontendMessage::Query(text) => Expected::Query(self.text(text)),
            FrontendMessage::Parse { name, text } => {
                Expected::Parse { name: Name::new(name), text: self.text(text) }
            }
            FrontendMessage::Bind { portal, statement } => {
                Expected::Bind { portal: Name::new(portal), statement: Name::new(statement) }
            }
            FrontendMessage::Describe(target) => Expected::Describe(object(target)),
            FrontendMessage::Execute { portal } => Expected::Execute { portal: Name::new(portal) },
            FrontendMessage::Close(target) => Expected::Close(object(target)),
            FrontendMessage::Sync => Expected::Sync,
            FrontendMessage::FunctionCall => Expected::FunctionCall,
            FrontendMessage::CopyEnd => Expected::CopyEnd,
            FrontendMessage::Malformed(b'Q') => Expected::Query(Text::Other),
            FrontendMessage::Malformed(_) => Expected::Unreadable,
            FrontendMessage::Other(tag) => {
                if tag == b'X' && self.goodbye == Goodbye::Unsaid {
                    self.goodbye = Goodbye::Client;
                }
                return;
            }
        };
        if self.lookup_is_due(&expected) {
            passage.insert(&catalog::lookup(&self.rules, self.syntax.encoding));
            self.ledger.sent(Expected::Lookup);
            self.lookup = Lookup::Asked(Some(Box::default()));
        }
        self.ledger.sent(expected);
    }

    fn text(&self, text: Option<&[u8]>) -> Text {
        if self.rules.is_empty() { Text::Other } else { Text::of(text) }
    }

    /// The catalog is asked ahead of a statement that a rule may concern, in the same flight, and
    /// only where a transaction of the proxy's own disturbs none of the client's.
    fn lookup_is_due(&self, next: &Expected) -> bool {
        let text = match next {
            Expected::Query(text) | Expected::Parse { text, .. } => Some(text),
            Expected::Bind { statement, .. } => {
                self.statements.statement(statement).map(|prepared| &prepared.text)
            }
            _ => None,
        };
        matches!(text, Some(Text::MayInsert(_)))
            && matches!(self.lookup, Lookup::NotAsked)
            && self.status == Some(TransactionStatus::Idle)
            && self.ledger.is_quiescent()
            && self.catalog.is_due()
    }

    /// A message has come from the server: whose reply is it, and does the client get it?
    fn received(
        &mut self,
        frame: &Frame<'_>,
        passage: &mut Passage<'_, '_>,
    ) -> Result<Fate, ProtocolViolation> {
        match frame.tag {
            b'E' => Ok(self.error(frame, passage)),
            b'S' => {
                let syntax = self.syntax;
                self.parameter(frame);
                if self.syntax != syntax {
                    // The statement whose error is held was read otherwise than it was judged.
                    self.show_held(passage);
                }
                Ok(self.aside(frame, passage))
            }
            b'N' | b'A' => Ok(self.aside(frame, passage)),
            b'K' => {
                self.backend_pid = backend::backend_pid(frame.body());
                Ok(Fate::Pass)
            }
            b'Z' => self.ready(frame, passage),
            _ if matches!(self.ledger.head(), Some(Expected::Lookup)) => {
                self.lookup_reply(frame);
                Ok(Fate::Withhold)
            }
            _ => self.reply(frame, passage),
        }
    }

    fn reply(
        &mut self,
        frame: &Frame<'_>,
        passage: &mut Passage<'_, '_>,
    ) -> Result<Fate, ProtocolViolation> {
        self.show_held(passage);
        if frame.tag == b'C' && renames(backend::command_tag(frame.body())) {
            self.statements.forget();
        }
        match self.ledger.received(frame.tag) {
            Received::Answer(Expected::Parse { name, text }) => {
                let behind = self.ledger.segment().executed > 0;
                self.statements.parsed(name, text, self.syntax, behind);
            }
            Received::Answer(Expected::Bind { portal, statement }) => {
                self.statements.bound(portal, &statement);
            }
            Received::Answer(Expected::Close(Object::Statement(name))) => {
                self.statements.closed_statement(&name);
            }
            Received::Answer(Expected::Close(Object::Portal(name))) => {
                self.statements.closed_portal(&name);
            }
            Received::Answer(Expected::Unreadable) => self.statements.forget(),
            Received::OutOfStep { owed } => return out_of_step(frame.tag, owed, passage),
            Received::Aside | Received::Part | Received::Answer(_) => {}
        }
        Ok(Fate::Pass)
    }

    /// An ErrorResponse: the one message that may not reach the client.
    fn error(&mut self, frame: &Frame<'_>, passage: &mut Passage<'_, '_>) -> Fate {
        let fields = ErrorFields::new(frame.body());
        self.show_held(passage);
        if matches!(fields.severity(), Some(b"FATAL" | b"PANIC")) {
            self.goodbye = Goodbye::Server;
            return Fate::Pass;
        }
        if matches!(self.ledger.head(), Some(Expected::Lookup)) {
            self.lookup_failed(fields.sqlstate(), passage);
            return Fate::Withhold;
        }
        let before = self.ledger.segment();
        let failed = self.ledger.failed();
        let fate = if fields.sqlstate() == Some(SqlState::UNIQUE_VIOLATION) {
            self.conflict(frame, before, &failed, passage)
        } else {
            Fate::Pass
        };
        self.statements.rolled_back();
        fate
    }

    /// ReadyForQuery: the end of a segment, and the only word on what was undone.
    fn ready(
        &mut self,
        frame: &Frame<'_>,
        passage: &mut Passage<'_, '_>,
    ) -> Result<Fate, ProtocolViolation> {
        let status = TransactionStatus::read(frame.body());
        self.status = status;
        self.statements.segment_ended(status == Some(TransactionStatus::Idle));
        self.settle_held(passage);
        match self.ledger.received(b'Z') {
            Received::Answer(Expected::Lookup) => {
                self.lookup_done(passage);
                Ok(Fate::Withhold)
            }
            Received::Answer(Expected::OwnSync) if status != Some(TransactionStatus::Idle) => {
                Err(ProtocolViolation::UnaskedTransaction)
            }
            Received::Answer(Expected::OwnSync) => Ok(Fate::Withhold),
            Received::OutOfStep { owed } => out_of_step(b'Z', owed, passage),
            _ => Ok(Fate::Pass),
        }
    }

    /// A notice, a notification or a parameter, which may come at any time: behind an error that
    /// is held, it stays behind.
    fn aside(&mut self, frame: &Frame<'_>, passage: &mut Passage<'_, '_>) -> Fate {
        match &mut self.held {
            Some(held) if frame.whole => {
                held.follow(frame.bytes);
                Fate::Withhold
            }
            _ => {
                self.show_held(passage);
                Fate::Pass
            }
        }
    }

    fn parameter(&mut self, frame: &Frame<'_>) {
        if let Some((name, value)) = backend::parameter_status(frame.body()) {
            match name {
                b"application_name" => {
                    self.origin.application_name = String::from_utf8_lossy(value).into_owned();
                }
                b"client_encoding" => {
                    self.read_as(Syntax { encoding: Encoding::named(value), ..self.syntax });
                }
                b"standard_conforming_strings" => self
                    .read_as(Syntax { standard_conforming_strings: value == b"on", ..self.syntax }),
                _ => {}
            }
        }
    }

    /// The server reads texts otherwise from here on; those it parsed since the change, which it
    /// only reports at the segment's end, were noted with the syntax of before.
    fn read_as(&mut self, syntax: Syntax) {
        if syntax != self.syntax && self.ledger.segment().parsed > 0 {
            self.statements.forget();
        }
        self.syntax = syntax;
    }

    fn lookup_reply(&mut self, frame: &Frame<'_>) {
        self.ledger.received(frame.tag);
        if let (b'D', Lookup::Asked(answer)) = (frame.tag, &mut self.lookup) {
            let read = answer.as_mut().and_then(|catalog| catalog.add(frame.body()));
            if read.is_none() || !frame.whole {
                *answer = None;
            }
        }
    }

    fn lookup_done(&mut self, passage: &mut Passage<'_, '_>) {
        match std::mem::take(&mut self.lookup) {
            Lookup::Asked(Some(catalog)) => self.catalog.store(*catalog),
            Lookup::Asked(None) => self.lookup_failed(None, passage),
            state => self.lookup = state,
        }
    }

    fn lookup_failed(&mut self, sqlstate: Option<SqlState>, passage: &mut Passage<'_, '_>) {
        self.lookup = Lookup::Failed;
        passage.note(Note::LookupFailed { sqlstate });
    }
}

/// Whether the client gets a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pass,
    Withhold,
}

/// From here on the session only forwards, unless that would show the client replies that are not
/// its own.
fn out_of_step(
    tag: u8,
    owed: bool,
    passage: &mut Passage<'_, '_>,
) -> Result<Fate, ProtocolViolation> {
    passage.note(Note::OutOfStep { tag });
    if owed { Err(ProtocolViolation::OutOfStep) } else { Ok(Fate::Pass) }
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

/// Whether a command may have given statement names another meaning; what DO and CALL run may.
fn renames(tag: Option<&[u8]>) -> bool {
    let verbs: [&[u8]; 5] = [b"PREPARE", b"DEALLOCATE", b"DISCARD", b"DO", b"CALL"];
    tag.is_some_and(|tag| verbs.iter().any(|verb| tag.starts_with(verb)))
}
