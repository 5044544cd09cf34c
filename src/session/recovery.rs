//! Whether a 23505 may become a success: the conditions of the contract as one decision table.
//!
//! Any doubt shows the error, so each condition that does not hold is a [`Reason`] to show it, and
//! the first that is found is the one that is logged. `docs/recovery.md` is this table in prose;
//! each of its rows names the transcript that shows it on the wire.

use crate::rules::{Action, Constraint, OnConflict, Returning, Rule};
use crate::sql::{Insert, Rows, Statement};
use crate::wire::backend::{ErrorFields, TransactionStatus};

use super::catalog::Index;

/// Why a 23505 was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No rule lists the constraint.
    NotListed,
    /// The replies no longer match what was asked.
    OutOfStep,
    /// It came from inside a trigger, a function, a DO block or COPY.
    Nested,
    /// The statement is not a plain INSERT.
    NotInsert,
    /// The constraint was, or may have been, checked at the end of the transaction.
    Deferred,
    /// The statement's text, or the error, is longer than the inspection limit.
    TooLarge,
    /// The statement's text, or the error, could not be read with certainty.
    Unclassified,
    /// The statement has an ON CONFLICT of its own.
    OwnOnConflict,
    /// The statement has RETURNING, and the rule wants its error shown.
    Returning,
    /// The INSERT's own target is another table than the error's.
    OtherTable,
    /// Part of the statement's result has already gone to the client.
    ResultSent,
    /// The transaction block is already aborted: no savepoint stood before the statement.
    InTransaction,
    /// Other statements share the implicit transaction, and are undone with this one.
    ImplicitTransaction,
    /// The catalog has not, or not yet, said what the constraint is.
    Unverified,
    /// A view, a foreign table or a rule is behind the table's name.
    NotPlainTable,
    /// No ON CONFLICT can name the constraint and no other.
    NoConflictTarget,
    /// Rolling back to the savepoint failed.
    UndoFailed,
    /// Running the statement again, with ON CONFLICT, failed.
    RedoFailed,
    /// The connection ended, or the status was not what it had to be, before the undoing was sure.
    Unconfirmed,
}

impl Reason {
    /// The name for logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotListed => "not_listed",
            Self::OutOfStep => "out_of_step",
            Self::Nested => "nested",
            Self::NotInsert => "not_insert",
            Self::Deferred => "deferred",
            Self::TooLarge => "too_large",
            Self::Unclassified => "unclassified",
            Self::OwnOnConflict => "own_on_conflict",
            Self::Returning => "returning",
            Self::OtherTable => "other_table",
            Self::ResultSent => "result_sent",
            Self::InTransaction => "in_transaction",
            Self::ImplicitTransaction => "implicit_transaction",
            Self::Unverified => "unverified",
            Self::NotPlainTable => "not_plain_table",
            Self::NoConflictTarget => "no_conflict_target",
            Self::UndoFailed => "undo_failed",
            Self::RedoFailed => "redo_failed",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

/// What the error is the reply to.
#[derive(Clone, Copy, Debug)]
pub(super) enum ReplyTo<'a> {
    /// A statement that was classified.
    Statement(&'a Statement),
    /// One of several statements of a Query.
    Several,
    /// A statement or message at which deferred constraints are checked.
    DeferredChecks,
    /// A Query or an Execute that holds no INSERT.
    NotInsert,
    /// A text, or an error, longer than the inspection limit.
    TooLarge,
    /// A text that could not be classified, a message that should not raise this error, or an error
    /// that is malformed.
    Unclassified,
}

/// What the error has undone, or a rollback can undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The statement alone: nothing else is in its implicit transaction.
    Alone,
    /// The statement alone: the proxy's savepoint stood before it.
    Guarded,
    /// Other statements too.
    Shared,
}

/// How an error is absorbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// One row was not inserted: the client is told so.
    Reply,
    /// The statement is run again with ON CONFLICT, and its own answer is the client's.
    Redo,
}

/// All that the decision looks at.
#[derive(Debug)]
pub(super) struct Situation<'a> {
    pub(super) fields: ErrorFields<'a>,
    pub(super) constraint: &'a Constraint,
    pub(super) index: Option<&'a Index>,
    pub(super) in_step: bool,
    pub(super) reply_to: ReplyTo<'a>,
    /// Rows, or their description, have gone to the client.
    pub(super) result_sent: bool,
    pub(super) status: Option<TransactionStatus>,
    pub(super) scope: Scope,
    /// The server's major version.
    pub(super) server_version: u32,
    /// The rule that lists the constraint, if one does.
    pub(super) rule: Option<&'a Rule>,
}

impl Situation<'_> {
    fn observes(&self) -> bool {
        self.rule.is_some_and(|rule| rule.action == Action::Observe)
    }
}

/// Whether this 23505, on a constraint that a rule lists, can be absorbed, and how.
pub(super) fn judge(situation: &Situation<'_>) -> Result<Answer, Reason> {
    judge_error(situation)?;
    let insert = judge_statement(situation)?;
    judge_insert(situation, insert)?;
    judge_surroundings(situation)?;
    judge_index(situation.index)?;
    let updates = situation.rule.is_some_and(|rule| rule.on_conflict != OnConflict::Nothing);
    let one = insert.rows_at(situation.server_version) == Rows::One;
    let one = one && !insert.returning && !updates;
    Ok(if one { Answer::Reply } else { Answer::Redo })
}

/// The error itself says that it came from the statement's own row.
fn judge_error(situation: &Situation<'_>) -> Result<(), Reason> {
    let from_check =
        situation.fields.routine().is_none_or(|routine| routine == b"_bt_check_unique");
    match situation.fields.context() {
        _ if !situation.in_step => Err(Reason::OutOfStep),
        _ if situation.fields.severity() != Some(b"ERROR") => Err(Reason::Unclassified),
        Some(_) => Err(Reason::Nested),
        None if !from_check => Err(Reason::NotInsert),
        None => Ok(()),
    }
}

/// The error is the reply to one INSERT.
fn judge_statement<'a>(situation: &Situation<'a>) -> Result<&'a Insert, Reason> {
    match situation.reply_to {
        ReplyTo::Statement(Statement::Insert(insert)) => Ok(insert),
        ReplyTo::Statement(statement) if statement.checks_deferred() => Err(Reason::Deferred),
        ReplyTo::Statement(_) | ReplyTo::NotInsert => Err(Reason::NotInsert),
        ReplyTo::Several if situation.status == Some(TransactionStatus::Transaction) => {
            Err(Reason::InTransaction)
        }
        ReplyTo::Several => Err(Reason::ImplicitTransaction),
        ReplyTo::DeferredChecks => Err(Reason::Deferred),
        ReplyTo::TooLarge => Err(Reason::TooLarge),
        ReplyTo::Unclassified => Err(Reason::Unclassified),
    }
}

/// The INSERT has no conflict handling of its own, and its target is the error's table.
fn judge_insert(situation: &Situation<'_>, insert: &Insert) -> Result<(), Reason> {
    let root = situation.index.map(|index| &index.root);
    let own = [Some(situation.constraint), root];
    // What table an unknown index belongs to is not known either.
    let unknown = situation.index.is_none();
    if insert.on_conflict {
        Err(Reason::OwnOnConflict)
    } else if situation.rule.is_some_and(|rule| refuses_returning(rule, insert)) {
        Err(Reason::Returning)
    } else if !unknown && !own.into_iter().flatten().any(|it| is_target(insert, it)) {
        Err(Reason::OtherTable)
    } else {
        Ok(())
    }
}

/// Whether a rule has the error of a statement with this RETURNING shown.
///
/// Whoever asks for keys of ordered rows may take them to ascend in that order, and those of rows
/// that are there do not.
pub(super) fn refuses_returning(rule: &Rule, insert: &Insert) -> bool {
    insert.returning
        && match rule.returning {
            Returning::Error => true,
            Returning::Existing => insert.ordered,
            Returning::Empty => insert.ordered && rule.on_conflict != OnConflict::Nothing,
        }
}

/// Whether a constraint is one of the table that the text names.
pub(super) fn is_target(insert: &Insert, constraint: &Constraint) -> bool {
    insert.table == constraint.table
        && insert.schema.as_ref().is_none_or(|schema| *schema == constraint.schema)
}

/// What is undone is this statement and nothing else.
fn judge_surroundings(situation: &Situation<'_>) -> Result<(), Reason> {
    let idle = situation.status == Some(TransactionStatus::Idle);
    match situation.scope {
        _ if situation.result_sent => Err(Reason::ResultSent),
        Scope::Guarded => Ok(()),
        // A rule that only observes has no savepoint made.
        _ if !idle && situation.observes() => Ok(()),
        _ if !idle => Err(Reason::InTransaction),
        Scope::Shared => Err(Reason::ImplicitTransaction),
        Scope::Alone => Ok(()),
    }
}

/// The catalog knows the constraint, as one that is checked at once on a plain table.
fn judge_index(index: Option<&Index>) -> Result<(), Reason> {
    match index {
        None => Err(Reason::Unverified),
        Some(index) if !index.plain => Err(Reason::NotPlainTable),
        Some(index) if !index.immediate => Err(Reason::Deferred),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
