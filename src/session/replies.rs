//! A message has come from the server: whose reply it is, and whether the client gets it.

use crate::sql::{Encoding, Syntax};
use crate::wire::backend::{self, ErrorFields, SqlState, TransactionStatus};
use crate::wire::frame::Frame;

use super::expected::{Execution, Expected, Object, Purpose, Query};
use super::guard::Piece;
use super::held::Stage;
use super::ledger::{Failed, Received};
use super::output::Note;
use super::passage::Passage;
use super::plan::WIDE;
use super::recovery::Scope;
use super::text::Renames;
use super::{Fate, Goodbye, ProtocolViolation, Session};

impl Session {
    /// A message has come from the server: whose reply is it, and does the client get it?
    pub(super) fn received(
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
                    self.doubt_held(passage);
                }
                Ok(self.aside(frame, passage))
            }
            b'N' | b'A' => Ok(self.aside(frame, passage)),
            b'K' => {
                self.backend_pid = backend::backend_pid(frame.body());
                Ok(Fate::Pass)
            }
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
        if frame.tag == b'C' && renames(backend::command_tag(frame.body())) {
            let renames = self.ledger.head().map(Expected::renames);
            self.statements.forget(renames.unwrap_or(&Renames::Any));
        }
        let fate = self.fate_of_reply(frame, passage);
        match self.ledger.received(frame.tag) {
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
            Expected::Own(command) if command.purpose == Purpose::Lookup => {
                self.lookup_done(passage);
            }
            Expected::Unreadable => self.statements.forget(&Renames::Any),
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
                | Expected::Close { object: Object::Statement(name), told: true } => {
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
        let (guarded, own) = match self.ledger.head() {
            Some(Expected::Execute(execution)) => (ends && execution.guarded, None),
            Some(Expected::Own(command)) => (false, Some(command.purpose)),
            Some(Expected::Query(_)) => match self.ledger.query().and_then(|it| it.piece(ends)) {
                Some(Piece::Own(purpose)) => (false, Some(purpose)),
                Some(Piece::Client { guarded, .. }) => (ends && guarded.is_some(), None),
                None => (false, None),
            },
            _ => (false, None),
        };
        match own {
            None if !guarded => return Fate::Pass,
            Some(Purpose::Redo) if matches!(tag, b'T' | b'D') => return Fate::Pass,
            None => self.kept.extend_from_slice(frame.bytes),
            Some(Purpose::Redo) if ends => {
                self.kept.extend_from_slice(frame.bytes);
                if self.held.as_ref().is_some_and(|held| held.scope == Scope::Alone) {
                    self.settle_held(passage);
                }
            }
            Some(Purpose::Release) if ends => self.released(passage),
            Some(Purpose::Lookup) => self.lookup_reply(frame),
            Some(_) => {}
        }
        Fate::Withhold
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
    fn error(&mut self, frame: &Frame<'_>, passage: &mut Passage<'_, '_>) -> Fate {
        let fields = ErrorFields::new(frame.body());
        let sqlstate = fields.sqlstate();
        if self.held.as_ref().is_some_and(|held| held.stage == Stage::Undoing) {
            self.show_held(passage);
        }
        if matches!(fields.severity(), Some(b"FATAL" | b"PANIC")) {
            self.show_held(passage);
            self.goodbye = Goodbye::Server;
            return Fate::Pass;
        }
        let before = self.ledger.segment();
        let failed = self.ledger.failed();
        self.kept.clear();
        if let Failed::Extended { failed, skipped } = &failed {
            let skipped = skipped.iter().map(|entry| &entry.expected);
            self.dropped(std::iter::once(failed).chain(skipped));
        }
        let fate = match self.own_failure(&failed) {
            _ if self.ledger.query().is_some_and(|query| query.is_refused(sqlstate)) => {
                Fate::Withhold
            }
            Some(purpose) => self.own_failed(purpose, sqlstate, passage),
            None if sqlstate == Some(SqlState::UNIQUE_VIOLATION) => {
                self.conflict(frame, before, failed, passage)
            }
            None => Fate::Pass,
        };
        if self.held.is_none() {
            self.statements.rolled_back();
        }
        if fate == Fate::Pass { self.pass_in_place(frame, passage) } else { fate }
    }

    /// An ErrorResponse or NoticeResponse passes; where it points into a spliced text, its position
    /// is made that of the client's text.
    fn pass_in_place(&mut self, frame: &Frame<'_>, passage: &mut Passage<'_, '_>) -> Fate {
        let splice = self.ledger.query().and_then(|query| query.splice.as_ref());
        let moved = splice
            .filter(|_| frame.whole)
            .and_then(|splice| backend::moved(frame, |position| splice.clients_position(position)));
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
            Failed::Extended { failed: Expected::Own(command), .. } => Some(command.purpose),
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
        sqlstate: Option<SqlState>,
        passage: &mut Passage<'_, '_>,
    ) -> Fate {
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
        self.status = status;
        if status == Some(TransactionStatus::Idle) {
            self.own_catalog = None;
        }
        self.statements.segment_ended(status == Some(TransactionStatus::Idle));
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
                    self.resend(query.text, passage);
                    return Ok(Fate::Withhold);
                }
                self.held_is_ready(query.readies, passage)
            }
            Expected::OwnSync => self.held_is_ready(false, passage),
            _ => self.held_is_ready(true, passage),
        })
    }

    /// A notice, a notification or a parameter, which may come at any time: behind an error that
    /// is held, it stays behind.
    fn aside(&mut self, frame: &Frame<'_>, passage: &mut Passage<'_, '_>) -> Fate {
        match &mut self.held {
            // What runs again has its own to say.
            Some(held) if frame.whole && held.stage != Stage::Settling => {
                held.follow(frame.bytes);
                Fate::Withhold
            }
            Some(held) if held.stage == Stage::Settling => self.pass_in_place(frame, passage),
            _ => {
                self.show_held(passage);
                self.pass_in_place(frame, passage)
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
fn renames(tag: Option<&[u8]>) -> bool {
    let verbs: [&[u8]; 5] = [b"PREPARE", b"DEALLOCATE", b"DISCARD", b"DO", b"CALL"];
    tag.is_some_and(|tag| verbs.iter().any(|verb| tag.starts_with(verb)))
}
