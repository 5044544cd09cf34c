//! The session between arbitrary bytes from either side: what holds whoever sends them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pgabsorb::rules::Strategy;
use pgabsorb::session::Session;
use pgabsorb::session::output::{Note, Outcome, Output};
use pgabsorb::wire::backend::{ErrorFields, SqlState};
use pgabsorb_fuzz::memory;
use pgabsorb_fuzz::scene::{Event, Scene};
use pgabsorb_fuzz::stream::Stream;

fuzz_target!(|data: &[u8]| {
    let Some(scene) = Scene::read(data) else { return };
    let given: usize = scene.events.iter().map(bytes_of).sum();
    // What the proxy asks is some kilobytes long, and a message of five bytes may lead to it.
    let (whole, held) = memory::within((4 << 20) + 4096 * given, || play(&scene, usize::MAX));
    assert!(held <= HELD + HELD_PER_BYTE * given, "{held} bytes are held, and {given} were given");
    let (cut, _) = memory::within((4 << 20) + 4096 * given, || play(&scene, scene.piece));
    assert_eq!(whole, cut, "cut into pieces of {}", scene.piece);
});

/// The bytes that a session may hold: at any rate, and for each that it was given. Five bytes, a
/// Sync, are an entry of the ledger.
const HELD: usize = 64 << 10;
const HELD_PER_BYTE: usize = 512;

fn bytes_of(event: &Event) -> usize {
    match event {
        Event::Client(bytes) | Event::Server(bytes) => bytes.len(),
        Event::Reload => 0,
    }
}

/// All that has left a session, and the memory that it held in the end.
fn play(scene: &Scene, piece: usize) -> (Vec<Mark>, usize) {
    let mut play = Play::new(scene);
    let mut seen = Vec::new();
    for event in &scene.events {
        let goes_on = match event {
            Event::Client(bytes) => play.client(bytes, piece),
            Event::Server(bytes) => play.server(bytes, piece),
            Event::Reload => {
                play.session.adopt(&scene.rules(), &scene.catalog());
                true
            }
        };
        seen.push(play.seen.mark());
        if !goes_on {
            break;
        }
    }
    play.end();
    seen.push(play.seen.mark());
    (seen, memory::held_by(play.session))
}

/// What has left a session so far.
#[derive(Default)]
struct Seen {
    to_backend: Stream,
    to_frontend: Stream,
    notes: usize,
    absorbed: usize,
    /// The server has broken the protocol.
    violated: bool,
}

/// The same, to be compared.
type Mark = ([(usize, u64); 2], [usize; 2], bool);

impl Seen {
    fn mark(&self) -> Mark {
        let streams = [self.to_backend.mark(), self.to_frontend.mark()];
        (streams, [self.notes, self.absorbed], self.violated)
    }
}

/// A session, and the bytes that it has not taken.
struct Play<'a> {
    scene: &'a Scene,
    session: Session,
    from_client: Stream,
    from_server: Stream,
    upstream: Vec<u8>,
    downstream: Vec<u8>,
    seen: Seen,
    facts: Facts,
}

/// What the server has said of the last duplicate key.
#[derive(Default)]
struct Facts {
    duplicate: Option<Duplicate>,
    /// The message that is being handled.
    tag: u8,
}

/// A duplicate key that the server has said.
struct Duplicate {
    /// The bytes that the server had been sent by then.
    sent: usize,
    /// The status of the first ReadyForQuery behind it.
    status: Option<u8>,
}

impl<'a> Play<'a> {
    fn new(scene: &'a Scene) -> Self {
        Self {
            scene,
            session: Session::new(scene.setup()),
            from_client: Stream::default(),
            from_server: Stream::default(),
            upstream: Vec::new(),
            downstream: Vec::new(),
            seen: Seen::default(),
            facts: Facts::default(),
        }
    }

    fn client(&mut self, bytes: &[u8], piece: usize) -> bool {
        self.from_client.add(bytes, |_| {});
        for piece in bytes.chunks(piece) {
            self.upstream.extend_from_slice(piece);
            self.offer();
        }
        self.check();
        true
    }

    /// The server's bytes come message by message: what comes of two at once may depend on whether
    /// the client's next message is looked at in between.
    fn server(&mut self, mut bytes: &[u8], piece: usize) -> bool {
        while !bytes.is_empty() {
            let (message, rest) = bytes.split_at(self.from_server.rest_of_message(bytes));
            bytes = rest;
            let (facts, (sent, _)) = (&mut self.facts, self.seen.to_backend.mark());
            self.from_server.add(message, |message| facts.learn(message, sent));
            for piece in message.chunks(piece) {
                self.downstream.extend_from_slice(piece);
                let mut recorder = Recorder { seen: &mut self.seen, facts: &mut self.facts };
                match self.session.handle_backend(&self.downstream, &mut recorder) {
                    Ok(done) => drop(self.downstream.drain(..done)),
                    Err(_) => {
                        self.seen.violated = true;
                        return false;
                    }
                }
            }
            self.offer();
            self.check();
        }
        true
    }

    fn offer(&mut self) {
        let mut recorder = Recorder { seen: &mut self.seen, facts: &mut self.facts };
        if self.session.wants_frontend() {
            let done = self.session.handle_frontend(&self.upstream, &mut recorder);
            self.upstream.drain(..done);
        }
    }

    fn end(&mut self) {
        let mut recorder = Recorder { seen: &mut self.seen, facts: &mut self.facts };
        self.session.handle_backend_end(&mut recorder);
        self.check();
    }

    /// What holds of the bytes at any time.
    fn check(&self) {
        let Seen { to_backend, to_frontend, absorbed, .. } = &self.seen;
        if self.scene.concerns_nothing() {
            assert!(self.from_client.is_ahead_of(to_backend, self.upstream.len()));
            if !self.seen.violated {
                assert!(self.from_server.is_ahead_of(to_frontend, self.downstream.len()));
            }
            assert_eq!(self.seen.absorbed, 0);
        }
        // The client gets messages, and no more of them than there were.
        assert!(!to_frontend.is_broken());
        if self.downstream.is_empty() && self.from_server.is_at_boundary() {
            assert!(to_frontend.is_at_boundary());
        }
        if self.upstream.is_empty() && self.from_client.is_at_boundary() {
            assert!(to_backend.is_at_boundary());
        }
        for tag in 0..=u8::MAX {
            let may_be_made = match tag {
                // In the place of an error, and what the server has skipped behind it.
                b'C' => *absorbed,
                b'3' | b'n' => usize::MAX,
                _ => 0,
            };
            let (came, left) = (self.from_server.messages(tag), to_frontend.messages(tag));
            assert!(left <= came.saturating_add(may_be_made), "{} more", tag.escape_ascii());
        }
    }
}

impl Facts {
    /// Takes in a whole message of the server's, which has been sent so many bytes.
    fn learn(&mut self, message: &[u8], sent: usize) {
        self.tag = message[0];
        let body = &message[5..];
        match (self.tag, &mut self.duplicate) {
            (b'E', _) if ErrorFields::new(body).sqlstate() == Some(SqlState::UNIQUE_VIOLATION) => {
                self.duplicate = Some(Duplicate { sent, status: None });
            }
            (b'Z', Some(Duplicate { status: status @ None, .. })) => {
                *status = body.first().copied()
            }
            _ => {}
        }
    }

    /// A duplicate key has become a success: the server has said that nothing of it is left, or has
    /// been rolled back to the savepoint.
    fn is_absorbed(&mut self, strategy: Strategy, to_backend: &Stream) {
        match strategy {
            Strategy::React => {
                let duplicate = self.duplicate.take().expect("there is one");
                let rolls_back = b"ROLLBACK TO SAVEPOINT pgabsorb_guard";
                match duplicate.status {
                    Some(b'I') => {}
                    Some(b'E') => assert!(to_backend.has_behind(duplicate.sent, rolls_back)),
                    status => panic!("absorbed, and the status {status:?}"),
                }
            }
            // The server has said itself how many rows there are.
            Strategy::Rewrite => assert_eq!(self.tag, b'C'),
        }
    }
}

struct Recorder<'a> {
    seen: &'a mut Seen,
    facts: &'a mut Facts,
}

impl Output for Recorder<'_> {
    fn to_backend(&mut self, bytes: &[u8]) {
        self.seen.to_backend.add(bytes, |_| {});
    }

    fn to_frontend(&mut self, bytes: &[u8]) {
        self.seen.to_frontend.add(bytes, |_| {});
    }

    fn note(&mut self, note: Note) {
        self.seen.notes += 1;
        if let Note::Conflict(conflict) = note
            && conflict.outcome == Outcome::Absorbed
        {
            self.seen.absorbed += 1;
            self.facts.is_absorbed(conflict.strategy, &self.seen.to_backend);
        }
    }
}
