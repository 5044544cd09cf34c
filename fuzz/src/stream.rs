//! All the bytes that went one way, and the messages that they are.

use pgabsorb::wire::frame::HEADER;

/// A stream from its first message on.
#[derive(Clone, Debug)]
pub struct Stream {
    bytes: Vec<u8>,
    hash: u64,
    /// Where the message begins that is not whole yet.
    start: usize,
    /// Whether its header has come, and it is counted.
    counted: bool,
    /// A length cannot be one: from there on there are no messages.
    broken: bool,
    messages: [u32; 256],
}

impl Default for Stream {
    fn default() -> Self {
        let (bytes, messages) = (Vec::new(), [0; 256]);
        Self { bytes, hash: 0, start: 0, counted: false, broken: false, messages }
    }
}

impl Stream {
    /// More bytes come; `on_message` is told of each message that is whole then.
    pub fn add(&mut self, bytes: &[u8], mut on_message: impl FnMut(&[u8])) {
        self.bytes.extend_from_slice(bytes);
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        while !self.broken
            && let Some(total) = total(&self.bytes[self.start..])
        {
            let Some(total) = total else {
                self.broken = true;
                return;
            };
            let rest = &self.bytes[self.start..];
            if !std::mem::replace(&mut self.counted, true) {
                self.messages[usize::from(rest[0])] += 1;
            }
            let Some(message) = rest.get(..total) else { return };
            on_message(message);
            self.start += total;
            self.counted = false;
        }
    }

    /// How many of the bytes that come next belong to one message.
    #[must_use]
    pub fn rest_of_message(&self, next: &[u8]) -> usize {
        let begun = &self.bytes[self.start..];
        let header = [begun, &next[..next.len().min(HEADER)]].concat();
        let total = if self.broken { None } else { total(&header).flatten() };
        total.map_or(next.len(), |total| next.len().min(total - begun.len()))
    }

    /// Whether another stream is this one, but for so many bytes at its end.
    #[must_use]
    pub fn is_ahead_of(&self, other: &Self, count: usize) -> bool {
        self.bytes.len().checked_sub(count).is_some_and(|end| self.bytes[..end] == other.bytes)
    }

    /// Whether there are these bytes somewhere behind the first so many.
    #[must_use]
    pub fn has_behind(&self, count: usize, bytes: &[u8]) -> bool {
        self.bytes[count..].windows(bytes.len()).any(|part| part == bytes)
    }

    /// The length, and a number that tells it from others.
    #[must_use]
    pub fn mark(&self) -> (usize, u64) {
        (self.bytes.len(), self.hash)
    }

    /// How many messages with a tag have begun.
    #[must_use]
    pub fn messages(&self, tag: u8) -> usize {
        self.messages[usize::from(tag)] as usize
    }

    /// Whether it ends with a message.
    #[must_use]
    pub fn is_at_boundary(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Whether a length cannot be one.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken
    }
}

/// The length of the message at the front, if its header is there, and if it can be one.
fn total(bytes: &[u8]) -> Option<Option<usize>> {
    let header: &[u8; HEADER] = bytes.first_chunk()?;
    let length = i32::from_be_bytes([header[1], header[2], header[3], header[4]]);
    Some(usize::try_from(length).ok().filter(|length| *length >= 4).map(|length| length + 1))
}
