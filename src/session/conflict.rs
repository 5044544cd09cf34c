//! A 23505 has come: what was it the reply to, which rule lists it, what can become of it.

use bytes::{Bytes, BytesMut};

use crate::rules::{Action, Constraint};
use crate::sql::{self, Insert, Part, Rows, Statement, Syntax};
use crate::wire::backend::ErrorFields;
use crate::wire::build;
use crate::wire::frame::Frame;

use super::catalog::{Catalog, Index};
use super::expected::{Entry, Execution, Expected, Object, Query};
use super::guard::Piece;
use super::held::{Again, Held, Stage};
use super::ledger::{Failed, Segment};
use super::output::{Conflict, Note, Outcome};
use super::passage::Passage;
use super::recovery::{self, Answer, Reason, ReplyTo, Scope, Situation};
use super::statements::Name;
use super::text::{Kind, Text};
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
    fn hold(&self, frame: &Frame<'_>, segment: Segment, failed: Failed) -> Held {
        let (asked, again) = match failed {
            Failed::Head => match self.ledger.head() {
                Some(Expected::Query(query)) => self.asked_by(query),
                Some(Expected::Sync | Expected::OwnSync) => (Asked::DeferredChecks, Again::Not),
                Some(Expected::FunctionCall) => (Asked::NotInsert, Again::Not),
                _ => (Asked::Unclassified, Again::Not),
            },
            Failed::Extended { failed: Expected::Execute(execution), skipped } => {
                (self.asked_in(&execution), Again::Execute { execution, skipped })
            }
            Failed::Extended { .. } | Failed::Unasked => (Asked::Unclassified, Again::Not),
        };
        let (scope, success) = self.scope(&again, segment);
        let fields = ErrorFields::new(frame.body());
        Held {
            error: Bytes::copy_from_slice(frame.bytes),
            whole: frame.whole,
            conflict: Box::new(self.describe(&fields, &asked)),
            behind: BytesMut::new(),
            asked,
            scope,
            success,
            result_sent: segment.begun,
            owes_ready: false,
            stage: Stage::Undoing,
            clause: Bytes::new(),
            again,
        }
    }

    fn asked_by(&self, query: &Query) -> (Asked, Again) {
        let Kind::MayInsert(text) = &query.text.kind else {
            return (Asked::of(&query.text, self.syntax, None), Again::Not);
        };
        if query.reading != self.reading {
            return (Asked::Unclassified, Again::Not);
        }
        let guarded = match query.splice.as_ref().and_then(|splice| splice.current()) {
            Some(Piece::Client { guarded: Some(guarded), .. }) => Some(guarded),
            _ => None,
        };
        let asked = Asked::of(&query.text, self.syntax, guarded.map(|range| range.start));
        let again = Again::Query {
            text: text.clone(),
            spliced: query.splice.is_some(),
            guarded: guarded.is_some(),
            cut: query.cut,
        };
        (asked, again)
    }

    fn asked_in(&self, execution: &Execution) -> Asked {
        match &execution.bound {
            Some(bound) if bound.prepared.reading != self.reading => Asked::Unclassified,
            Some(bound) => Asked::of(&bound.prepared.text, self.syntax, None),
            None => Asked::NotInsert,
        }
    }

    /// What was undone with the statement, and what the client is to be answered in the place of
    /// the error and of what the server skipped.
    fn scope(&self, again: &Again, segment: Segment) -> (Scope, BytesMut) {
        let mut success = BytesMut::from(&build::command_complete("INSERT 0 0")[..]);
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
                    Some(replies) if can_end => {
                        success.extend_from_slice(&replies);
                        Scope::Alone
                    }
                    _ => Scope::Shared,
                }
            }
            _ => Scope::Shared,
        };
        (scope, success)
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
        let action = match rule.map(|rule| rule.action) {
            Some(Action::Alert) => return Ok((Action::Alert, Answer::Reply)),
            None if index.is_some() || !may_be_listed => return Err(Reason::NotListed),
            action => action,
        };
        let answer = recovery::judge(&Situation {
            fields: ErrorFields::new(held.error_body()),
            constraint: &constraint,
            index,
            in_step: self.ledger.is_sure(),
            reply_to: if held.whole { held.asked.reply_to() } else { ReplyTo::TooLarge },
            result_sent: held.result_sent,
            status: self.status,
            scope: held.scope,
            observed: action == Some(Action::Observe),
        });
        match (action, answer) {
            (None, Err(Reason::Unverified)) if held.stage == Stage::Undoing => {
                Err(Reason::Unverified)
            }
            (None, _) => Err(Reason::NotListed),
            (Some(action), answer) => {
                let answer = answer?;
                if let (Answer::Redo, Some(index)) = (answer, index) {
                    held.clause = self.clause(held, &catalog, index)?;
                    redo::is_possible(held)?;
                }
                Ok((action, answer))
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

    /// What the redo adds to the statement.
    ///
    /// It names the constraint that was hit, so that any other still shows its error; where each
    /// unique or exclusion constraint of the table is absorbed, it names none.
    fn clause(&self, held: &Held, catalog: &Catalog, index: &Index) -> Result<Bytes, Reason> {
        let others = || catalog.siblings(&index.root).filter(|it| **it != index.root);
        let absorbed = |other: &Constraint| {
            // What excludes is no unique index, and has no such target.
            let unique = |it: &Index| it.immediate && it.conflict_target.is_some();
            self.absorbs(other) && catalog.index(other).is_some_and(unique)
        };
        let target = if !index.partitioned && others().count() > 0 && others().all(absorbed) {
            ""
        } else {
            let insert = held.asked.insert();
            let at_root = insert.is_some_and(|insert| recovery::is_target(insert, &index.root));
            let index = if at_root { catalog.index(&index.root) } else { Some(index) };
            let target = index.and_then(|index| index.conflict_target.as_deref());
            target.ok_or(Reason::NoConflictTarget)?
        };
        if !target.is_ascii() && self.syntax.encoding != sql::Encoding::Utf8 {
            return Err(Reason::NoConflictTarget);
        }
        Ok(format!(" ON CONFLICT {target} DO NOTHING ").into())
    }

    fn describe(&self, fields: &ErrorFields<'_>, asked: &Asked) -> Conflict {
        Conflict {
            outcome: Outcome::Shown(Reason::NotListed),
            rule: None,
            constraint: self.constraint(fields),
            columns: None,
            detail: fields.detail().map(<[u8]>::to_vec),
            origin: self.origin.clone(),
            backend_pid: self.backend_pid,
            transaction_status: self.status,
            statement: asked.kind(),
            rows_requested: asked.rows(),
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

/// What failed, as far as its text says.
#[derive(Debug)]
pub(super) enum Asked {
    /// One statement, where the next one in its text begins, and the text's shape.
    Statement(Part, Option<usize>, u64),
    /// Several, of which it is not known which.
    Several(u64),
    DeferredChecks,
    NotInsert,
    TooLarge,
    Unclassified,
}

impl Asked {
    /// `start` is where the statement begins in a text of several.
    fn of(text: &Text, syntax: Syntax, start: Option<usize>) -> Self {
        let text = match &text.kind {
            Kind::MayInsert(text) => text,
            Kind::DeferredChecks => return Self::DeferredChecks,
            Kind::TooLarge => return Self::TooLarge,
            Kind::Unsure => return Self::Unclassified,
            Kind::Other => return Self::NotInsert,
        };
        let Ok(mut script) = sql::classify(text, syntax) else { return Self::Unclassified };
        let fingerprint = sql::fingerprint(text, syntax);
        let alone = script.statements.len() == 1;
        let asked = |part: &Part| alone || Some(part.range.start) == start;
        match script.statements.iter().position(asked) {
            Some(found) => {
                let next = script.statements.get(found + 1).map(|part| part.range.start);
                Self::Statement(script.statements.swap_remove(found), next, fingerprint)
            }
            None if script.statements.is_empty() => Self::Unclassified,
            None => Self::Several(fingerprint),
        }
    }

    fn reply_to(&self) -> ReplyTo<'_> {
        match self {
            Self::Statement(part, ..) => ReplyTo::Statement(&part.statement),
            Self::Several(_) => ReplyTo::Several,
            Self::DeferredChecks => ReplyTo::DeferredChecks,
            Self::NotInsert => ReplyTo::NotInsert,
            Self::TooLarge => ReplyTo::TooLarge,
            Self::Unclassified => ReplyTo::Unclassified,
        }
    }

    pub(super) fn part(&self) -> Option<&Part> {
        match self {
            Self::Statement(part, ..) => Some(part),
            _ => None,
        }
    }

    /// Where the next statement begins in the text.
    pub(super) fn next(&self) -> Option<usize> {
        match self {
            Self::Statement(_, next, _) => *next,
            _ => None,
        }
    }

    pub(super) fn insert(&self) -> Option<&Insert> {
        match &self.part()?.statement {
            Statement::Insert(insert) => Some(insert),
            _ => None,
        }
    }

    fn kind(&self) -> Option<&'static str> {
        Some(match self {
            Self::Statement(..) if self.insert().is_some() => "insert",
            Self::Statement(..) => "other",
            Self::Several(_) => "several",
            _ => return None,
        })
    }

    fn rows(&self) -> Option<u32> {
        (self.insert()?.rows == Rows::One).then_some(1)
    }

    fn fingerprint(&self) -> Option<u64> {
        match self {
            Self::Statement(.., fingerprint) | Self::Several(fingerprint) => Some(*fingerprint),
            _ => None,
        }
    }
}
