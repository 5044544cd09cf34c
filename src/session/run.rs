//! Messages of the client's that concern no rule, one behind the other: of each, the ledger keeps a
//! byte.

use super::expected::{Expected, Object, Step};

/// A message of the extended query of which nothing is kept: its reply goes on as it comes, and nothing
/// is to be learnt of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    Parse,
    Bind,
    DescribeStatement,
    DescribePortal,
    Execute,
    Close,
}

impl Plain {
    /// What a message is of which nothing has to be told.
    pub(super) fn of(expected: &Expected) -> Option<Self> {
        match expected {
            Expected::Parse { told: false, .. } => Some(Self::Parse),
            Expected::Bind { told: false, .. } => Some(Self::Bind),
            Expected::Describe(Object::Statement(_)) => Some(Self::DescribeStatement),
            Expected::Describe(Object::Portal(_)) => Some(Self::DescribePortal),
            Expected::Execute(execution) if execution.bound.is_none() && !execution.guarded => {
                Some(Self::Execute)
            }
            Expected::Close { told: false, .. } => Some(Self::Close),
            _ => None,
        }
    }

    /// Whether it may stand behind an INSERT that is absorbed, so that it has to be known which portal it
    /// is about.
    pub(super) fn may_follow_an_insert(self) -> bool {
        matches!(self, Self::DescribePortal | Self::Close)
    }

    /// What a reply is to it, by the manual's message flow: see [`Expected::step`].
    pub(super) fn step(self, tag: u8) -> Step {
        match (self, tag) {
            (Self::Parse, b'1')
            | (Self::Bind, b'2')
            | (Self::Close, b'3')
            | (Self::DescribeStatement | Self::DescribePortal, b'T' | b'n')
            | (Self::Execute, b'C' | b'I' | b's') => Step::Last,
            (Self::Execute, b'D' | b'G' | b'H' | b'W') | (Self::DescribeStatement, b't') => {
                Step::Part
            }
            _ => Step::None,
        }
    }
}

/// Several such messages, in their order; never none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    messages: [Plain; Self::LONGEST],
    from: u8,
    to: u8,
}

impl Run {
    /// As many as take no more room than any other entry of the ledger.
    const LONGEST: usize = 24;

    /// One message.
    pub(super) fn of(message: Plain) -> Self {
        Self { messages: [message; Self::LONGEST], from: 0, to: 1 }
    }

    /// The message that is answered next.
    pub(super) fn first(&self) -> Plain {
        self.messages.get(usize::from(self.from)).copied().unwrap_or(Plain::Parse)
    }

    fn is_single(&self) -> bool {
        self.to - self.from == 1
    }

    /// One more message, if there is room for it.
    pub(super) fn push(&mut self, message: Plain) -> bool {
        let place = self.messages.get_mut(usize::from(self.to));
        let fits = place.is_some();
        if let Some(place) = place {
            *place = message;
            self.to += 1;
        }
        fits
    }

    /// Takes the first message of several; none is taken if it is the only one.
    pub(super) fn pop_front(&mut self) -> Option<Plain> {
        let first = (!self.is_single()).then(|| self.first())?;
        self.from += 1;
        Some(first)
    }

    /// The same with the last one.
    pub(super) fn pop_back(&mut self) -> Option<Plain> {
        let last = (!self.is_single()).then(|| self.messages.get(usize::from(self.to) - 1))?;
        self.to -= 1;
        last.copied()
    }

    /// Keeps the first message only; whether there were others.
    pub(super) fn cut(&mut self) -> bool {
        let several = !self.is_single();
        self.to = self.from + 1;
        several
    }

    /// What a reply is to the message that is answered next.
    pub(super) fn step(&self, tag: u8) -> Step {
        self.first().step(tag)
    }
}
