//! What becomes of a client's message: it goes on, with commands of the proxy's own around it, or
//! it waits.
//!
//! Only an INSERT that a rule may concern is treated otherwise than by going on. Inside a
//! transaction block a savepoint stands around it. Behind its Sync or Query the client's next
//! messages wait until it is known how it ended, since it may have to be run again; within the
//! segment they go on, and are kept, because the server skips them if it fails. One that is
//! rewritten waits for nothing, once it is known what its table is.

use std::sync::Arc;

use bytes::Bytes;

use crate::rules::{Action, Constraint, Rule};
use crate::sql::{self, Part, Statement, Target};
use crate::wire::build;
use crate::wire::frame::Frame;
use crate::wire::frontend::{self, FrontendMessage};

use super::block::{Block, Effect};
use super::catalog::Catalog;
use super::expected::{Entry, Execution, Expected, Object, Purpose, Query};
use super::name::Name;
use super::rewrite::{Ahead, Rewritten};
use super::statements::{Bound, Prepared, Resolved};
use super::tally::Treatment;
use super::text::{Kind, Text};
use super::{Lookup, Pace, Session};

/// Bytes of the client's messages that are kept behind a savepoint before the next ones wait.
const KEPT_LIMIT: usize = 256 * 1024;

/// Savepoints that may be under way while nothing conflicts.
pub(super) const WIDE: usize = 512;
/// The same behind a duplicate, which has all that is behind it sent again; each statement that
/// stays allows for one more.
pub(super) const NARROW: usize = 8;

/// What becomes of a message.
#[derive(Debug)]
pub(super) enum Plan {
    /// It waits until the server has answered what it has been sent.
    Wait,
    /// The same, and something is asked first.
    Ask(Bytes),
    /// It goes on as it came.
    Pass,
    /// It goes on, between commands of the proxy's own.
    Around { before: Bytes, after: Bytes },
    /// Another goes in its place, behind commands of the proxy's own.
    Instead { before: Bytes, message: Bytes },
}

impl Plan {
    /// It goes on behind what is of the proxy's own, if anything is.
    pub(super) fn behind(before: Bytes) -> Self {
        if before.is_empty() { Self::Pass } else { Self::Around { before, after: Bytes::new() } }
    }
}

impl Session {
    /// Plans a message of the client's, of whose text `cut` characters are not sent any more.
    pub(super) fn plan(&mut self, frame: &Frame<'_>, cut: usize) -> Plan {
        if self.is_full() {
            return Plan::Wait;
        }
        if !self.is_planning() {
            return self.pass(frame, &FrontendMessage::nameless(frame));
        }
        let message = FrontendMessage::read(frame);
        if self.must_wait(frame) {
            return Plan::Wait;
        }
        if self.pace == Pace::Barrier && self.ledger.is_drained() {
            self.pace = Pace::Free;
        }
        let message_bytes = self.keep(frame);
        match message {
            FrontendMessage::Query(Some(text)) => self.query(text, cut),
            FrontendMessage::Parse { name, text: Some(text), types } if frame.whole => {
                self.parse(name, text, types, message_bytes)
            }
            FrontendMessage::Bind { portal, statement, values } => {
                let values = if frame.whole { values } else { b"" };
                self.bind(portal, statement, values, message_bytes)
            }
            FrontendMessage::Execute { portal, max_rows } => {
                self.execute(portal, max_rows, message_bytes)
            }
            FrontendMessage::Close(target) => self.close(super::object(target), message_bytes),
            FrontendMessage::Sync => self.sync(message_bytes),
            _ => self.pass(frame, &message),
        }
    }

    /// Whether the server has something left to answer.
    pub(super) fn is_busy(&self) -> bool {
        !self.ledger.is_drained() && !self.ledger.is_copying_in()
    }

    /// Whether this message has to wait.
    fn must_wait(&self, frame: &Frame<'_>) -> bool {
        if self.held.is_some() || self.fallback.is_some() {
            return true;
        }
        let busy = self.is_busy();
        let fits = frame.whole && self.ledger.kept() + frame.bytes.len() <= KEPT_LIMIT;
        let fits = fits && self.ledger.guards() < self.window;
        let behind_a_guard = self.ledger.guards() > 0 && !(fits && is_skippable(frame.tag));
        busy && (self.pace == Pace::Barrier || behind_a_guard)
    }

    /// The message itself, if the server may skip it and it then has to be sent again.
    fn keep(&mut self, frame: &Frame<'_>) -> Bytes {
        if self.pace == Pace::Watching && matches!(frame.tag, b'P' | b'B' | b'E') {
            // A statement that shares the segment cannot be told from it when it fails.
            self.pace = Pace::Free;
        }
        let retains = self.ledger.retains(KEPT_LIMIT, |_| false);
        if !frame.whole {
            return Bytes::new();
        }
        if self.pace == Pace::Watching || self.ledger.guards() > 0 || retains {
            Bytes::copy_from_slice(frame.bytes)
        } else {
            Bytes::new()
        }
    }

    /// A message that no rule can concern.
    fn pass(&mut self, frame: &Frame<'_>, message: &FrontendMessage<'_>) -> Plan {
        let kept = self.keep(frame);
        let expected = match *message {
            FrontendMessage::Query(text) => self.pass_query(text.is_none()),
            FrontendMessage::Parse { name, text, .. } => self.pass_parse(name, text.is_none()),
            FrontendMessage::Bind { portal, .. } => {
                Expected::Bind { portal: Name::new(portal), bound: None, told: false }
            }
            FrontendMessage::Describe(target) => Expected::Describe(super::object(target)),
            FrontendMessage::Execute { portal, max_rows } => {
                let portal = Name::new(portal);
                Expected::Execute(Execution { portal, max_rows, bound: None, guarded: false })
            }
            FrontendMessage::Close(target) => {
                Expected::Close { object: super::object(target), told: false }
            }
            FrontendMessage::Sync => {
                self.sent_end();
                Expected::Sync
            }
            FrontendMessage::FunctionCall => Expected::FunctionCall,
            FrontendMessage::CopyEnd => Expected::CopyEnd,
            FrontendMessage::Malformed(b'Q') => Query::plain(Text::OTHER).into(),
            FrontendMessage::Malformed(_) => Expected::Unreadable,
            FrontendMessage::Other(tag) => {
                self.say_goodbye(tag);
                self.flushed |= tag == b'H';
                return Plan::Pass;
            }
        };
        self.sent(expected, kept);
        Plan::Pass
    }

    fn pass_query(&mut self, too_large: bool) -> Expected {
        let text = if too_large { Text::TOO_LARGE } else { Text::OTHER };
        if self.is_planning() {
            self.sent_text(&text);
            self.sent_end();
        }
        Query::plain(text).into()
    }

    fn pass_parse(&mut self, name: &[u8], too_large: bool) -> Expected {
        let name = Name::new(name);
        if too_large && self.is_planning() {
            let prepared = Some(self.prepared(Text::TOO_LARGE, b"", false, None));
            let told = self.statements.sent_statement(&name, prepared.clone());
            return Expected::Parse { name, prepared, told };
        }
        Expected::Parse { name, prepared: None, told: false }
    }

    /// Whether the server reads what it is sent, and anything of it could concern a rule.
    pub(super) fn is_planning(&self) -> bool {
        let concerned = !self.rules.is_empty() || self.statements.may_be_rewritten();
        concerned && self.ledger.is_reading() && self.ledger.is_sure()
    }

    /// A message of the client's is sent.
    pub(super) fn sent(&mut self, expected: Expected, message: Bytes) {
        use Expected::{PlainQuery, Query, Sync};
        self.flushed = matches!(expected, Query(_) | PlainQuery | Sync);
        self.tally.sent(&expected);
        self.ledger.sent(Entry::new(expected, message));
    }

    /// Commands of the proxy's own are sent.
    pub(super) fn commanded(&mut self, purpose: Purpose) -> Bytes {
        let (bytes, expected) = purpose.command(self.ledger.take_behind());
        self.sent_own(expected);
        bytes
    }

    /// Something of the proxy's own is sent.
    pub(super) fn sent_own(&mut self, expected: Expected) {
        self.tally.sent(&expected);
        self.ledger.sent(expected);
    }

    // === Extended query ===

    fn parse(&mut self, name: &[u8], text: &[u8], types: &[u8], message: Bytes) -> Plan {
        let fits = self.statements.weight() + text.len() <= self.memory;
        let ahead = if fits { self.ahead_of_parse(text) } else { None };
        let rewritten = match ahead.filter(|_| name.is_ascii()) {
            Some(Ahead::Wait) => return Plan::Wait,
            Some(Ahead::Ask(asks)) => return Plan::Ask(asks),
            Some(Ahead::Rewritten(rewritten)) => Some(rewritten),
            Some(Ahead::AsItIs) | None => None,
        };
        let sent = rewritten.as_ref().map(|it| build::parse(name, &it.text(text), types));
        let message = match &rewritten {
            Some(_) => self.retain(message, || build::parse(name, text, types)),
            None => message,
        };
        let alike = sql::is_read_alike(text);
        let text = if fits { Text::of(text, self.syntax) } else { Text::TOO_LARGE };
        let before = self.lookup_if_due(&text);
        let keeps = !text.is_other();
        let prepared = keeps.then(|| self.prepared(text, types, alike, rewritten));
        let name = Name::new(name);
        let told = self.statements.sent_statement(&name, prepared.clone());
        self.sent(Expected::Parse { name, prepared, told }, message);
        match sent {
            Some(message) => Plan::Instead { before, message },
            None => Plan::behind(before),
        }
    }

    /// What is to be done about the one INSERT of a text that is parsed.
    fn ahead_of_parse(&mut self, text: &[u8]) -> Option<Ahead> {
        if !self.rules.rewrites() || !sql::may_insert(text) {
            return None;
        }
        let script = self.memo.classify(text, self.syntax).ok()?;
        let [Part { statement, .. }] = &script.statements[..] else { return None };
        let insert = statement.inserts()?;
        if !self.ledger.is_drained() && !sql::is_read_alike(text) {
            // Only then is it sure how the text is read.
            return self.rewrites_any().then_some(Ahead::Wait);
        }
        Some(self.ahead(text, insert))
    }

    /// A message that has to be sent again if the server refuses what was rewritten, unless a
    /// transaction block is open: what it refuses there, nothing undoes.
    fn retain(&mut self, message: Bytes, built: impl FnOnce() -> Bytes) -> Bytes {
        let retains = self.ledger.retains(KEPT_LIMIT, |ledger| ledger.block() != Block::Open);
        if retains && message.is_empty() { built() } else { message }
    }

    fn prepared(
        &mut self,
        text: Text,
        types: &[u8],
        alike: bool,
        rewritten: Option<Arc<Rewritten>>,
    ) -> Arc<Prepared> {
        let table = match &text.kind {
            Kind::MayInsert(text) => self.insert_table(text),
            _ => None,
        };
        let types = if table.is_some() { Bytes::copy_from_slice(types) } else { Bytes::new() };
        let fingerprint = match &text.kind {
            Kind::MayInsert(text) if rewritten.is_some() => {
                Some(self.memo.fingerprint(text, self.syntax))
            }
            _ => None,
        };
        let reading = self.reading;
        Arc::new(Prepared { text, table, types, reading, alike, rewritten, fingerprint })
    }

    fn bind(&mut self, portal: &[u8], statement: &[u8], values: &[u8], message: Bytes) -> Plan {
        let prepared = match self.statements.statement(&Name::new(statement)) {
            Resolved::Unsure if self.is_worth_waiting() => return Plan::Wait,
            Resolved::Known(prepared) => Some(prepared),
            Resolved::Unsure | Resolved::Nothing => None,
        };
        let (prepared, before) = match prepared {
            Some(prepared) => match self.as_it_stands(statement, prepared) {
                Ok(stands) => stands,
                Err(Ahead::Ask(asks)) => return Plan::Ask(asks),
                Err(_) => return Plan::Wait,
            },
            None => (None, Bytes::new()),
        };
        let rewritten = prepared.as_ref().is_some_and(|prepared| prepared.rewritten.is_some());
        // The values of a Bind that is longer than what is looked at are not known.
        let message = if rewritten && !values.is_empty() {
            self.retain(message, || build::bind(portal, statement, values))
        } else {
            message
        };
        let bound = prepared.map(|prepared| {
            let concerned = |table: &String| self.concerns(table);
            let fits = self.statements.weight() + values.len() <= self.memory;
            let kept = fits && (rewritten || prepared.table.as_ref().is_some_and(concerned));
            let values = if kept { Bytes::copy_from_slice(values) } else { Bytes::new() };
            Arc::new(Bound { prepared, statement: Name::new(statement), values })
        });
        let portal = Name::new(portal);
        let told = self.statements.sent_portal(&portal, bound.clone());
        self.sent(Expected::Bind { portal, bound, told }, message);
        Plan::behind(before)
    }

    /// A prepared statement, as its table is now: where it was rewritten and that stands no more,
    /// it is made of the client's own text first.
    fn as_it_stands(
        &mut self,
        name: &[u8],
        prepared: Arc<Prepared>,
    ) -> Result<(Option<Arc<Prepared>>, Bytes), Ahead> {
        let Some(rewritten) = &prepared.rewritten else {
            let before = self.lookup_if_due(&prepared.text);
            return Ok((Some(prepared), before));
        };
        if self.still_stands(rewritten)? {
            return Ok((Some(prepared), Bytes::new()));
        }
        let (original, before) = self.restore(name, &prepared);
        Ok((Some(original), before))
    }

    fn execute(&mut self, portal: &[u8], max_rows: i32, message: Bytes) -> Plan {
        let portal = Name::new(portal);
        let bound = match self.statements.portal(&portal) {
            Resolved::Unsure if self.is_worth_waiting() => return Plan::Wait,
            Resolved::Known(bound) => Some(bound),
            Resolved::Unsure | Resolved::Nothing => None,
        };
        let table = bound.as_ref().and_then(|bound| bound.prepared.table.as_ref());
        let covered = bound.as_ref().is_some_and(|bound| bound.prepared.is_covered());
        let concerned = !covered && table.is_some_and(|table| self.concerns(table));
        let block = concerned.then(|| self.ledger.block());
        if block == Some(Block::Unknown) && !self.ledger.is_drained() {
            return Plan::Wait;
        }
        if let Some(bound) = &bound {
            self.sent_text(&bound.prepared.text);
        }
        let guarded = block == Some(Block::Open);
        if block == Some(Block::None) {
            self.pace = Pace::Watching;
        }
        let rewritten = bound.as_ref().is_some_and(|bound| bound.prepared.rewritten.is_some());
        self.treated([
            (block == Some(Block::None)).then_some(Treatment::Watched),
            guarded.then_some(Treatment::Guarded),
            rewritten.then_some(Treatment::Rewritten),
        ]);
        let execution = Expected::Execute(Execution { portal, max_rows, bound, guarded });
        if !guarded {
            self.sent(execution, message);
            return Plan::Pass;
        }
        let before = self.commanded(Purpose::Savepoint);
        self.sent(execution, message);
        Plan::Around { before, after: self.commanded(Purpose::Release) }
    }

    fn close(&mut self, object: Object, message: Bytes) -> Plan {
        let told = match &object {
            Object::Statement(name) => self.statements.sent_statement(name, None),
            Object::Portal(name) => self.statements.sent_portal(name, None),
        };
        self.sent(Expected::Close { object, told }, message);
        Plan::Pass
    }

    fn sync(&mut self, message: Bytes) -> Plan {
        let cares = self.pace == Pace::Watching || self.ledger.guards() > 0;
        self.pace = if cares { Pace::Barrier } else { Pace::Free };
        self.sent_end();
        self.sent(Expected::Sync, message);
        Plan::Pass
    }

    // === What a text does ===

    /// A text is sent to be run: what it does to names, and to settings.
    pub(super) fn sent_text(&mut self, text: &Text) {
        if !text.renames.is_none() {
            self.statements.sent_renaming();
        }
        if text.effect != Effect::NOTHING {
            self.verified.change_back();
        }
        if !text.keeps_settings {
            self.verified.change();
        }
    }

    /// A Sync or Query is sent, which ends an implicit transaction.
    pub(super) fn sent_end(&mut self) {
        self.ledger.end_retention();
        self.statements.sent_end();
        // Asked only where it matters: to tell the block is to look at all that is not answered yet,
        // and a flood of Syncs must not do that with each.
        if self.verified.may_change_back() && self.ledger.block() != Block::Open {
            self.verified.change_back();
        }
    }

    // === What concerns a rule ===

    /// The table that a text of one statement inserts into, if it leaves conflicts to us.
    pub(super) fn insert_table(&self, text: &[u8]) -> Option<String> {
        match sql::insert_target(text, self.syntax) {
            Target::Table(table) => Some(table),
            Target::None => None,
            Target::Unsure => {
                let mut script = sql::classify(text, self.syntax).ok()?;
                match (script.statements.pop()?.statement, script.statements.is_empty()) {
                    (Statement::Insert(insert), true) if !insert.on_conflict => Some(insert.table),
                    _ => None,
                }
            }
        }
    }

    /// Whether an INSERT into a table of this name may hit a constraint whose errors are absorbed.
    pub(super) fn concerns(&self, table: &str) -> bool {
        match self.known_catalog() {
            Some(catalog) => catalog.of_table(table).iter().any(|it| {
                let index = catalog.index(it);
                self.absorbs(it) && index.is_some_and(|index| index.immediate && index.plain)
            }),
            None => !matches!(self.lookup, Lookup::Failed),
        }
    }

    /// Whether a rule that applies wants any INSERT rewritten, as far as the catalog is known.
    fn rewrites_any(&self) -> bool {
        self.known_catalog().is_none_or(|catalog| {
            let mut roots = catalog.roots();
            roots.any(|root| self.rules.find(root, &self.origin).is_some_and(Rule::rewrites))
        })
    }

    /// Whether replies are to come that tell what a name stands for, and any rule could concern it.
    fn is_worth_waiting(&self) -> bool {
        let concerned = |catalog: Arc<Catalog>| {
            catalog.roots().any(|root| self.rules.find(root, &self.origin).is_some())
        };
        !self.ledger.is_drained() && self.known_catalog().is_none_or(concerned)
    }

    pub(super) fn absorbs(&self, constraint: &Constraint) -> bool {
        let rule = self.rules.find(constraint, &self.origin);
        rule.is_some_and(|rule| rule.action == Action::Absorb)
    }
}

/// Whether the server skips such a message behind an error, so that it can be sent again.
fn is_skippable(tag: u8) -> bool {
    frontend::is_read(tag) && tag != b'Q' || frontend::is_bare(tag)
}
