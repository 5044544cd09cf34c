//! An ErrorResponse that is about to be absorbed, from its coming to the client's answer.
//!
//! ```text
//!   23505 ──▶ Undoing ──ReadyForQuery──▶ Settling ──last command──▶ the client's answer
//!               │    E: roll back to the savepoint     ▲
//!               │    I: run it again, or               │
//!               │       one row: answered at once      │
//!               └─ unknown index ──▶ Asking ───────────┘
//! ```
//!
//! Whatever else comes than what has to, the error is shown: the very bytes that came.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::wire::backend::{self, TransactionStatus};
use crate::wire::build;
use crate::wire::frame::HEADER;

use super::asked::Asked;
use super::block::Effect;
use super::conflict::Verdict;
use super::expected::{Entry, Execution, Expected, Purpose, Query};
use super::output::{Conflict, Note, Outcome};
use super::passage::Passage;
use super::plan::NARROW;
use super::recovery::{Answer, Reason, Scope};
use super::splice::{Splice, characters};
use super::tally::RedoResult;
use super::text::{Kind, Text};
use super::{Fate, Session, redo};

/// An error held back, and all that an answer in its place takes.
#[derive(Debug)]
pub(super) struct Held {
    /// The server's ErrorResponse, as it came.
    pub(super) error: Bytes,
    /// Whether that is all of it.
    pub(super) whole: bool,
    pub(super) conflict: Box<Conflict>,
    /// Notices and parameters that came after it.
    pub(super) behind: BytesMut,
    /// What failed, as far as its text says.
    pub(super) asked: Asked,
    pub(super) scope: Scope,
    /// Behind a statement that stood alone: the replies to what the server skipped.
    pub(super) replies: BytesMut,
    /// The number of rows that the client is told in the place of the true one.
    pub(super) told_rows: Option<u32>,
    /// Part of the result has gone to the client.
    pub(super) result_sent: bool,
    /// A ReadyForQuery was kept from the client, which waits for one.
    pub(super) owes_ready: bool,
    pub(super) stage: Stage,
    pub(super) again: Again,
    /// What the redo adds to the statement.
    pub(super) clause: Bytes,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The ReadyForQuery that ends what failed.
    Undoing,
    /// The catalog's answer.
    Asking,
    /// The end of the commands that undo, and run again.
    Settling,
}

/// How the statement can be run again, and what the client sent behind it.
#[derive(Debug)]
pub(super) enum Again {
    Not,
    Query {
        /// The client's text.
        text: Arc<[u8]>,
        /// Whether it was sent with commands of the proxy's own in it.
        spliced: bool,
        /// Whether a savepoint stood before the statement that failed.
        guarded: bool,
        /// How many characters of the text that the client sent stood before this one.
        cut: usize,
    },
    Execute {
        execution: Execution,
        /// What the server skipped.
        skipped: Vec<Entry>,
    },
}

/// A message of the client's that waits to be sent, behind a recovery.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) message: Bytes,
    /// How many characters of the text that the client sent stood before a Query's.
    pub(super) cut: usize,
    /// Whether the client has had the reply already.
    pub(super) is_answered: bool,
}

impl Waiting {
    pub(super) fn new(message: Bytes) -> Self {
        Self { message, cut: 0, is_answered: false }
    }
}

impl Held {
    /// Bytes that it takes, about.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.error.len() + self.behind.len() + self.replies.len()
    }

    /// A message that came behind the error, and stays behind it.
    pub(super) fn follow(&mut self, bytes: &[u8]) {
        self.behind.extend_from_slice(bytes);
    }

    /// The CommandComplete that the client gets for so many rows.
    fn complete(&self, rows: u32) -> Bytes {
        build::command_complete(&format!("INSERT 0 {}", self.told_rows.unwrap_or(rows)))
    }

    /// The error's fields.
    pub(super) fn error_body(&self) -> &[u8] {
        self.error.get(HEADER..).unwrap_or_default()
    }

    /// The client gets its answer.
    fn answer(self, answer: &[u8], outcome: Outcome, passage: &mut Passage<'_, '_>) {
        if !answer.is_empty() {
            passage.insert(answer);
        }
        if !self.behind.is_empty() {
            passage.insert(&self.behind);
        }
        let conflict = Conflict { outcome, ..*self.conflict };
        passage.note(Note::Conflict(Box::new(conflict)));
    }

    /// Whether the statement is being run again outside a block, so that what it does is committed
    /// with it.
    fn commits_again(&self) -> bool {
        self.scope == Scope::Alone && self.stage == Stage::Settling
    }

    /// Whether the statement is being run again.
    pub(super) fn runs_again(&self) -> bool {
        self.stage == Stage::Settling && self.conflict.rows_inserted.is_none()
    }

    fn show(self, outcome: Outcome, passage: &mut Passage<'_, '_>) {
        let error = self.error.clone();
        self.answer(&error, outcome, passage);
    }

    /// What the client has sent behind the statement, and the server has not done.
    fn take_behind(&mut self) -> Vec<Waiting> {
        if let Some((rest, cut)) = self.rest() {
            return vec![Waiting { cut, ..Waiting::new(build::query(rest)) }];
        }
        let Again::Execute { skipped, .. } = &mut self.again else { return Vec::new() };
        let message = |entry: Entry| entry.message().cloned().unwrap_or_default();
        let mut messages: Vec<_> = skipped.drain(..).map(message).collect();
        messages.retain(|message| !message.is_empty());
        if self.owes_ready {
            messages.push(build::sync());
        }
        messages.into_iter().map(Waiting::new).collect()
    }

    /// What stands behind the statement in the client's text, and how many characters before it.
    fn rest(&self) -> Option<(&[u8], usize)> {
        let Again::Query { text, cut, .. } = &self.again else { return None };
        let (before, rest) = text.split_at_checked(self.asked.next()?)?;
        Some((rest, cut + characters(before)))
    }
}

impl Session {
    /// Something else has come, or nothing comes any more: the error is shown.
    ///
    /// Not where the statement may have been committed by running again: the end of the connection
    /// is all that the client learns, as it would of a statement with an ON CONFLICT of its own. And
    /// if a Sync of the proxy's own is under way, the server goes on behind it, as the client does
    /// not expect: it is made to skip again.
    pub(super) fn show_held(&mut self, passage: &mut Passage<'_, '_>) {
        let Some(held) = self.held.take() else { return };
        self.count_redo(&held, RedoResult::Unconfirmed);
        self.statements.rolled_back();
        self.kept.clear();
        let ready = held.owes_ready;
        let outcome = Outcome::Shown(Reason::Unconfirmed);
        if held.commits_again() {
            held.answer(b"", outcome, passage);
        } else {
            held.show(outcome, passage);
        }
        if self.ledger.is_syncing() {
            passage.ask_backend(&self.commanded(Purpose::Abort));
            if ready {
                self.send_sync(passage);
            }
        }
    }

    /// A ReadyForQuery has come while an error is held; the client waits for it, or it ends what
    /// the proxy alone has asked.
    pub(super) fn held_is_ready(&mut self, clients: bool, passage: &mut Passage<'_, '_>) -> Fate {
        let Some(mut held) = self.held.take() else { return fate(clients) };
        held.owes_ready |= clients;
        if let Err(reason) = self.is_undone(&held) {
            return self.show_at_ready(held, Outcome::Shown(reason), passage);
        }
        match self.decide(&mut held) {
            Verdict::Show(outcome) => self.show_at_ready(held, outcome, passage),
            Verdict::Ask => {
                self.ask(held, passage);
                Fate::Withhold
            }
            Verdict::Absorb(Answer::Reply) if held.scope == Scope::Alone => {
                let mut success = BytesMut::from(&held.complete(0)[..]);
                success.extend_from_slice(&held.replies);
                let ready = held.owes_ready;
                held.conflict.rows_inserted = Some(0);
                held.answer(&success, Outcome::Absorbed, passage);
                fate(ready)
            }
            Verdict::Absorb(answer) => {
                held.stage = Stage::Settling;
                match &held.again {
                    Again::Query { .. } => self.recover_query(held, answer, passage),
                    _ => self.recover_execute(held, answer, passage),
                }
                Fate::Withhold
            }
        }
    }

    /// The server reads texts otherwise than the statement was judged: its error is shown, unless
    /// it is being run again already.
    pub(super) fn doubt_held(&mut self, passage: &mut Passage<'_, '_>) {
        if self.held.as_ref().is_some_and(|held| held.stage != Stage::Settling) {
            self.show_held(passage);
        }
    }

    /// Whether the status is the one from which to go on.
    fn is_undone(&self, held: &Held) -> Result<(), Reason> {
        use TransactionStatus::{Failed, Idle, Transaction};
        match (held.scope, held.stage, self.status) {
            (_, Stage::Settling, _) | (_, _, None) => Err(Reason::Unconfirmed),
            (Scope::Alone, _, Some(Idle))
            | (Scope::Guarded, Stage::Undoing, Some(Failed))
            | (Scope::Guarded, Stage::Asking, Some(Transaction)) => Ok(()),
            (Scope::Guarded, Stage::Asking, _) if !self.can_look_up() => Err(Reason::Unverified),
            (Scope::Guarded, Stage::Asking, _) => Err(Reason::UndoFailed),
            _ => Err(Reason::InTransaction),
        }
    }

    /// The error is shown where the server does not stand as the error leaves it any more: the
    /// transaction is aborted once more, and what the client sends up to its Sync is skipped.
    fn show_at_ready(
        &mut self,
        held: Box<Held>,
        outcome: Outcome,
        passage: &mut Passage<'_, '_>,
    ) -> Fate {
        let (scope, ready) = (held.scope, held.owes_ready);
        self.count_redo(&held, RedoResult::Unconfirmed);
        self.statements.rolled_back();
        held.show(outcome, passage);
        let revived =
            scope == Scope::Guarded && self.status == Some(TransactionStatus::Transaction);
        if ready && !revived {
            return Fate::Pass;
        }
        passage.ask_backend(&self.commanded(Purpose::Abort));
        if ready {
            self.send_sync(passage);
        }
        Fate::Withhold
    }

    /// The catalog is asked about an index that it does not know yet.
    fn ask(&mut self, mut held: Box<Held>, passage: &mut Passage<'_, '_>) {
        held.stage = Stage::Asking;
        let guarded = held.scope == Scope::Guarded;
        if guarded {
            passage.ask_backend(&self.commanded(Purpose::RollbackTo));
        }
        passage.ask_backend(&self.look_up());
        if guarded {
            // What the lookup set for itself goes as well.
            passage.ask_backend(&self.commanded(Purpose::RollbackTo));
        }
        passage.ask_backend(&build::sync());
        self.ledger.sent(Expected::OwnSync);
        self.held = Some(held);
    }

    /// A Query's statement is undone, and run again if it must be; then comes the text behind it.
    fn recover_query(
        &mut self,
        mut held: Box<Held>,
        answer: Answer,
        passage: &mut Passage<'_, '_>,
    ) {
        let redo = redo::text(&held);
        let purposes: &[Purpose] = match (held.scope, answer) {
            (Scope::Guarded, Answer::Reply) => &[Purpose::RollbackTo, Purpose::Release],
            (Scope::Guarded, Answer::Redo) => {
                &[Purpose::RollbackTo, Purpose::Redo, Purpose::Release]
            }
            _ => &[Purpose::Redo],
        };
        let mut splice = Splice::own(purposes, &redo);
        passage.ask_backend(&build::query(&std::mem::take(&mut splice.text)));
        let query = Query {
            splice: Some(Box::new(splice)),
            readies: held.rest().is_none(),
            ..Query::plain(Text { effect: Effect::REVIVES, ..Text::OTHER })
        };
        self.sent_own(query.into());
        self.keep_reply(answer, &mut held);
        self.held = Some(held);
    }

    /// An Execute is undone, and run again if it must be; then comes what the server skipped.
    fn recover_execute(
        &mut self,
        mut held: Box<Held>,
        answer: Answer,
        passage: &mut Passage<'_, '_>,
    ) {
        let guarded = held.scope == Scope::Guarded;
        if guarded {
            passage.ask_backend(&self.commanded(Purpose::RollbackTo));
        }
        if let (Answer::Redo, Again::Execute { execution, .. }) = (answer, &held.again) {
            let (bytes, expected) = redo::messages(&held, execution);
            passage.ask_backend(&bytes);
            self.sent_own(expected);
        }
        if guarded {
            passage.ask_backend(&self.commanded(Purpose::Release));
        }
        let nothing_else = match &held.again {
            Again::Execute { skipped, .. } => skipped.iter().all(|it| it.message().is_none()),
            _ => true,
        };
        if held.owes_ready && nothing_else {
            held.owes_ready = false;
            self.send_sync(passage);
        } else {
            passage.ask_backend(&build::flush());
        }
        self.keep_reply(answer, &mut held);
        self.held = Some(held);
    }

    fn keep_reply(&mut self, answer: Answer, held: &mut Held) {
        self.kept.clear();
        if answer == Answer::Reply {
            held.conflict.rows_inserted = Some(0);
            self.kept.extend_from_slice(&held.complete(0));
        }
    }

    /// A Sync whose ReadyForQuery is the client's.
    fn send_sync(&mut self, passage: &mut Passage<'_, '_>) {
        passage.ask_backend(&build::sync());
        self.ledger.sent(Expected::Sync);
    }

    /// The last command of a recovery has succeeded: the client gets its answer, and what it has
    /// sent behind it goes on.
    pub(super) fn settle_held(&mut self, passage: &mut Passage<'_, '_>) {
        let Some(mut held) = self.held.take() else { return };
        self.count_redo(&held, RedoResult::Succeeded);
        self.window = NARROW;
        let mut kept = std::mem::take(&mut self.kept);
        if let (None, Some(rows)) = (held.conflict.rows_inserted, backend::inserted_rows(&kept)) {
            held.conflict.rows_inserted = Some(rows);
            kept = BytesMut::from(&held.complete(rows)[..]);
        }
        // What waits already was sent behind it.
        for next in held.take_behind().into_iter().rev() {
            self.waiting.push_front(next);
        }
        held.answer(&kept, Outcome::Absorbed, passage);
    }

    /// A command of a recovery has failed: the error that is held is shown in the place of the new
    /// one, and the server has aborted the transaction or skips, as the client will be told.
    pub(super) fn recovery_failed(&mut self, purpose: Purpose, passage: &mut Passage<'_, '_>) {
        let Some(held) = self.held.take() else { return };
        self.count_redo(&held, RedoResult::Failed);
        self.statements.rolled_back();
        self.kept.clear();
        if let Some(query) = self.ledger.query() {
            query.readies = true;
        } else if held.owes_ready {
            self.waiting.push_back(Waiting::new(build::sync()));
        }
        let redo = purpose == Purpose::Redo;
        let reason = if redo { Reason::RedoFailed } else { Reason::UndoFailed };
        held.show(Outcome::Shown(reason), passage);
    }

    /// A spliced text was refused as a whole, so it is sent again as the client wrote it: the
    /// server's own words about it are the client's.
    pub(super) fn resend(&mut self, query: Query, passage: &mut Passage<'_, '_>) {
        let Kind::MayInsert(bytes) = &query.text.kind else { return };
        let message = build::query(bytes);
        if query.splice.is_some_and(|splice| splice.has_commands()) {
            passage.ask_backend(&message);
            self.ledger.sent(Expected::from(Query::plain(query.text)));
        } else {
            self.waiting.push_front(Waiting::new(message));
        }
    }
}

fn fate(passes: bool) -> Fate {
    if passes { Fate::Pass } else { Fate::Withhold }
}
