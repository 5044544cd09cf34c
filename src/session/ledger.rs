//! The replies that are still to come, in order.
//!
//! Every message that asks for a reply leaves an entry here when it is sent, and the replies take
//! the entries away again. So each reply is known by its position, never by its content, and the
//! proxy's own questions are told apart from the client's.
//!
//! ```text
//!            message sent                         reply received
//!  Reading ───────────────▶ push        '1' '2' 'T' 'C' ...  ──▶ head is answered
//!     ▲  │ ErrorResponse, no Sync sent   'Z'                  ──▶ head ends its segment
//!     │  ▼                               'E' to an extended message
//!  SkippingToSync: only Sync is pushed                        ──▶ entries up to Sync are dropped
//!     ▲  
//!  CopyIn: Sync is eaten, CopyDone and CopyFail end it
//! ```

use std::collections::VecDeque;

use super::statements::{Name, Text};

/// A reply that is to come, named for the message that asked for it.
#[derive(Debug)]
pub(super) enum Expected {
    /// The end of start-up and authentication.
    Startup,
    Query(Text),
    Parse {
        name: Name,
        text: Text,
    },
    Bind {
        portal: Name,
        statement: Name,
    },
    Describe(Object),
    Execute {
        portal: Name,
    },
    Close(Object),
    Sync,
    FunctionCall,
    /// An extended-query message whose names could not be read: they are longer than its opening,
    /// or it is malformed, and then only an error will answer it.
    Unreadable,
    /// CopyDone or CopyFail: no reply, but the end of what a CopyInResponse makes the server eat.
    CopyEnd,
    /// The proxy's own Sync, after an error that came before the client sent one.
    OwnSync,
    /// The proxy's own catalog lookup, from Parse to Sync.
    Lookup,
}

/// What a Describe or Close is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Object {
    Statement(Name),
    Portal(Name),
}

/// What a reply other than ErrorResponse was.
#[derive(Debug)]
pub(super) enum Received {
    /// No entry's reply: a notice, a parameter, copy data.
    Aside,
    /// Part of the reply to the head, which stays.
    Part,
    /// The end of the reply to this entry.
    Answer(Expected),
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
    Extended { failed: Expected, skipped: Vec<Expected> },
    /// Nothing that was asked.
    Unasked,
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
    /// Whether the head's reply has begun: a row, its description, or a CommandComplete.
    pub(super) begun: bool,
}

/// How the server will treat the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intake {
    Reading,
    SkippingToSync,
    CopyIn,
}

/// How sure it is that the head is what the server answers next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    Sure,
    Lost,
}

/// The queue of expected replies.
#[derive(Debug)]
pub(super) struct Ledger {
    queue: VecDeque<Expected>,
    intake: Intake,
    trust: Trust,
    /// Whether the COPY at the head has eaten a Sync, or what it may refuse.
    ate: bool,
    segment: Segment,
}

impl Ledger {
    /// The ledger of a connection that has sent its StartupMessage.
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::from([Expected::Startup]),
            intake: Intake::Reading,
            trust: Trust::Sure,
            ate: false,
            segment: Segment::default(),
        }
    }

    /// What the server answers next.
    pub(super) fn head(&self) -> Option<&Expected> {
        self.queue.front()
    }

    /// What the server has done since the last ReadyForQuery.
    pub(super) fn segment(&self) -> Segment {
        self.segment
    }

    /// Whether every reply has come and a new implicit transaction would begin here.
    pub(super) fn is_quiescent(&self) -> bool {
        self.queue.is_empty()
            && self.is_sure()
            && !self.segment.open
            && self.intake == Intake::Reading
    }

    /// Whether replies can be told apart.
    pub(super) fn is_sure(&self) -> bool {
        self.trust == Trust::Sure
    }

    /// A message that asks for a reply goes to the server.
    pub(super) fn sent(&mut self, message: Expected) {
        match (self.intake, &message) {
            _ if self.trust == Trust::Lost => {}
            (Intake::CopyIn, Expected::CopyEnd) => self.intake = Intake::Reading,
            (Intake::CopyIn, _) => self.ate = true,
            (Intake::SkippingToSync, Expected::Sync | Expected::OwnSync) => {
                self.intake = Intake::Reading;
                self.queue.push_back(message);
            }
            (Intake::SkippingToSync, _) => {}
            (Intake::Reading, _) => self.queue.push_back(message),
        }
    }

    /// A reply other than ErrorResponse has come.
    pub(super) fn received(&mut self, tag: u8) -> Received {
        if matches!(tag, b'N' | b'A' | b'S' | b'K' | b'R' | b'v' | b'd' | b'c')
            || self.trust == Trust::Lost
        {
            return Received::Aside;
        }
        self.drop_stray_copy_ends();
        match self.queue.front().map_or(Step::None, |head| step(head, tag)) {
            Step::Part => self.part(tag),
            Step::Last => self.answer(tag),
            Step::None => self.lose(),
        }
    }

    /// An ErrorResponse has come that does not end the connection.
    pub(super) fn failed(&mut self) -> Failed {
        self.drop_stray_copy_ends();
        if self.intake == Intake::CopyIn {
            self.intake = Intake::Reading;
        }
        match self.queue.front() {
            // Whether a failed COPY had eaten what was sent behind it, nobody can know: one
            // ReadyForQuery more may come, or not.
            Some(_) if self.ate => self.lose_track(),
            Some(head) if ends_with_ready(head) => {
                // A second error is no longer the only reply.
                self.segment.begun = true;
                Failed::Head
            }
            Some(_) => self.skip_to_sync(),
            None => self.lose_track(),
        }
    }

    fn lose_track(&mut self) -> Failed {
        self.lose();
        Failed::Unasked
    }

    fn skip_to_sync(&mut self) -> Failed {
        let is_sync = |entry: &Expected| matches!(entry, Expected::Sync | Expected::OwnSync);
        let end = self.queue.iter().position(is_sync).unwrap_or(self.queue.len());
        let mut dropped: Vec<_> = self.queue.drain(..end).collect();
        self.segment.open = true;
        self.segment.begun = false;
        if self.queue.is_empty() {
            self.intake = Intake::SkippingToSync;
        }
        let failed = dropped.remove(0);
        Failed::Extended { failed, skipped: dropped }
    }

    fn part(&mut self, tag: u8) -> Received {
        self.segment.open = true;
        match tag {
            b'T' | b'D' => self.segment.begun = true,
            b'C' | b'I' => {
                self.segment.begun = true;
                self.segment.executed += 1;
            }
            b'G' => self.copy_in(),
            _ => {}
        }
        Received::Part
    }

    fn answer(&mut self, tag: u8) -> Received {
        let Some(entry) = self.queue.pop_front() else { return self.lose() };
        self.ate = false;
        self.count(tag);
        Received::Answer(entry)
    }

    fn count(&mut self, tag: u8) {
        self.segment.begun = false;
        self.segment.open = true;
        match tag {
            b'Z' => self.segment = Segment::default(),
            b'1' => self.segment.parsed += 1,
            b'2' => self.segment.bound += 1,
            b'C' | b'I' | b's' => self.segment.executed += 1,
            _ => {}
        }
    }

    /// CopyInResponse: the server now eats what it is sent, up to CopyDone or CopyFail.
    fn copy_in(&mut self) {
        let end = self.queue.iter().position(|entry| matches!(entry, Expected::CopyEnd));
        let last = end.unwrap_or_else(|| self.queue.len().saturating_sub(1));
        self.ate = self.queue.drain(1..=last).any(|entry| !matches!(entry, Expected::CopyEnd));
        if end.is_none() {
            self.intake = Intake::CopyIn;
        }
    }

    /// Outside COPY the server ignores CopyDone and CopyFail.
    fn drop_stray_copy_ends(&mut self) {
        while let Some(Expected::CopyEnd) = self.queue.front() {
            self.queue.pop_front();
        }
    }

    fn lose(&mut self) -> Received {
        let is_own = |entry: &Expected| matches!(entry, Expected::OwnSync | Expected::Lookup);
        let owed = self.queue.iter().any(is_own);
        self.trust = Trust::Lost;
        self.queue.clear();
        Received::OutOfStep { owed }
    }
}

/// What a reply does to the entry at the head.
enum Step {
    None,
    Part,
    Last,
}

/// Whether the reply to a message ends with its own ReadyForQuery.
fn ends_with_ready(entry: &Expected) -> bool {
    use Expected::{FunctionCall, Lookup, OwnSync, Query, Startup, Sync};
    matches!(entry, Startup | Query(_) | Sync | FunctionCall | OwnSync | Lookup)
}

/// The manual's [message flow](https://www.postgresql.org/docs/current/protocol-flow.html), as a
/// table of messages and the replies to them.
fn step(head: &Expected, tag: u8) -> Step {
    use Expected::{
        Bind, Close, Describe, Execute, FunctionCall, Lookup, Parse, Query, Unreadable,
    };
    match (head, tag) {
        (entry, b'Z') if ends_with_ready(entry) => Step::Last,
        (Parse { .. }, b'1')
        | (Bind { .. }, b'2')
        | (Close(_), b'3')
        | (Describe(_), b'T' | b'n')
        | (Execute { .. }, b'C' | b'I' | b's')
        | (Unreadable, b'1' | b'2' | b'3' | b'n' | b'T' | b'C' | b'I' | b's') => Step::Last,
        (Query(_), b'T' | b'D' | b'C' | b'I' | b'G' | b'H' | b'W')
        | (Execute { .. }, b'D' | b'G' | b'H' | b'W')
        | (Describe(Object::Statement(_)), b't')
        | (Unreadable, b't' | b'D' | b'G' | b'H')
        | (FunctionCall, b'V')
        | (Lookup, _) => Step::Part,
        _ => Step::None,
    }
}

#[cfg(test)]
mod tests;
