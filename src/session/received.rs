//! What the ledger makes of a message that has come.

use super::expected::{Entry, Expected};

/// What a reply other than ErrorResponse was.
#[derive(Debug)]
pub(super) enum Received {
    /// No entry's reply: a notice, a parameter, copy data.
    Aside,
    /// Part of the reply to the head, which stays.
    Part,
    /// The end of the reply to this entry.
    Answer(Entry),
    /// Nobody asked for it: the ledger has lost its place for good, and replies to the proxy's own
    /// questions can no longer be told from the client's, if any were `owed`.
    OutOfStep { owed: bool },
}

/// What an ErrorResponse was the reply to.
#[derive(Debug)]
pub(super) enum Failed {
    /// The head, which stays until its ReadyForQuery.
    Head,
    /// An extended-query message; the server skips what follows up to Sync.
    Extended { failed: Entry, skipped: Vec<Entry> },
    /// Nothing that was asked: the ledger has lost its place, as with [`Received::OutOfStep`].
    OutOfStep { owed: bool },
    /// The same, where it had lost its place before, or has lost it for no fault of the server's.
    Unasked,
}

impl Failed {
    /// What has failed, if it is no longer the head.
    pub(super) fn expected(&self) -> Option<&Expected> {
        match self {
            Self::Extended { failed, .. } => Some(&failed.expected),
            Self::Head | Self::OutOfStep { .. } | Self::Unasked => None,
        }
    }
}

/// What the server has done since the last ReadyForQuery.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Segment {
    /// Replies received: the segment is not at its start.
    pub(super) open: bool,
    /// Statements that ran to their end or were suspended.
    pub(super) executed: u32,
    /// Portals made.
    pub(super) bound: u32,
    /// Prepared statements made.
    pub(super) parsed: u32,
    /// Whether the running statement's reply has begun: a row, or its description.
    pub(super) begun: bool,
}
