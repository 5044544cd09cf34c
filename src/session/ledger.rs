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

mod copy;
mod plain;

use std::collections::VecDeque;

use crate::wire::backend::TransactionStatus;

use super::block::{Block, Effect};
use super::expected::{Entry, Expected, Purpose, Query, Step};
use super::guard::Behind;
use super::received::{Failed, Received, Segment};
use super::run::{Plain, Run};

/// How the server will treat the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intake {
    Reading,
    SkippingToSync,
    CopyIn,
}

/// Whether messages up to the next Sync are kept, to be sent again if the server refuses what was
/// rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retention {
    /// Nothing was rewritten yet.
    Open,
    Kept,
    GivenUp,
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
    queue: VecDeque<Entry>,
    /// How many of them there are up to the last one that ends with ReadyForQuery.
    ended: usize,
    /// Bytes of the messages that may have to be sent again.
    kept: usize,
    /// Bytes of all entries.
    weight: usize,
    retention: Retention,
    /// Savepoints that are not released yet.
    guards: usize,
    /// CopyDone and CopyFail among them.
    copy_ends: usize,
    /// What a command of the proxy's own that failed, or was skipped, may have left behind.
    behind: Behind,
    /// The transaction block that the server is in.
    here: Block,
    /// The transaction block that the next message will find.
    ahead: Block,
    intake: Intake,
    trust: Trust,
    /// Whether the COPY at the head has eaten a Sync, or what it may refuse.
    ate: bool,
    eaten: Vec<Entry>,
    segment: Segment,
}

impl Ledger {
    /// The ledger of a connection that has sent its StartupMessage.
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::from([Expected::Startup.into()]),
            ended: 1,
            kept: 0,
            weight: 0,
            retention: Retention::Open,
            guards: 0,
            copy_ends: 0,
            behind: Behind::Nothing,
            here: Block::Unknown,
            ahead: Block::Unknown,
            intake: Intake::Reading,
            trust: Trust::Sure,
            ate: false,
            eaten: Vec::new(),
            segment: Segment::default(),
        }
    }

    /// What the server answers next.
    pub(super) fn head(&self) -> Option<&Expected> {
        self.queue.front().map(|entry| &entry.expected)
    }

    /// What the server answers next, if it is a Query.
    pub(super) fn query(&mut self) -> Option<&mut Query> {
        match self.queue.front_mut().map(|entry| &mut entry.expected) {
            Some(Expected::Query(query)) => Some(query),
            _ => None,
        }
    }

    /// Whether a command of the proxy's own, or a text with some in it, is answered next.
    pub(super) fn is_involved(&self) -> bool {
        match self.head() {
            Some(Expected::Own(_)) => true,
            Some(Expected::Query(query)) => query.splice.is_some(),
            _ => false,
        }
    }

    /// Bytes of the messages that may have to be sent again.
    pub(super) fn kept(&self) -> usize {
        self.kept
    }

    /// Bytes that the replies to come take, about.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// Whether the messages from here to the next Sync are kept, to be sent again: decided once,
    /// and given up beyond so many bytes.
    pub(super) fn retains(&mut self, limit: usize, decide: impl FnOnce(&Self) -> bool) -> bool {
        if self.retention == Retention::Open && decide(self) {
            self.retention = Retention::Kept;
        }
        if self.retention == Retention::Kept && self.kept >= limit {
            self.retention = Retention::GivenUp;
        }
        self.retention == Retention::Kept
    }

    /// A Sync or Query is sent.
    pub(super) fn end_retention(&mut self) {
        self.retention = Retention::Open;
    }

    /// Savepoints that are not released yet.
    pub(super) fn guards(&self) -> usize {
        self.guards
    }

    /// Whether the server has nothing left to answer.
    pub(super) fn is_drained(&self) -> bool {
        self.queue.len() == self.copy_ends
    }

    /// Whether the server reads and answers what is sent, and neither skips nor copies it.
    pub(super) fn is_reading(&self) -> bool {
        self.intake == Intake::Reading
    }

    /// Whether the server waits for the client's COPY data.
    pub(super) fn is_copying_in(&self) -> bool {
        self.intake == Intake::CopyIn
    }

    /// Whether the server is inside a transaction block, as far as that can be told.
    pub(super) fn is_in_block(&self) -> bool {
        self.here != Block::None
    }

    /// The transaction block that the next message will find, as far as that can be told.
    pub(super) fn block(&self) -> Block {
        if self.is_sure_ahead() { self.ahead } else { Block::Unknown }
    }

    /// What a command of the proxy's own has left behind: told once.
    pub(super) fn take_behind(&mut self) -> Behind {
        std::mem::take(&mut self.behind)
    }

    /// Whether hardly any error that may still come can make it another: only that of a lone BEGIN
    /// with nothing in front of it that would have it skipped. A COMMIT that fails ends the block as
    /// well, but for AND CHAIN. An error in the segment that is being sent takes the next message
    /// with it.
    fn is_sure_ahead(&self) -> bool {
        let mut first = !self.segment.open;
        self.queue.iter().take(self.ended).all(|Entry { expected, .. }| {
            let single = matches!(expected, Expected::Query(query) if query.text.single);
            let sure = match expected.effect() {
                Effect::NOTHING => true,
                Effect::BEGINS | Effect::ENDS => first && single,
                _ => false,
            };
            first = match expected {
                Expected::Sync | Expected::OwnSync => true,
                Expected::Query(_) | Expected::PlainQuery => first,
                _ => false,
            };
            sure
        })
    }

    /// Whether the reply that has come is the last one, but for the ReadyForQuery that ends its
    /// segment.
    pub(super) fn is_at_the_end(&self) -> bool {
        self.queue.len() <= 1 && self.head().is_none_or(Expected::ends_with_ready)
    }

    /// Whether a Sync of the proxy's own is under way.
    pub(super) fn is_syncing(&self) -> bool {
        self.queue.iter().any(|entry| matches!(entry.expected, Expected::OwnSync))
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

    /// Whether every reply has come, and a Sync here would end nothing: no portal has been made since
    /// the last one.
    pub(super) fn may_sync(&self) -> bool {
        let Segment { executed, bound, .. } = self.segment;
        let reading = self.is_sure() && self.intake == Intake::Reading;
        reading && self.queue.is_empty() && executed == 0 && bound == 0
    }

    /// Whether replies can be told apart.
    pub(super) fn is_sure(&self) -> bool {
        self.trust == Trust::Sure
    }

    /// A message that asks for a reply goes to the server.
    pub(super) fn sent(&mut self, message: impl Into<Entry>) {
        let entry = message.into();
        match (self.intake, &entry.expected) {
            _ if self.trust == Trust::Lost => {}
            (Intake::CopyIn, Expected::CopyEnd) => self.intake = Intake::Reading,
            (Intake::CopyIn, _) => self.ate = true,
            (Intake::SkippingToSync, Expected::Sync | Expected::OwnSync) => {
                self.intake = Intake::Reading;
                self.push(entry);
            }
            (Intake::SkippingToSync, _) => {}
            (Intake::Reading, _) => self.push(entry),
        }
    }

    /// The client has had the reply to the last message already.
    pub(super) fn mark_answered(&mut self) {
        if let Some(Entry { expected: Expected::Run(run), .. }) = self.queue.back_mut()
            && let Some(last) = run.pop_back()
        {
            self.push_run(last);
        }
        if let Some(entry) = self.queue.back_mut() {
            entry.is_answered = true;
        }
    }

    fn push(&mut self, mut entry: Entry) {
        if matches!(entry.expected, Expected::CopyEnd) {
            // What the server has done with already was no COPY, nor is what it is idle at.
            self.drop_stray_copy_ends();
            if self.queue.is_empty() {
                return;
            }
        }
        if let Some(plain) = Plain::of(&entry.expected)
            && entry.message().is_none()
            && !(plain.may_follow_an_insert() && self.ends_with_an_execution())
        {
            return self.sent_plain(plain);
        }
        entry.weight = entry.weigh();
        self.weight += entry.weight;
        self.kept += entry.kept();
        self.guards += usize::from(entry.expected.is_release());
        self.copy_ends += usize::from(matches!(entry.expected, Expected::CopyEnd));
        self.ahead = entry.expected.effect().on(self.ahead);
        let ends = entry.expected.ends_with_ready();
        self.queue.push_back(entry);
        if ends {
            self.ended = self.queue.len();
        }
    }

    /// Takes the message that is answered next.
    fn pop(&mut self) -> Option<Entry> {
        if let Some(Entry { expected: Expected::Run(run), .. }) = self.queue.front_mut()
            && let Some(first) = run.pop_front()
        {
            return Some(Expected::Run(Run::of(first)).into());
        }
        self.pop_entry()
    }

    /// The same, with all of its run.
    fn pop_entry(&mut self) -> Option<Entry> {
        let entry = self.queue.pop_front()?;
        self.ended = self.ended.saturating_sub(1);
        self.taken(&entry);
        Some(entry)
    }

    /// An entry is no longer there.
    fn taken(&mut self, entry: &Entry) {
        self.weight -= entry.weight;
        self.kept -= entry.kept();
        self.guards -= usize::from(entry.expected.is_release());
        self.copy_ends -= usize::from(matches!(entry.expected, Expected::CopyEnd));
    }

    /// A reply other than ErrorResponse has come.
    pub(super) fn received(&mut self, tag: u8) -> Received {
        if matches!(tag, b'N' | b'A' | b'S' | b'K' | b'R' | b'v' | b'd' | b'c')
            || self.trust == Trust::Lost
        {
            return Received::Aside;
        }
        self.drop_stray_copy_ends();
        match self.queue.front_mut().map_or(Step::None, |head| head.expected.step(tag)) {
            Step::Part => self.part(tag),
            Step::Last => self.answer(tag),
            Step::None => self.lose(),
        }
    }

    /// A ReadyForQuery has come: the only word on the transaction block.
    pub(super) fn ready(&mut self, status: Option<TransactionStatus>) -> Received {
        let received = self.received(b'Z');
        let is = Block::from(status);
        if self.here != is {
            self.here = is;
            self.look_ahead();
        }
        received
    }

    fn look_ahead(&mut self) {
        let effects = self.queue.iter().map(|entry| entry.expected.effect());
        self.ahead = effects.fold(self.here, |block, effect| effect.on(block));
    }

    /// An ErrorResponse has come that does not end the connection.
    pub(super) fn failed(&mut self) -> Failed {
        let failed = self.fail();
        self.look_ahead();
        failed
    }

    fn fail(&mut self) -> Failed {
        self.drop_stray_copy_ends();
        if self.intake == Intake::CopyIn {
            self.intake = Intake::Reading;
        }
        match self.queue.front() {
            // Whether a failed COPY had eaten what was sent behind it, nobody can know: one
            // ReadyForQuery more may come, or not.
            Some(_) if self.ate => {
                let owed = self.lose_place();
                if owed { Failed::OutOfStep { owed } } else { Failed::Unasked }
            }
            Some(head) if head.expected.ends_with_ready() => {
                // A second error is no longer the only reply.
                self.segment.begun = true;
                self.fail_head();
                Failed::Head
            }
            Some(_) => self.skip_to_sync(),
            None if self.trust == Trust::Lost => Failed::Unasked,
            None => Failed::OutOfStep { owed: self.lose_place() },
        }
    }

    fn fail_head(&mut self) {
        let here = self.here.failed();
        match self.query() {
            // Which of its statements has failed is not known, until ReadyForQuery has come.
            Some(query) if query.text.effect != Effect::NOTHING => {
                query.failed = true;
                self.here = Block::Unknown;
            }
            _ => self.here = here,
        }
    }

    fn skip_to_sync(&mut self) -> Failed {
        self.segment.open = true;
        self.segment.begun = false;
        let Some(failed) = self.pop() else { return Failed::Unasked };
        self.here = self.here.failed();
        let mut skipped = Vec::new();
        let is_sync = |entry: &Entry| matches!(entry.expected, Expected::Sync | Expected::OwnSync);
        while self.queue.front().is_some_and(|entry| !is_sync(entry)) {
            skipped.extend(self.pop_entry());
        }
        let is_own = |entry: &Entry| matches!(entry.expected, Expected::Own(_));
        if is_own(&failed) || skipped.iter().any(is_own) {
            self.behind = Behind::Statement;
        }
        if self.queue.is_empty() {
            self.intake = Intake::SkippingToSync;
        }
        Failed::Extended { failed, skipped }
    }

    fn part(&mut self, tag: u8) -> Received {
        self.segment.open = true;
        let own = match self.head() {
            Some(Expected::Own(command)) => command.purpose != Purpose::Redo,
            _ => false,
        };
        match tag {
            // What the proxy's own commands do is not the client's segment.
            _ if own => {}
            b'T' | b'D' => self.segment.begun = true,
            b'C' | b'I' | b's' => {
                self.segment.begun = false;
                self.segment.executed += 1;
            }
            b'G' => self.copy_in(),
            _ => {}
        }
        Received::Part
    }

    fn answer(&mut self, tag: u8) -> Received {
        let Some(entry) = self.pop() else { return self.lose() };
        self.ate = false;
        self.here = entry.expected.effect().on(self.here);
        if !matches!(entry.expected, Expected::Own(_)) {
            self.count(tag);
        }
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

    fn lose(&mut self) -> Received {
        Received::OutOfStep { owed: self.lose_place() }
    }

    /// What is asked is forgotten; whether anything of the proxy's own was among it.
    fn lose_place(&mut self) -> bool {
        let is_own = |entry: &Entry| match &entry.expected {
            Expected::OwnSync | Expected::Own(_) => true,
            Expected::Query(query) => query.splice.is_some(),
            _ => false,
        };
        let owed = self.queue.iter().any(is_own);
        self.trust = Trust::Lost;
        self.queue.clear();
        self.ended = 0;
        (self.weight, self.kept, self.guards, self.copy_ends) = (0, 0, 0, 0);
        (self.here, self.ahead) = (Block::Unknown, Block::Unknown);
        owed
    }
}

#[cfg(test)]
mod tests;
