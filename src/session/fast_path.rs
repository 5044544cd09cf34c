//! The fast path: messages that concern no rule, and the replies to them, are passed over one behind
//! the other.
//!
//! What could make a message another's business is asked once for all that come one behind the other.
//! Whatever is anything else, or is not in hand to its end, is left to the way that asks all
//! questions, and makes the same of it.

use crate::wire::backend::TransactionStatus;
use crate::wire::frame::{Frame, HEADER};
use crate::wire::frontend::{FrontendMessage, Target};

use super::expected::Expected;
use super::passage::Passage;
use super::run::Plain;
use super::tally::{Event, Message};
use super::{Fate, Pace, Session};

impl Session {
    /// Passes the client's messages on, up to one that may concern a rule.
    pub(super) fn hurry_frontend(&mut self, passage: &mut Passage<'_, '_>) {
        if !self.is_unconcerned() {
            return;
        }
        let plans = self.is_planning();
        while let Some(frame) = self.frontend.whole(passage.rest()).filter(|_| !self.is_full()) {
            if frame.tag == b'S' && frame.bytes.len() == HEADER {
                self.sent_end();
                self.flushed = true;
                self.ledger.sent_plain_end(Expected::Sync);
            } else if frame.tag == b'Q' && !plans {
                self.flushed = true;
                self.ledger.sent_plain_end(Expected::PlainQuery);
            } else if let Some(message) = self.plain(&frame, plans) {
                self.flushed = false;
                self.ledger.sent_plain(message);
            } else {
                return;
            }
            self.tally.count(Event::Message(Message::of(frame.tag)));
            passage.pass(frame.bytes.len());
        }
    }

    /// Whether nothing is under way that the client's next messages could have to do with.
    fn is_unconcerned(&self) -> bool {
        let logged_in = self.is_logged_in() && self.frontend_is_raw.is_none();
        let recovers = self.held.is_some() || self.fallback.is_some() || !self.waiting.is_empty();
        logged_in
            && !recovers
            && self.pace == Pace::Free
            && self.ledger.is_free()
            && !self.is_full()
    }

    /// What a message of the extended query is, if it is one that concerns no rule: where anything is
    /// planned, it is about names that nothing is kept of.
    fn plain(&self, frame: &Frame<'_>, plans: bool) -> Option<Plain> {
        if plans && !self.statements.are_unknown() {
            return None;
        }
        let message = match frame.tag {
            b'P' if plans => return None,
            b'P' | b'B' | b'D' | b'E' | b'C' if !plans => FrontendMessage::nameless(frame),
            b'B' | b'D' | b'E' | b'C' => FrontendMessage::read(frame),
            _ => return None,
        };
        match message {
            FrontendMessage::Parse { .. } => Some(Plain::Parse),
            FrontendMessage::Bind { statement, .. } if statement.is_ascii() => Some(Plain::Bind),
            FrontendMessage::Describe(Target::Statement(_)) => Some(Plain::DescribeStatement),
            FrontendMessage::Describe(Target::Portal(_)) => Some(Plain::DescribePortal),
            FrontendMessage::Execute { .. } => Some(Plain::Execute),
            FrontendMessage::Close(_) => Some(Plain::Close),
            _ => None,
        }
    }

    /// Passes the server's messages on, up to one of which something is to be learnt.
    pub(super) fn hurry_backend(&mut self, passage: &mut Passage<'_, '_>) {
        if !self.is_logged_in() || self.held.is_some() || self.ledger.is_involved() {
            return;
        }
        while let Some(frame) = self.backend.whole(passage.rest()) {
            let passes = match frame.tag {
                b'd' => true,
                b'Z' => self.passes_ready(&frame),
                _ => self.passes(&frame),
            };
            if !passes {
                return;
            }
            self.fate = Fate::Pass;
            passage.pass(frame.bytes.len());
        }
    }

    /// Whether a ReadyForQuery is the client's, and nothing ends with it that is of interest; if so it is
    /// dealt with.
    fn passes_ready(&mut self, frame: &Frame<'_>) -> bool {
        let ends = self.fallback.is_some() || self.suspect.is_some() || self.refusal.is_some();
        let status = TransactionStatus::read(frame.body());
        let passes = !ends && self.ledger.passes_ready(status);
        if passes {
            self.is_ready(status);
        }
        passes
    }
}
