//! A client that sends exactly the bytes it is told to and shows exactly what comes back.
//!
//! A thread reads the socket all the time, as a real client's event loop would, so that no
//! amount of pipelined input can block both ends; every wait has a limit.

use std::fmt::{self, Write as _};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use super::PATIENCE;

/// One message from the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    pub tag: u8,
    pub body: Vec<u8>,
}

/// What has come within a limit of time.
#[derive(Debug)]
pub enum Received {
    Message(Message),
    /// The end of the stream.
    End,
    Nothing,
}

/// How writes are cut into segments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// As the caller wrote them.
    Whole,
    /// One byte per write for the first pages, odd pieces after: a megabyte of single bytes
    /// takes seconds and shows nothing more.
    Bytewise,
}

/// A connection on which the startup exchange may or may not have happened.
pub struct Wire {
    stream: TcpStream,
    chunks: Receiver<Vec<u8>>,
    buffer: Vec<u8>,
    cut: Cut,
}

impl Wire {
    /// A bare connection; nothing is sent.
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        stream.set_write_timeout(Some(PATIENCE)).expect("write timeout");
        Self::over(stream)
    }

    /// On a connection that the caller has made.
    pub fn over(stream: TcpStream) -> Self {
        let mut reader = stream.try_clone().expect("clone");
        let (sender, chunks) = sync_channel(1024);
        thread::spawn(move || {
            let mut chunk = vec![0; 1 << 16];
            // A reset ends the stream as an end of file does: which of the two a client sees
            // depends on what was still under way.
            while let Ok(length @ 1..) = reader.read(&mut chunk) {
                if sender.send(chunk[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { stream, chunks, buffer: Vec::new(), cut: Cut::Whole }
    }

    /// Connects and waits for the first `ReadyForQuery`.
    pub fn connect(address: SocketAddr, startup: &[u8]) -> Self {
        let mut wire = Self::open(address);
        wire.send(startup);
        let reply = wire.until(b'Z', 1);
        assert_eq!(reply.last().map(|message| message.tag), Some(b'Z'), "{}", lines(&reply));
        wire
    }

    /// Cuts what is sent from now on.
    pub fn cut(&mut self, cut: Cut) {
        self.cut = cut;
    }

    /// Sends these bytes. That the other side has closed is seen when reading.
    pub fn send(&mut self, bytes: &[u8]) {
        let single = if self.cut == Cut::Whole { 0 } else { bytes.len().min(BYTEWISE_LIMIT) };
        let piece = if self.cut == Cut::Whole { bytes.len().max(1) } else { 8191 };
        let (head, tail) = bytes.split_at(single);
        for chunk in head.chunks(1).chain(tail.chunks(piece)) {
            if self.stream.write_all(chunk).is_err() {
                return;
            }
        }
    }

    /// Ends the sending direction only.
    pub fn half_close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The next message; `None` at the end of the stream.
    pub fn message(&mut self) -> Option<Message> {
        match self.message_within(PATIENCE) {
            Received::Message(message) => Some(message),
            Received::End => None,
            Received::Nothing => self.give_up(),
        }
    }

    /// The next message, if it comes soon enough.
    pub fn message_within(&mut self, limit: Duration) -> Received {
        while self.buffer.len() < 5 || self.buffer.len() < frame_length(&self.buffer) {
            match self.chunks.recv_timeout(limit) {
                Ok(chunk) => self.buffer.extend(chunk),
                Err(RecvTimeoutError::Disconnected) => return Received::End,
                Err(RecvTimeoutError::Timeout) => return Received::Nothing,
            }
        }
        let rest = self.buffer.split_off(frame_length(&self.buffer));
        let frame = std::mem::replace(&mut self.buffer, rest);
        Received::Message(Message { tag: frame[0], body: frame[5..].to_vec() })
    }

    /// One unframed byte: the answer to an `SSLRequest`.
    pub fn byte(&mut self) -> Option<u8> {
        while self.buffer.is_empty() {
            if !self.fill() {
                return None;
            }
        }
        Some(self.buffer.remove(0))
    }

    /// The messages up to the `count`th with this tag, or to the end of the stream.
    pub fn until(&mut self, tag: u8, count: usize) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut seen = 0;
        while seen < count {
            let Some(message) = self.message() else { break };
            seen += usize::from(message.tag == tag);
            messages.push(message);
        }
        messages
    }

    /// Every message to the end of the stream, and the bytes of an incomplete last one.
    pub fn rest(&mut self) -> (Vec<Message>, Vec<u8>) {
        let messages = std::iter::from_fn(|| self.message()).collect();
        (messages, std::mem::take(&mut self.buffer))
    }

    /// A simple query and its whole reply.
    pub fn query(&mut self, sql: &str) -> Vec<Message> {
        self.send(&query(sql));
        self.until(b'Z', 1)
    }

    /// Takes in one chunk; `false` at the end of the stream.
    fn fill(&mut self) -> bool {
        match self.chunks.recv_timeout(PATIENCE) {
            Ok(chunk) => self.buffer.extend(chunk),
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => self.give_up(),
        }
        true
    }

    fn give_up(&self) -> ! {
        panic!("no reply within {PATIENCE:?}; unread: {:?}", self.buffer)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

const BYTEWISE_LIMIT: usize = 4096;

fn frame_length(buffer: &[u8]) -> usize {
    u32::from_be_bytes([buffer[1], buffer[2], buffer[3], buffer[4]]) as usize + 1
}

// === What is sent ===

/// A message with a tag and a body.
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("short enough");
    [&[tag], &length.to_be_bytes()[..], body].concat()
}

/// A packet without a tag: its code and the rest.
pub fn packet(code: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).expect("short enough");
    [&length.to_be_bytes(), &code.to_be_bytes(), body].concat()
}

/// A startup packet of protocol 3.0 for the superuser, with these parameters.
pub fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    let with_user = [&[("user", "postgres")], parameters].concat();
    startup_version(0x0003_0000, &with_user)
}

/// A startup packet of any version with exactly these parameters.
pub fn startup_version(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in parameters {
        body.extend([cstr(name), cstr(value)].concat());
    }
    body.push(0);
    packet(version, &body)
}

pub fn ssl_request() -> Vec<u8> {
    packet(80_877_103, b"")
}

/// `key` is the body of `BackendKeyData`: the process id and the secret.
pub fn cancel_request(key: &[u8]) -> Vec<u8> {
    packet(80_877_102, key)
}

pub fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &cstr(sql))
}

pub fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', &[cstr(name), cstr(sql), vec![0, 0]].concat())
}

/// Text parameters, text results.
pub fn bind(portal: &str, statement: &str, values: &[&str]) -> Vec<u8> {
    let mut body = [cstr(portal), cstr(statement), int16(0), int16(values.len())].concat();
    for value in values {
        body.extend(u32::try_from(value.len()).expect("short enough").to_be_bytes());
        body.extend(value.as_bytes());
    }
    body.extend(int16(0));
    message(b'B', &body)
}

pub fn describe(kind: u8, name: &str) -> Vec<u8> {
    message(b'D', &[vec![kind], cstr(name)].concat())
}

pub fn execute(portal: &str, max_rows: u32) -> Vec<u8> {
    message(b'E', &[cstr(portal), max_rows.to_be_bytes().to_vec()].concat())
}

pub fn close(kind: u8, name: &str) -> Vec<u8> {
    message(b'C', &[vec![kind], cstr(name)].concat())
}

/// Parse, Bind and Execute of one statement through the unnamed statement and portal.
pub fn pbe(sql: &str, values: &[&str]) -> Vec<u8> {
    [parse("", sql), bind("", "", values), execute("", 0)].concat()
}

pub fn sync() -> Vec<u8> {
    message(b'S', b"")
}

pub fn flush() -> Vec<u8> {
    message(b'H', b"")
}

/// Text arguments, text result.
pub fn function_call(oid: u32, values: &[&str]) -> Vec<u8> {
    let mut body = [oid.to_be_bytes().to_vec(), int16(0), int16(values.len())].concat();
    for value in values {
        body.extend(u32::try_from(value.len()).expect("short enough").to_be_bytes());
        body.extend(value.as_bytes());
    }
    body.extend(int16(0));
    message(b'F', &body)
}

pub fn copy_data(bytes: &[u8]) -> Vec<u8> {
    message(b'd', bytes)
}

pub fn copy_done() -> Vec<u8> {
    message(b'c', b"")
}

pub fn copy_fail(reason: &str) -> Vec<u8> {
    message(b'f', &cstr(reason))
}

pub fn terminate() -> Vec<u8> {
    message(b'X', b"")
}

fn cstr(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

fn int16(number: usize) -> Vec<u8> {
    u16::try_from(number).expect("short enough").to_be_bytes().to_vec()
}

// === What is shown ===

/// One line per message, in the manner of libpq's `PQtrace`.
pub fn lines(messages: &[Message]) -> String {
    let mut text = String::new();
    for message in messages {
        let _ = writeln!(text, "{message}");
    }
    text
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tag, length) = (char::from(self.tag), self.body.len() + 4);
        match BACKEND_NAMES.iter().find(|(known, _)| *known == self.tag) {
            Some((_, name)) => write!(f, "B {length:>5} {name}")?,
            None => write!(f, "B {length:>5} {tag:?}?")?,
        }
        let shown = &self.body[..self.body.len().min(SHOWN_LIMIT)];
        let fields = shown.split(|byte| *byte == 0);
        match self.tag {
            b'E' | b'N' => {
                for field in fields.filter(|field| !field.is_empty()) {
                    write!(f, " {}", field.escape_ascii())?;
                }
            }
            _ if !shown.is_empty() => write!(f, " \"{}\"", shown.escape_ascii())?,
            _ => {}
        }
        if shown.len() < self.body.len() { write!(f, "...") } else { Ok(()) }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

const SHOWN_LIMIT: usize = 400;

const BACKEND_NAMES: &[(u8, &str)] = &[
    (b'1', "ParseComplete"),
    (b'2', "BindComplete"),
    (b'3', "CloseComplete"),
    (b'A', "NotificationResponse"),
    (b'C', "CommandComplete"),
    (b'D', "DataRow"),
    (b'E', "ErrorResponse"),
    (b'G', "CopyInResponse"),
    (b'H', "CopyOutResponse"),
    (b'I', "EmptyQueryResponse"),
    (b'K', "BackendKeyData"),
    (b'N', "NoticeResponse"),
    (b'R', "Authentication"),
    (b'S', "ParameterStatus"),
    (b'T', "RowDescription"),
    (b'V', "FunctionCallResponse"),
    (b'W', "CopyBothResponse"),
    (b'Z', "ReadyForQuery"),
    (b'c', "CopyDone"),
    (b'd', "CopyData"),
    (b'n', "NoData"),
    (b's', "PortalSuspended"),
    (b't', "ParameterDescription"),
    (b'v', "NegotiateProtocolVersion"),
];
