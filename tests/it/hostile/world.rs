//! A session between a client and the model of a server, of whose messages one is another than it
//! would send.

use pgabsorb::session::{ProtocolViolation, Session};

use crate::model::server::Server;
use crate::support::recorder::Recorder;
use crate::support::wire::{Message, lines, message};
use crate::transcripts::Transcript;

/// What takes the place of a message of the server's: nothing, another, or several.
pub type Change = Box<dyn FnMut(&Message) -> Option<Vec<u8>>>;

pub struct World {
    session: Session,
    server: Server,
    recorder: Recorder,
    change: Change,
    /// Sent by the client and not taken.
    untaken: Vec<u8>,
    /// Sent by the server and not taken.
    unread: Vec<u8>,
    /// All that the client has got.
    pub to_client: Vec<u8>,
    pub notes: Vec<String>,
    pub violation: Option<ProtocolViolation>,
}

impl World {
    /// A session whose primary key of `t` is listed; the server has the row 1.
    pub fn new(change: Change) -> Self {
        let transcript = Transcript::read("rule t_pkey\nindex public.t.t_pkey\n", 15);
        let mut recorder = Recorder::default();
        let session = transcript.session(&mut recorder);
        let mut server = Server::new();
        server.receive(&crate::support::wire::query("INSERT INTO t VALUES (1)"));
        server.output.clear();
        let (untaken, unread, to_client) = Default::default();
        let notes = Vec::new();
        Self {
            session,
            server,
            recorder,
            change,
            untaken,
            unread,
            to_client,
            notes,
            violation: None,
        }
    }

    /// From here on the server's messages are changed in this way.
    pub fn change(&mut self, change: Change) {
        self.change = change;
    }

    /// The client sends, and all happens that follows from it; what it gets.
    pub fn send(&mut self, bytes: &[u8]) -> Vec<u8> {
        let before = self.to_client.len();
        self.untaken.extend_from_slice(bytes);
        self.settle();
        self.to_client[before..].to_vec()
    }

    /// The server says what nobody asked for; what the client gets.
    pub fn say(&mut self, bytes: &[u8]) -> Vec<u8> {
        let before = self.to_client.len();
        self.unread.extend_from_slice(bytes);
        self.settle();
        self.to_client[before..].to_vec()
    }

    /// What the client sees to the end of the connection.
    pub fn end(&mut self) {
        self.session.handle_backend_end(&mut self.recorder);
        self.record();
    }

    pub fn has_absorbed(&self) -> bool {
        self.notes.iter().any(|note| note == "absorbed")
    }

    fn settle(&mut self) {
        loop {
            if self.session.wants_frontend() && !self.untaken.is_empty() {
                let done = self.session.handle_frontend(&self.untaken, &mut self.recorder);
                self.untaken.drain(..done);
            }
            self.pass_on();
            if self.unread.is_empty() || self.violation.is_some() {
                return;
            }
            let unread = std::mem::take(&mut self.unread);
            match self.session.handle_backend(&unread, &mut self.recorder) {
                Ok(done) => assert_eq!(done, unread.len(), "whole messages are taken"),
                Err(violation) => self.violation = Some(violation),
            }
            self.record();
        }
    }

    fn pass_on(&mut self) {
        self.server.receive(&std::mem::take(&mut self.recorder.to_backend));
        for said in messages(&std::mem::take(&mut self.server.output)) {
            let as_it_is = || message(said.tag, &said.body);
            self.unread.extend((self.change)(&said).unwrap_or_else(as_it_is));
        }
        self.record();
    }

    fn record(&mut self) {
        self.to_client.append(&mut self.recorder.to_frontend);
        self.notes.append(&mut self.recorder.notes);
    }
}

/// Nothing is changed.
pub fn unchanged() -> Change {
    Box::new(|_| None)
}

/// Whole messages.
pub fn messages(bytes: &[u8]) -> Vec<Message> {
    let (mut rest, mut messages) = (bytes, Vec::new());
    while let Some((&[tag, a, b, c, d], _)) = rest.split_first_chunk() {
        let end = 1 + u32::from_be_bytes([a, b, c, d]) as usize;
        messages.push(Message { tag, body: rest[5..end].to_vec() });
        rest = &rest[end..];
    }
    messages
}

/// What the client got, one message per line.
pub fn shown(bytes: &[u8]) -> String {
    lines(&messages(bytes))
}

/// Whether these bytes are among those.
pub fn contains(bytes: &[u8], these: &[u8]) -> bool {
    bytes.windows(these.len().max(1)).any(|window| window == these)
}
