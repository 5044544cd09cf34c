//! A message has come from the server: whose reply it is, and whether the client gets it.

use bytes::Bytes;

use crate::sql::{Encoding, Syntax};
use crate::wire::backend::{self, ErrorFields, SqlState, TransactionStatus};
use crate::wire::frame::Frame;

use super::expected::{Command, Entry, Execution, Expected, Object, Purpose, Query};
use super::held::Stage;
use super::left_out::Said;
use super::output::Note;
use super::passage::Passage;
use super::plan::WIDE;
use super::received::{Failed, Received, Segment};
use super::recovery::Scope;
use super::splice::Piece;
use super::statements::{Bound, Prepared};
use super::text::Renames;
use super::{Fate, Goodbye, ProtocolViolation, Session};

impl Session {
    /// Whether a message is a reply that goes on as it comes, with nothing to be learnt of it; if so
    /// it is dealt with.
    pub(super) fn passes(&mut self, frame: &Frame<'_>) -> bool {
        let learns = self.held.is_some() || frame.tag == b'C' && renames(frame.body());
        !learns && self.ledger.passes(frame.tag)
    }

    /// A message has come from the server: whose reply is it, and does the client get it?
    pub(super) fn received(
        &mut self,
        frame: &Frame<'_>,
        passage: &mut Passage<'_, '_>,
    ) -> Result<Fate, ProtocolViolation> {
        match frame.tag {
            b'E' => self.error(frame, passage),
            b'S' => {
                let syntax = self.syntax;
                self.parameter(frame);
                if self.syntax != syntax {
                    self.doubt_held(passage);
                }
                Ok(self.aside(frame, passage))
            }
            b'N' | b'A' => Ok(self.aside(frame, passage)),
            b'K' => {
                self.backend_pid = backend::backend_pid(frame.body());
                Ok(Fate::Pass)
            }
            b'R' if !self.is_logged_in() => Ok(self.authentication(frame, passage)),
            b'Z' if !self.is_logged_in() && !self.is_wanted() => Ok(Fate::Withhold),
            b'Z' => self.ready(frame, passage),
            _ => self.reply(frame, passage),
        }
    }

    fn reply(
        &mut self,
        frame: &Frame<'_>,
        passage: &mut Passage<'_, '_>,
    ) -> Result<Fate, ProtocolViolation> {
        if self.held.as_ref().is_some_and(|held| held.stage == Stage::Undoing) {
            self.show_held(passage);
        }
        if frame.tag == b'C' && renames(frame.body()) {
            let renames = self.ledger.head().map(Expected::renames);
            self.statements.forget(renames.unwrap_or(&Renames::Any));
        }
        let fate = self.fate_of_reply(frame, passage);
        match self.ledger.received(frame.tag) {
            Received::Answer(entry) if entry.is_answered => {
                self.answered(entry.expected, passage);
                return Ok(Fate::Withhold);
            }
            Received::Answer(entry) => self.answered(entry.expected, passage),
            Received::OutOfStep { owed } => {
                self.show_held(passage);
                return out_of_step(frame.tag, owed, passage);
            }
            Received::Aside => return Ok(Fate::Pass),
            Received::Part if frame.tag == b'G' => {
                let eaten = self.ledger.take_eaten();
                self.dropped(eaten.iter().map(|entry| &entry.expected));
            }
            Received::Part => {}
        }
        Ok(fate)
    }

    /// A message of the client's has been done.
    fn answered(&mut self, expected: Expected, passage: &mut Passage<'_, '_>) {
        let behind = self.ledger.segment().executed > 0;
        match expected {
            Expected::Parse { name, prepared, told: true } => {
                let prepared = prepared.filter(|it| it.reading == self.reading);
                self.statements.parsed(&name, prepared, behind);
            }
            Expected::Bind { portal, bound, told: true } => self.statements.bound(&portal, bound),
            Expected::Close { object: Object::Statement(name), told: true } => {
                self.statements.closed_statement(&name);
            }
            Expected::Close { object: Object::Portal(name), told: true } => {
                self.statements.bound(&name, None);
            }
            Expected::Execute(execution) => self.executed(&execution),
            Expected::Own(command) => self.command_done(command, passage),
            Expected::Unreadable => self.statements.forget(&Renames::Any),
            _ => {}
        }
    }

    fn command_done(&mut self, command: Command, passage: &mut Passage<'_, '_>) {
        match (command.purpose, command.makes) {
            (Purpose::Lookup, _) => self.lookup_done(passage),
            (Purpose::Verify, _) => self.verified.done(),
            (_, Some((name, prepared))) => self.statements.parsed(&name, Some(prepared), false),
            _ => {}
        }
    }

    fn executed(&mut self, execution: &Execution) {
        if execution.bound.as_ref().is_some_and(|bound| !bound.prepared.text.renames.is_none()) {
            self.statements.renaming_ended();
        }
    }

    fn queried(&mut self, query: &Query) {
        if !query.text.renames.is_none() {
            self.statements.renaming_ended();
        }
    }

    /// Messages of the client's have not been done.
    fn dropped<'a>(&mut self, entries: impl Iterator<Item = &'a Expected>) {
        for expected in entries {
            match expected {
                Expected::Parse { name, told: true, .. }
                | Expected::Close { object: Object::Statement(name), told: true }
                | Expected::Own(Command { makes: Some((name, _)), .. }) => {
                    self.statements.dropped_statement(name);
                }
                Expected::Bind { portal: name, told: true, .. }
                | Expected::Close { object: Object::Portal(name), told: true } => {
                    self.statements.dropped_portal(name);
                }
                Expected::Execute(execution) => self.executed(execution),
                Expected::Query(query) => self.queried(query),
                _ => {}
            }
        }
    }

    /// Whether the client gets a reply, before the ledger takes it in.
    fn fate_of_reply(&mut self, frame: &Frame<'_>, passage: &mut Passage<'_, '_>) -> Fate {
        let (tag, ends) = (frame.tag, matches!(frame.tag, b'C' | b's' | b'I'));
        let mut instead = None;
        let (guarded, own) = match self.ledger.head() {
            Some(Expected::Execute(execution)) => {
                if let Some(bound) = execution.bound.as_ref().filter(|_| tag == b'C') {
                    instead = self.execution_ended(bound, frame, passage);
                }
                (ends && execution.guarded, None)
            }
            Some(Expected::Own(command)) => (false, Some(command.purpose)),
            Some(Expected::Query(_)) => match self.ledger.query().and_then(|it| it.piece(ends)) {
                Some(Piece::Own(purpose)) => (false, Some(purpose)),
                Some(Piece::Client { guarded, rewritten }) => {
                    instead = rewritten.filter(|_| tag == b'C').and_then(|rewritten| {
                        let text = self.ledger.query()?.text.clone();
                        let said = Said { text: &text, values: b"", fingerprint: None };
                        self.rewritten_ended(&rewritten, &said, frame, passage)
                    });
                    (ends && guarded.is_some(), None)
                }
                None => (false, None),
            },
            _ => (false, None),
        };
        let bytes = instead.as_deref().unwrap_or(frame.bytes);
        match own {
            None if !guarded && instead.is_some() => passage.insert(bytes),
            None if !guarded => return Fate::Pass,
            Some(Purpose::Redo) if matches!(tag, b'T' | b'D') => return Fate::Pass,
            None => self.kept.extend_from_slice(bytes),
            Some(Purpose::Redo) if ends => {
                self.kept.extend_from_slice(frame.bytes);
                if self.held.as_ref().is_some_and(|held| held.scope == Scope::Alone) {
                    self.settle_held(passage);
                }
            }
            Some(Purpose::Release) if ends => self.released(passage),
            Some(Purpose::Lookup) => self.lookup_reply(frame),
            Some(Purpose::Verify) if tag == b'D' && frame.whole => self.verified.row(frame.body()),
            Some(_) => {}
        }
        Fate::Withhold
    }

    /// What the client gets in the place of an Execute's CommandComplete, if anything.
    fn execution_ended(
        &self,
        bound: &Bound,
        frame: &Frame<'_>,
        passage: &mut Passage<'_, '_>,
    ) -> Option<Bytes> {
        let Prepared { text, fingerprint, rewritten, .. } = &*bound.prepared;
        let said = Said { text, values: &bound.values, fingerprint: *fingerprint };
        self.rewritten_ended(rewritten.as_ref()?, &said, frame, passage)
    }

    /// The savepoint is gone, and what the statement did stays.
    fn released(&mut self, passage: &mut Passage<'_, '_>) {
        if self.held.is_some() {
            self.settle_held(passage);
        } else if !self.kept.is_empty() {
            self.window = WIDE.min(self.window + 1);
            passage.insert(&std::mem::take(&mut self.kept));
        }
    }

    /// An ErrorResponse: the one message that may not reach the client.
    fn error(
        &mut self,
        frame: &Frame<'_>,
        passage: &mut Passage<'_, '_>,
    ) -> Result<Fate, ProtocolViolation> {
        let fields = ErrorFields::new(frame.body());
        let sqlstate = fields.sqlstate();
        self.tally.error(sqlstate);
        if self.held.as_ref().is_some_and(|held| held.stage == Stage::Undoing) {
            self.show_held(passage);
        }
        if matches!(fields.severity(), Some(b"FATAL" | b"PANIC")) {
            self.show_held(passage);
            self.goodbye = Goodbye::Server;
            return Ok(Fate::Pass);
        }
        let before = self.ledger.segment();
        let mut failed = self.ledger.failed();
        if let Failed::OutOfStep { owed } = failed {
            self.show_held(passage);
            if let Err(violation) = out_of_step(b'E', owed, passage) {
                // The error itself is the client's: its COPY has failed.
                passage.pass(frame.bytes.len());
                return Err(violation);
            }
        }
        self.kept.clear();
        self.fallback = None;
        self.acquit();
        if let Failed::Extended { failed, skipped } = &failed {
            let entries = std::iter::once(failed).chain(skipped);
            self.dropped(entries.map(|entry| &entry.expected));
        }
        // Of this SQLSTATE the clause's own error names its table, a portal's does not.
        let clause = sqlstate.filter(|it| *it != SqlState(*b"55000") || fields.table().is_some());
        let falls_back = self.falls_back(clause, &mut failed, before, passage);
        let fate = match self.own_failure(&failed) {
            _ if falls_back => Fate::Withhold,
            _ if self.is_refused(sqlstate, before) => Fate::Withhold,
            Some(purpose) if self.own_failed(purpose, frame, passage) == Fate::Withhold => {
                Fate::Withhold
            }
            None if self.refusal.is_some() && sqlstate == Some(SqlState::FAILED_TRANSACTION) => {
                passage.insert(&self.refusal.take().unwrap_or_default());
                Fate::Withhold
            }
            None if sqlstate == Some(SqlState::UNIQUE_VIOLATION) => {
                self.conflict(frame, before, failed, passage)
            }
            _ => self.pass_in_place(frame, failed.expected(), passage),
        };
        if self.held.is_none() {
            self.statements.rolled_back();
        }
        Ok(fate)
    }

    /// Whether an error means that the server has refused a spliced text as a whole.
    pub(super) fn is_refused(&mut self, sqlstate: Option<SqlState>, before: Segment) -> bool {
        let alone = before.executed == 0 && !before.begun;
        self.ledger.query().is_some_and(|query| query.is_refused(sqlstate, alone))
    }

    /// An ErrorResponse or NoticeResponse passes; where it points into a spliced text, its position
    /// is made that of the client's text.
    ///
    /// `asked` is what it is the reply to; else what is answered next.
    fn pass_in_place(
        &self,
        frame: &Frame<'_>,
        asked: Option<&Expected>,
        passage: &mut Passage<'_, '_>,
    ) -> Fate {
        let asked = asked.or_else(|| self.ledger.head()).filter(|_| frame.whole);
        let moved = asked.and_then(|asked| backend::moved(frame, |at| asked.clients_position(at)));
        match moved {
            Some(moved) => {
                passage.insert(&moved);
                Fate::Withhold
            }
            None => Fate::Pass,
        }
    }

    /// The proxy's own command that failed, if it was one.
    fn own_failure(&mut self, failed: &Failed) -> Option<Purpose> {
        match failed {
            Failed::Extended { failed: Entry { expected: Expected::Own(command), .. }, .. } => {
                Some(command.purpose)
            }
            Failed::Head => match self.ledger.query()?.splice.as_ref()?.current()? {
                Piece::Own(purpose) => Some(*purpose),
                Piece::Client { .. } => None,
            },
            _ => None,
        }
    }

    /// A command of the proxy's own has failed.
    fn own_failed(
        &mut self,
        purpose: Purpose,
        frame: &Frame<'_>,
        passage: &mut Passage<'_, '_>,
    ) -> Fate {
        let sqlstate = ErrorFields::new(frame.body()).sqlstate();
        match (purpose, &self.held) {
            (Purpose::Abort, _) => Fate::Withhold,
            (_, Some(held)) if held.stage == Stage::Asking => {
                self.lookup_failed(sqlstate, passage);
                Fate::Withhold
            }
            (_, Some(_)) => {
                self.recovery_failed(purpose, passage);
                Fate::Withhold
            }
            (Purpose::Lookup, None) => {
                self.lookup_failed(sqlstate, passage);
                Fate::Withhold
            }
            (Purpose::Verify, None) => {
                self.verified.done();
                // In the client's own transaction it is the client that is to learn of it: at once,
                // or as the reply to what it has sent.
                let own = matches!(self.ledger.head(), Some(Expected::OwnSync));
                if own && self.ledger.is_in_block() {
                    self.refusal = Some(Bytes::copy_from_slice(frame.bytes));
                }
                if own { Fate::Withhold } else { Fate::Pass }
            }
            // Of the client's statement it is as true: it has not run, or nothing of it stays.
            (_, None) => Fate::Pass,
        }
    }

    /// ReadyForQuery: the end of a segment, and the only word on what was undone.
    fn ready(
        &mut self,
        frame: &Frame<'_>,
        passage: &mut Passage<'_, '_>,
    ) -> Result<Fate, ProtocolViolation> {
        let status = TransactionStatus::read(frame.body());
        self.logged_in();
        self.is_ready(status);
        let entry = match self.ledger.ready(status) {
            Received::Answer(entry) => entry,
            Received::OutOfStep { owed } => {
                self.show_held(passage);
                return out_of_step(b'Z', owed, passage);
            }
            _ => return Ok(Fate::Pass),
        };
        Ok(match entry.expected {
            Expected::Query(query) => {
                self.queried(&query);
                if query.refused {
                    if let Some(fallback) = self.fallback.take() {
                        self.fall_back(*fallback, false);
                    }
                    self.resend(*query, passage);
                    return Ok(Fate::Withhold);
                }
                self.convict();
                self.refusal = None;
                self.held_is_ready(query.readies, passage)
            }
            Expected::PlainQuery => {
                self.convict();
                self.refusal = None;
                self.held_is_ready(true, passage)
            }
            Expected::OwnSync => self.segment_is_ready(false, passage),
            _ => self.segment_is_ready(true, passage),
        })
    }

    /// What ends with a segment, and with a transaction.
    pub(super) fn is_ready(&mut self, status: Option<TransactionStatus>) {
        let idle = status == Some(TransactionStatus::Idle);
        self.status = status;
        if idle {
            self.own_catalog = None;
            self.verified.ended();
        }
        self.statements.segment_ended(idle);
    }

    /// A Sync, the client's or not, has been answered.
    fn segment_is_ready(&mut self, clients: bool, passage: &mut Passage<'_, '_>) -> Fate {
        if let Some(fallback) = self.fallback.take() {
            self.fall_back(*fallback, clients);
            return Fate::Withhold;
        }
        if clients {
            self.convict();
            self.refusal = None;
        }
        self.held_is_ready(clients, passage)
    }

    /// A notice, a notification or a parameter, which may come at any time: behind an error that
    /// is held, it stays behind.
    fn aside(&mut self, frame: &Frame<'_>, passage: &mut Passage<'_, '_>) -> Fate {
        match &mut self.held {
            // What runs again has its own to say.
            Some(held)
                if frame.whole
                    && held.stage != Stage::Settling
                    && held.weight() + frame.bytes.len() <= self.memory =>
            {
                held.follow(frame.bytes);
                Fate::Withhold
            }
            Some(held) if held.stage == Stage::Settling => self.pass_in_place(frame, None, passage),
            _ => {
                self.show_held(passage);
                self.pass_in_place(frame, None, passage)
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
                // Of these the server tells even where a function has changed them.
                b"search_path" | b"session_authorization" | b"is_superuser" => {
                    self.verified.change();
                }
                b"in_hot_standby" | b"default_transaction_read_only" => {
                    self.attributes.learn(name, value);
                }
                b"server_version" => self.server_version = backend::major_version(value),
                _ => {}
            }
        }
    }

    /// The server reads texts otherwise from here on; those it parsed since the change, which it
    /// only reports at the segment's end, were noted with the syntax of before.
    fn read_as(&mut self, syntax: Syntax) {
        if syntax != self.syntax && self.ledger.segment().parsed > 0 {
            self.statements.forget(&Renames::Any);
        }
        self.syntax = syntax;
        self.reading += 1;
    }
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

/// Whether a command may have given statement names another meaning; what DO and CALL run may.
fn renames(tag: &[u8]) -> bool {
    let verbs: [&[u8]; 5] = [b"PREPARE", b"DEALLOCATE", b"DISCARD", b"DO", b"CALL"];
    verbs.iter().any(|verb| tag.starts_with(verb))
}
