//! A session, what its client says, and what a server says to that: recorded once, and played again
//! with no server's work in it.

use std::sync::Arc;

use pgabsorb::rules::{Origin, Ruleset};
use pgabsorb::session::catalog::SharedCatalog;
use pgabsorb::session::login::ChannelBinding;
use pgabsorb::session::output::{Note, Output};
use pgabsorb::session::{Session, Setup};
use pgabsorb::wire::build::message;
use pgabsorb::wire::target::TargetSessionAttrs;

use crate::server::Server;

/// A session that is logged in, and the server behind it.
pub(crate) struct Replay {
    session: Session,
    server: Server,
    out: Bytes,
}

/// What the session puts out.
#[derive(Default)]
struct Bytes {
    to_backend: Vec<u8>,
    to_frontend: Vec<u8>,
}

impl Output for Bytes {
    fn to_backend(&mut self, bytes: &[u8]) {
        self.to_backend.extend_from_slice(bytes);
    }

    fn to_frontend(&mut self, bytes: &[u8]) {
        self.to_frontend.extend_from_slice(bytes);
    }

    fn note(&mut self, _note: Note) {}
}

/// Bytes that come from one side.
enum Event {
    Client(Vec<u8>),
    Server(Vec<u8>),
}

impl Replay {
    pub(crate) fn new(rules: &Arc<Ruleset>, catalog: &Arc<SharedCatalog>) -> Self {
        let mut session = Session::new(Setup {
            origin: Origin::default(),
            rules: Arc::clone(rules),
            catalog: Arc::clone(catalog),
            inspect: 1 << 20,
            memory: 1 << 24,
            channel_binding: ChannelBinding::default(),
            target: TargetSessionAttrs::Any,
        });
        let greeting = [
            message(b'S', b"client_encoding\0UTF8\0"),
            message(b'S', b"standard_conforming_strings\0on\0"),
            message(b'S', b"server_version\x0015.18\0"),
            message(b'Z', b"I"),
        ];
        let mut out = Bytes::default();
        let done = session.handle_backend(&greeting.concat(), &mut out);
        assert_eq!(done.ok(), Some(greeting.concat().len()));
        Self { session, server: Server::default(), out: Bytes::default() }
    }

    /// What the client says, once; the server's answers are in `replies`, or the server's own.
    pub(crate) fn say(&mut self, flights: &[Vec<u8>], replies: Option<&[u8]>) -> Script {
        let mut events = Vec::new();
        for flight in flights {
            self.take(Event::Client(flight.clone()), &mut events);
            loop {
                let asked = std::mem::take(&mut self.out.to_backend);
                let answer = self.server.answer(&asked);
                if answer.is_empty() {
                    break;
                }
                let answer = replies.map_or(answer, <[u8]>::to_vec);
                self.take(Event::Server(answer), &mut events);
            }
        }
        let said = std::mem::take(&mut self.out.to_frontend);
        Script { events, said }
    }

    fn take(&mut self, event: Event, events: &mut Vec<Event>) {
        self.happens(&event);
        events.push(event);
    }

    fn happens(&mut self, event: &Event) {
        let (done, bytes) = match event {
            Event::Client(bytes) => (self.session.handle_frontend(bytes, &mut self.out), bytes),
            Event::Server(bytes) => {
                let done = self.session.handle_backend(bytes, &mut self.out);
                (done.expect("a server that keeps the protocol"), bytes)
            }
        };
        assert_eq!(done, bytes.len(), "the session wants it all");
    }

    /// The same again, so often.
    pub(crate) fn play(&mut self, script: &Script, times: u64) {
        for _ in 0..times {
            self.out.to_backend.clear();
            self.out.to_frontend.clear();
            for event in &script.events {
                self.happens(event);
            }
            assert_eq!(self.out.to_frontend.len(), script.said.len(), "it does the same again");
        }
    }
}

/// What happens, and what the client is told.
pub(crate) struct Script {
    events: Vec<Event>,
    pub(crate) said: Vec<u8>,
}
