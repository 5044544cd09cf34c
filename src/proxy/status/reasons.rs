//! What an outcome means and what to do about it, in a sentence: `docs/recovery.md` in short.

use crate::session::output::Outcome;
use crate::session::recovery::Reason;

/// What became of a conflict.
pub(crate) fn explain(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Absorbed => "The client was told that it succeeded.",
        Outcome::Observed => {
            "The client saw the error; with action = \"absorb\" it would not have."
        }
        Outcome::Alert => {
            "The client saw the error; the rule says that this key must never repeat."
        }
        Outcome::LeftOut => {
            "A rewritten statement left rows out; a BEFORE trigger may have been the reason."
        }
        Outcome::Shown(reason) => why(reason),
    }
}

/// Why an error was shown.
fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::NotListed => "No rule lists the constraint.",
        Reason::OutOfStep => "A reply came that nobody asked for; the session only forwards since.",
        Reason::Nested => "It came from inside a trigger, a function, a DO block or COPY.",
        Reason::NotInsert => "The statement is not a plain INSERT.",
        Reason::Deferred => "The constraint is, or may have been, checked at COMMIT.",
        Reason::TooLarge => "The statement or the error is longer than [limits] inspect.",
        Reason::Unclassified => "The statement's text could not be read with certainty.",
        Reason::OwnOnConflict => "The statement has an ON CONFLICT of its own.",
        Reason::Returning => "The statement has RETURNING, and the rule wants its error shown.",
        Reason::OtherTable => "The INSERT's own target is another table than the error's.",
        Reason::ResultSent => "Part of the statement's result had gone to the client.",
        Reason::InTransaction => {
            "Inside BEGIN, and no savepoint stood before it: the constraint was not known yet, or \
             cannot be absorbed."
        }
        Reason::ImplicitTransaction => {
            "Outside BEGIN other statements share its query or pipeline, and are undone with it; \
             strategy = \"rewrite\" is for that."
        }
        Reason::Unverified => "The catalog has not, or not yet, said what the constraint is.",
        Reason::NotPlainTable => "A view, a foreign table or a rule is behind the table's name.",
        Reason::NoConflictTarget => "No ON CONFLICT can name this constraint and no other.",
        Reason::UndoFailed => "Rolling back to the savepoint failed.",
        Reason::RedoFailed => {
            "Running it again with ON CONFLICT failed: another constraint, a missing right, or a \
             cancel."
        }
        Reason::Unconfirmed => "The connection ended before the undoing was sure.",
    }
}
