//! A 23505 has come: what was it the reply to, which rule lists it, what can become of it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::rules::{Action, AffectedRows, Constraint, OnConflict, Rule, Strategy};
use crate::sql::{self, Insert};
use crate::wire::backend::ErrorFields;
use crate::wire::build;
use crate::wire::frame::Frame;

use super::asked::{Asked, Read, rows_requested};
use super::catalog::Catalog;
use super::expected::{Entry, Execution, Expected, Object, Query};
use super::held::{Again, Held, Stage};
use super::name::Name;
use super::output::{Conflict, Note, Outcome};
use super::passage::Passage;
use super::received::{Failed, Segment};
use super::recovery::{self, Answer, Reason, ReplyTo, Scope, Situation};
use super::run::Plain;
use super::splice::Piece;
use super::text::Kind;
use super::{Fate, Session, redo};

/// What is to become of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Show(Outcome),
    /// The catalog may know more.
    Ask,
    Absorb(Answer),
}

impl Session {
    /// Decides what becomes of a 23505 that `failed` has brought on, after `segment`.
    pub(super) fn conflict(
        &mut self,
        frame: &Frame<'_>,
        segment: Segment,
        failed: Failed,
        passage: &mut Passage<'_, '_>,
    ) -> Fate {
        let mut held = Box::new(self.hold(frame, segment, failed));
        match self.decide(&mut held) {
            Verdict::Show(outcome) => {
                held.conflict.outcome = outcome;
                passage.note(Note::Conflict(held.conflict));
                Fate::Pass
            }
            Verdict::Ask | Verdict::Absorb(_) => {
                // The server skips until a Sync that the client has not sent.
                if matches!(held.again, Again::Execute { .. }) && self.ledger.head().is_none() {
                    passage.ask_backend(&build::sync());
                    self.ledger.sent(Expected::OwnSync);
                }
                self.held = Some(held);
                Fate::Withhold
            }
        }
    }

    /// All that is needed to judge an error, and to answer in its place.
    fn hold(&mut self, frame: &Frame<'_>, segment: Segment, failed: Failed) -> Held {
        let (asked, again) = match failed {
            Failed::Head => match self.ledger.head() {
                Some(Expected::Query(query)) => self.asked_by(query),
                Some(Expected::Sync | Expected::OwnSync) => (Asked::DeferredChecks, Again::Not),
                Some(Expected::PlainQuery | Expected::FunctionCall) => {
                    (Asked::NotInsert, Again::Not)
                }
                _ => (Asked::Unclassified, Again::Not),
            },
            Failed::Extended { failed, skipped } => match failed.expected {
                Expected::Execute(execution) => {
                    (self.asked_in(&execution), Again::Execute { execution, skipped })
                }
                Expected::Run(run) if run.first() == Plain::Execute => {
                    (Asked::NotInsert, Again::Not)
                }
                _ => (Asked::Unclassified, Again::Not),
            },
            Failed::OutOfStep { .. } | Failed::Unasked => (Asked::Unclassified, Again::Not),
        };
        let (scope, replies) = self.scope(&again, segment);
        let fields = ErrorFields::new(frame.body());
        Held {
            error: Bytes::copy_from_slice(frame.bytes),
            whole: frame.whole,
            conflict: Box::new(self.describe(&fields, &asked)),
            behind: BytesMut::new(),
            asked,
            scope,
            replies,
            told_rows: None,
            result_sent: segment.begun,
            owes_ready: false,
            stage: Stage::Undoing,
            clause: Bytes::new(),
            again,
        }
    }

    fn asked_by(&self, query: &Query) -> (Asked, Again) {
        let Kind::MayInsert(text) = &query.text.kind else {
            return (Asked::of(&query.text, None, |text| self.read(text)), Again::Not);
        };
        if query.reading != self.reading {
            return (Asked::Unclassified, Again::Not);
        }
        let guarded = match query.splice.as_ref().and_then(|splice| splice.current()) {
            Some(Piece::Client { guarded: Some(guarded), .. }) => Some(guarded),
            _ => None,
        };
        let start = guarded.map(|range| range.start);
        let asked = Asked::of(&query.text, start, |text| self.read(text));
        let again = Again::Query {
            text: text.clone(),
            spliced: query.splice.as_ref().is_some_and(|splice| splice.has_commands()),
            guarded: guarded.is_some(),
            cut: query.cut,
        };
        (asked, again)
    }

    /// Reads a text, which hardly comes twice.
    fn read(&self, text: &[u8]) -> Read {
        let (script, fingerprint) = sql::read(text, self.syntax);
        (script.map(Arc::new), fingerprint)
    }

    fn asked_in(&mut self, execution: &Execution) -> Asked {
        match &execution.bound {
            Some(bound) if bound.prepared.reading != self.reading => Asked::Unclassified,
            // Of a prepared statement, others may fail as well.
            Some(bound) => {
                Asked::of(&bound.prepared.text, None, |text| self.memo.read(text, self.syntax))
            }
            None => Asked::NotInsert,
        }
    }

    /// What was undone with the statement, and what the client is to be answered in the place of
    /// what the server skipped.
    fn scope(&self, again: &Again, segment: Segment) -> (Scope, BytesMut) {
        let mut replies = BytesMut::new();
        let scope = match again {
            // What is sent already would run before it does again, and nothing can be put into the
            // middle of a message.
            _ if !self.ledger.is_at_the_end() || !self.frontend.at_boundary() => Scope::Shared,
            Again::Query { guarded: true, .. } => Scope::Guarded,
            Again::Execute { execution, .. } if execution.guarded => Scope::Guarded,
            Again::Query { spliced: false, .. } if segment.executed == 0 => Scope::Alone,
            Again::Execute { execution, skipped } if segment.executed == 0 => {
                let may_sync = segment.bound == 1;
                let can_end = self.ledger.head().is_some() || may_sync;
                match skipped_replies(skipped, &execution.portal) {
                    Some(skipped) if can_end => {
                        replies = skipped;
                        Scope::Alone
                    }
                    _ => Scope::Shared,
                }
            }
            _ => Scope::Shared,
        };
        (scope, replies)
    }

    /// What is to become of an error that is held.
    pub(super) fn decide(&self, held: &mut Held) -> Verdict {
        match self.judge(held) {
            Ok((Action::Alert, _)) => Verdict::Show(Outcome::Alert),
            Ok((Action::Observe, _)) => Verdict::Show(Outcome::Observed),
            Ok((Action::Absorb, answer)) => Verdict::Absorb(answer),
            Err(Reason::Unverified) if held.stage == Stage::Undoing && self.can_look_up() => {
                Verdict::Ask
            }
            Err(reason) => Verdict::Show(Outcome::Shown(reason)),
        }
    }

    fn judge(&self, held: &mut Held) -> Result<(Action, Answer), Reason> {
        let Some(constraint) = held.conflict.constraint.clone() else {
            return Err(Reason::NotListed);
        };
        let known = self.known_catalog();
        let may_be_listed = self.may_be_listed(known.as_deref(), held);
        let catalog = known.unwrap_or_default();
        let index = catalog.index(&constraint);
        held.conflict.columns = index.map(|index| index.columns.clone());
        let listed = index.map_or(&constraint, |index| &index.root);
        let rule = self.rules.find(listed, &self.origin);
        held.conflict.rule = rule.map(|rule| (rule.id.as_str().to_owned(), rule.action));
        match rule.map(|rule| rule.action) {
            Some(Action::Alert) => return Ok((Action::Alert, Answer::Reply)),
            None if index.is_some() || !may_be_listed => return Err(Reason::NotListed),
            _ => {}
        }
        let fields = ErrorFields::new(held.error_body());
        let answer = recovery::judge(&Situation {
            fields,
            constraint: &constraint,
            index,
            in_step: self.ledger.is_sure(),
            reply_to: match held.asked.reply_to() {
                _ if !held.whole => ReplyTo::TooLarge,
                _ if !fields.is_well_formed() => ReplyTo::Unclassified,
                reply_to => reply_to,
            },
            result_sent: held.result_sent,
            status: self.status,
            scope: held.scope,
            server_version: self.server_version,
            rule,
        });
        match (rule, answer) {
            (None, Err(Reason::Unverified)) if held.stage == Stage::Undoing => {
                Err(Reason::Unverified)
            }
            (None, _) => Err(Reason::NotListed),
            (Some(rule), answer) => {
                let answer = answer?;
                if let (Answer::Redo, Some(index)) = (answer, index) {
                    redo::is_possible(held)?;
                    let (text, insert) = redo::subject(held).ok_or(Reason::Unclassified)?;
                    held.clause = self.clause((text, insert), rule, &catalog, index)?;
                }
                held.told_rows = told_rows(rule, held.asked.insert(), self.server_version);
                Ok((rule.action, answer))
            }
        }
    }

    /// Whether an index that the catalog does not know may be a partition's of a listed one: of a
    /// table that has any or, before the first answer, of any table.
    fn may_be_listed(&self, catalog: Option<&Catalog>, held: &Held) -> bool {
        let Some(insert) = held.asked.insert() else { return false };
        let Some(catalog) = catalog else { return self.can_look_up() };
        let mut roots = catalog.of_table(&insert.table).iter();
        roots.any(|root| self.rules.find(root, &self.origin).is_some())
    }

    fn describe(&self, fields: &ErrorFields<'_>, asked: &Asked) -> Conflict {
        Conflict {
            outcome: Outcome::Shown(Reason::NotListed),
            strategy: Strategy::React,
            rule: None,
            constraint: self.constraint(fields),
            columns: None,
            detail: fields.detail().map(<[u8]>::to_vec),
            origin: self.origin.clone(),
            backend_pid: self.backend_pid,
            transaction_status: self.status,
            statement: asked.kind(),
            rows_requested: asked.rows(self.server_version),
            rows_inserted: None,
            fingerprint: asked.fingerprint(),
        }
    }

    /// The constraint that an error names, if all of its name can be read: outside UTF-8, that is
    /// if it is ASCII.
    fn constraint(&self, fields: &ErrorFields<'_>) -> Option<Constraint> {
        let read = |name: Option<&[u8]>| {
            let name = std::str::from_utf8(name?).ok()?;
            (self.syntax.encoding == sql::Encoding::Utf8 || name.is_ascii())
                .then(|| name.to_owned())
        };
        Some(Constraint {
            schema: read(fields.schema())?,
            table: read(fields.table())?,
            name: read(fields.constraint())?,
        })
    }
}

/// The number of rows that the client is told in the place of the true one, if the rule wants that.
///
/// With RETURNING the rows themselves tell; what updates the rows that are there counts them.
pub(super) fn told_rows(rule: &Rule, insert: Option<&Insert>, server_version: u32) -> Option<u32> {
    let insert = insert.filter(|insert| !insert.returning)?;
    let wanted =
        rule.affected_rows == AffectedRows::Requested && rule.on_conflict == OnConflict::Nothing;
    if wanted { rows_requested(insert, server_version) } else { None }
}

/// What the server would have answered, had it not skipped these messages behind an INSERT that
/// stood alone.
///
/// `None` if one would have had an effect. The portal is gone with the transaction, so closing it
/// does nothing more; and what the client is told of it was described before it ran.
fn skipped_replies(skipped: &[Entry], portal: &Name) -> Option<BytesMut> {
    let mut replies = BytesMut::new();
    for entry in skipped {
        replies.extend_from_slice(&match &entry.expected {
            Expected::Close { object: Object::Portal(_), .. } => build::close_complete(),
            Expected::Describe(Object::Portal(name)) if name == portal => build::no_data(),
            Expected::Own(_) => continue,
            _ => return None,
        });
    }
    Some(replies)
}
