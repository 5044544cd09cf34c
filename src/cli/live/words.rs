//! Reasons and doubts in words: those of `docs/recovery.md`, with what they mean for a table.

use crate::session::recovery::Reason;
use crate::session::rewrite::Doubt;

/// Why the error is shown.
pub(super) fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Deferred => INDEX,
        Reason::NotPlainTable => NOT_PLAIN,
        Reason::NoConflictTarget => "no ON CONFLICT could name this constraint alone",
        Reason::Returning => "the rule has its errors shown",
        Reason::Unverified => "the catalog does not know the constraint",
        Reason::RedoFailed => "running the statement again with ON CONFLICT fails",
        _ => "see docs/recovery.md",
    }
}

/// Why a statement is not rewritten.
pub(super) fn doubt(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Unverified => "the server does not say what the table is",
        Doubt::Refused(_) => "the server refuses the clause",
        Doubt::NotPlainTable => NOT_PLAIN,
        Doubt::RowSecurity => "row-level security applies to this user",
        Doubt::Isolation => "the isolation level is not READ COMMITTED",
        Doubt::Privileges => "the user may not read the key, or not update the table",
        Doubt::Index => INDEX,
        Doubt::NoConflictTarget => {
            "another index has the same key, or several rules want this table rewritten and not \
             all its constraints are listed"
        }
        Doubt::Ambiguous => {
            "other tables have the name, and the server cannot be made to tell them apart"
        }
        Doubt::Trigger => {
            "affected_rows = \"requested\", and a BEFORE trigger may leave rows out that nobody is \
             to be told of"
        }
        Doubt::Encoding => "positions in errors could not be told",
    }
}

/// Of what it is known which of them holds.
pub(super) const INDEX: &str = "the constraint is deferrable, or its index is not valid";

/// Of what there is a list.
pub(super) const NOT_PLAIN: &str =
    "a view, a foreign table or a rule is behind the table's name, in any schema";
