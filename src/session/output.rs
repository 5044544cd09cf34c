//! What leaves the session: bytes to either side, and facts for the log.

use crate::rules::{Action, Constraint, Origin, Strategy};
use crate::wire::backend::{SqlState, TransactionStatus};

use super::recovery::Reason;
use super::rewrite::Doubt;
use super::tally::Tally;

/// Where a session's effects go. The shell writes to sockets and logs; tests record.
pub trait Output {
    /// Bytes for the server.
    fn to_backend(&mut self, bytes: &[u8]);
    /// Bytes for the client.
    fn to_frontend(&mut self, bytes: &[u8]);
    /// A fact worth telling.
    fn note(&mut self, note: Note);
    /// What has been counted, to be taken before what it led to is sent; and what the last
    /// ReadyForQuery said.
    fn count(&mut self, _tally: &mut Tally, _status: Option<TransactionStatus>) {}
}

/// A fact about a session.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// A 23505 was seen, whatever became of it.
    Conflict(Box<Conflict>),
    /// The catalog lookup failed: this session does not ask again, and goes by what others learn.
    LookupFailed {
        /// The server's error, if it was one.
        sqlstate: Option<SqlState>,
    },
    /// INSERTs into a table are sent as they are, though a rule wants them rewritten: told once a
    /// session for each table and reason.
    NotRewritten {
        /// The table's name, as the statement has it.
        table: String,
        /// Why.
        doubt: Doubt,
    },
    /// Replies came that nobody asked for: from here on the session only forwards.
    OutOfStep {
        /// The tag of the reply.
        tag: u8,
    },
}

/// What became of a 23505.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client was answered with success.
    Absorbed,
    /// It was shown, and a rule would have absorbed it.
    Observed,
    /// It was shown.
    Shown(Reason),
    /// It was shown, and a rule says that this key must never repeat.
    Alert,
    /// Fewer rows were inserted than the statement meant to: duplicates, or rows that a trigger has
    /// left out.
    LeftOut,
}

impl Outcome {
    /// The name for logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Absorbed => "absorbed",
            Self::Observed => "observed",
            Self::Shown(_) => "shown",
            Self::Alert => "alert",
            Self::LeftOut => "left_out",
        }
    }
}

/// One 23505, or rows that a rewritten statement has left out: which constraint, whose statement,
/// what the client got to see, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    /// What the client got to see.
    pub outcome: Outcome,
    /// How it was dealt with.
    pub strategy: Strategy,
    /// The `id` and the action of the first rule that lists the constraint.
    pub rule: Option<(String, Action)>,
    /// The constraint, as far as the error named it in readable text.
    pub constraint: Option<Constraint>,
    /// Names of the constraint's columns, where the catalog is known.
    pub columns: Option<String>,
    /// The error's detail field, which holds the key's values: personal data.
    pub detail: Option<Vec<u8>>,
    /// Who is connected.
    pub origin: Origin,
    /// The server process, where it has said so.
    pub backend_pid: Option<i32>,
    /// What the last ReadyForQuery before the error said.
    pub transaction_status: Option<TransactionStatus>,
    /// What kind of statement it was, as far as it was classified.
    pub statement: Option<&'static str>,
    /// Rows the statement meant to insert, where its text says so.
    pub rows_requested: Option<u32>,
    /// Rows it did insert.
    pub rows_inserted: Option<u32>,
    /// The statement's shape: equal for equal statements with other values.
    pub fingerprint: Option<u64>,
}
