//! A session on any kind of stream, which may end at any moment.

use std::fmt;
use std::io::{self, BufReader, Read, Write};

use crate::hostile::told;
use crate::support::wire::{Message, lines};

pub trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// One that is logged in, or on its way there.
pub struct Connection(BufReader<Box<dyn Stream>>);

impl Connection {
    pub fn over(stream: Box<dyn Stream>) -> Self {
        Self(BufReader::new(stream))
    }

    /// Sends this, and reads as many replies to their ReadyForQuery, or to the connection's end.
    pub fn exchange(&mut self, bytes: &[u8], replies: usize) -> Reply {
        // That the other side has closed is seen when reading.
        let _ = self.send(bytes);
        let (mut messages, mut ready) = (Vec::new(), 0);
        while ready < replies {
            let Ok(message) = self.read() else { break };
            ready += usize::from(message.tag == b'Z');
            messages.push(message);
        }
        Reply { messages, is_whole: ready == replies }
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)?;
        self.0.get_mut().flush()
    }

    fn read(&mut self) -> io::Result<Message> {
        let mut header = [0; 5];
        self.0.read_exact(&mut header)?;
        let [tag, length @ ..] = header;
        let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
        self.0.read_exact(&mut body)?;
        Ok(Message { tag, body })
    }
}

/// What came back.
pub struct Reply {
    messages: Vec<Message>,
    /// Whether the connection has not ended before.
    pub is_whole: bool,
}

impl Default for Reply {
    fn default() -> Self {
        Self { messages: Vec::new(), is_whole: true }
    }
}

impl Reply {
    pub fn has_failed(&self) -> bool {
        self.messages.iter().any(|it| it.tag == b'E')
    }

    /// To its end, and without an error.
    pub fn is_good(&self) -> bool {
        self.is_whole && !self.has_failed()
    }

    /// The SQLSTATE of the first error.
    pub fn code(&self) -> Option<String> {
        let error = self.messages.iter().find(|it| it.tag == b'E')?;
        let mut fields = error.body.split(|byte| *byte == 0);
        let code = fields.find_map(|field| field.strip_prefix(b"C"))?;
        Some(String::from_utf8_lossy(code).into_owned())
    }

    /// How often this has completed.
    pub fn completed(&self, tag: &str) -> usize {
        self.messages.iter().filter(|it| told(std::slice::from_ref(*it), tag)).count()
    }

    pub fn is_idle(&self) -> bool {
        self.messages.last().is_some_and(|it| it.tag == b'Z' && it.body == b"I")
    }

    /// The bytes of all bodies.
    pub fn size(&self) -> usize {
        self.messages.iter().map(|it| it.body.len()).sum()
    }

    /// Another one that follows it.
    pub fn extend(&mut self, other: Self) {
        self.messages.extend(other.messages);
        self.is_whole &= other.is_whole;
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&lines(&self.messages))
    }
}
