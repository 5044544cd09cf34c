//! From a stream of bytes to messages: a tag, a length, a body.
//!
//! Most messages are only looked at by their header and pass on as they come, in pieces where they
//! come in pieces: a value of a gigabyte crosses in the memory of one read. The few whose fields
//! matter are waited for until they are whole, up to a limit; beyond it only their opening is seen.

use thiserror::Error;

/// Bytes of a message's header: its tag and its length, which counts itself but not the tag.
pub const HEADER: usize = 5;

/// How much is seen of a message that is longer than the inspection limit: enough for the names
/// at its front (a name in PostgreSQL has at most 63 bytes).
pub const OPENING: usize = HEADER + 512;

/// One message as it came, header included, or the opening of one that is not waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The message type byte.
    pub tag: u8,
    /// The bytes in hand, from the tag on.
    pub bytes: &'a [u8],
    /// Whether the message ends with `bytes`.
    pub whole: bool,
}

impl<'a> Frame<'a> {
    /// What follows the header, as far as it is in hand.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.bytes.get(HEADER..).unwrap_or_default()
    }
}

/// How much of a message its reader wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// All of it, if it is no longer than the limit; else its opening, however much is in hand.
    Whole,
    /// Its header: the rest passes as it comes.
    Header,
    /// That it has no body. If it has one, its header comes alone, however it is cut.
    Bare,
}

/// What the front of the input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// The start of a message, or all of it.
    Frame(Frame<'a>),
    /// More of a message whose start was seen before.
    More(&'a [u8]),
    /// Nothing to be said yet: the caller keeps these bytes and comes back with more behind them.
    Incomplete,
}

/// A message's length field is less than the four bytes that it counts itself, or more than the
/// message may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("message {tag:?} has the length {length}", tag = char::from(*.tag))]
pub struct BadLength {
    /// The message type byte.
    pub tag: u8,
    /// The length as it was sent.
    pub length: i32,
}

/// Cuts one direction of a connection into messages.
#[derive(Clone, Copy, Debug)]
pub struct Framer {
    limit: usize,
    passing: usize,
}

impl Framer {
    /// A framer at the start of a message. Messages of more than `limit` bytes are not waited for.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(OPENING), passing: 0 }
    }

    /// Whether the last byte handed out was the last of its message.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.passing == 0
    }

    /// The next step over `input`, which begins where the last step ended.
    ///
    /// Only a [`BadLength`] is an error; the bytes from there on have no structure.
    pub fn step<'a>(
        &mut self,
        input: &'a [u8],
        interest: impl FnOnce(u8) -> Interest,
    ) -> Result<Step<'a>, BadLength> {
        if self.passing > 0 {
            return Ok(self.pass(input));
        }
        let Some(&[tag, l0, l1, l2, l3]) = input.first_chunk::<HEADER>() else {
            return Ok(Step::Incomplete);
        };
        let length = i32::from_be_bytes([l0, l1, l2, l3]);
        let Some(total) = usize::try_from(length).ok().filter(|&length| length >= 4) else {
            return Err(BadLength { tag, length });
        };
        Ok(self.open(input, tag, total + 1, interest(tag)))
    }

    /// The message at the front of `input`, if one begins there, is in hand to its end, and is no longer
    /// than the limit; the step over it is done with that.
    #[must_use]
    pub fn whole<'a>(&self, input: &'a [u8]) -> Option<Frame<'a>> {
        let &[tag, l0, l1, l2, l3] = input.first_chunk::<HEADER>()?;
        let total = usize::try_from(i32::from_be_bytes([l0, l1, l2, l3])).ok()? + 1;
        let fits = self.passing == 0 && (HEADER..=self.limit).contains(&total);
        let bytes = input.get(..total).filter(|_| fits)?;
        Some(Frame { tag, bytes, whole: true })
    }

    fn pass<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        let part = input.get(..self.passing).unwrap_or(input);
        self.passing -= part.len();
        if part.is_empty() { Step::Incomplete } else { Step::More(part) }
    }

    fn open<'a>(&mut self, input: &'a [u8], tag: u8, total: usize, interest: Interest) -> Step<'a> {
        let wanted = match interest {
            Interest::Header => total.min(input.len()),
            Interest::Bare => HEADER,
            Interest::Whole if total > self.limit => OPENING,
            Interest::Whole => total,
        };
        let Some(bytes) = input.get(..wanted) else { return Step::Incomplete };
        self.passing = total - wanted;
        Step::Frame(Frame { tag, bytes, whole: self.passing == 0 })
    }
}

#[cfg(test)]
mod tests;
