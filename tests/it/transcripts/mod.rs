//! Every file under `tests/transcripts`: against the session alone, whole and byte by byte; against
//! a real server with the session in between; and against one through the real proxy.

mod message;
mod real;
mod transcript;

use std::fs;
use std::path::{Path, PathBuf};

use pgabsorb::session::Session;

use crate::support::postgres::Database;
use crate::support::proxy::Proxy;
use crate::support::recorder::Recorder;
use crate::support::version::{server_has, version};
use crate::support::wire::{self, Wire};
use message::Sender;
pub use transcript::Transcript;
use transcript::{Step, What};

/// Servers of which the files say different things.
const VERSIONS: [u32; 4] = [10, 14, 15, 18];

#[test]
fn a_session_does_what_every_transcript_says() {
    for version in VERSIONS {
        each(version, |_, transcript| transcript.is_newer() || run(transcript, usize::MAX));
    }
}

#[test]
fn a_session_fed_byte_by_byte_does_the_same() {
    for version in VERSIONS {
        each(version, |_, transcript| transcript.is_newer() || run(transcript, 1));
    }
}

#[test]
fn a_real_server_and_the_real_proxy_say_what_every_transcript_says() {
    each(version(), |path, transcript| !is_of_the_server(path, transcript) || live(transcript));
}

#[test]
fn a_real_server_says_what_every_transcript_says_of_it() {
    each(version(), |path, transcript| {
        !is_of_the_server(path, transcript) || real::is_said(path, transcript)
    });
}

/// Whether the server can do what a file says of one.
fn is_of_the_server(path: &Path, transcript: &Transcript) -> bool {
    let has = transcript.since.as_ref().is_none_or(|(version, reason)| {
        let name = path.file_name().unwrap().display();
        server_has(*version, &format!("{name}, {reason}"))
    });
    has && transcript.offline.is_none()
}

#[test]
fn the_recovery_page_names_every_transcript_and_no_other() {
    let page = fs::read_to_string(root().join("docs/recovery.md")).unwrap();
    let mut named: Vec<_> = page
        .split('`')
        .filter(|word| Path::new(word).extension().is_some_and(|it| it == "trace"))
        .map(|word| root().join("tests/transcripts").join(word))
        .collect();
    named.sort();
    named.dedup();
    assert_eq!(named, files(&root().join("tests/transcripts")));
}

/// Runs a check on every transcript, as of a server of this version, and names those that fail it.
fn each(version: u32, check: impl Fn(&Path, &Transcript) -> bool + std::panic::RefUnwindSafe) {
    let mut failed = Vec::new();
    for path in files(&root().join("tests/transcripts")) {
        let transcript = Transcript::read(&fs::read_to_string(&path).unwrap(), version);
        let outcome = std::panic::catch_unwind(|| check(&path, &transcript));
        if !outcome.unwrap_or(false) {
            failed.push(path);
        }
    }
    assert!(failed.is_empty(), "transcripts that do not hold: {failed:#?}");
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

// === Against the session alone ===

/// Feeds a session piece by piece; after each message that arrives, exactly what the next lines
/// say has left.
fn run(transcript: &Transcript, piece: usize) -> bool {
    let mut recorder = Recorder::default();
    let session = transcript.session(&mut recorder);
    let mut feed = Feed { session, piece, untaken: Vec::new() };
    let mut steps = transcript.steps.iter().peekable();
    while let Some(step) = steps.next() {
        feed.arrive(&step.what, &mut recorder);
        let mut expected = Recorder::default();
        while let Some(step) = steps.next_if(|it| !is_arrival(&it.what)) {
            expect(&mut expected, &step.what, transcript);
        }
        assert!(
            recorder == expected,
            "line {}:\n got  {}\n want {}",
            step.line,
            show(&recorder),
            show(&expected)
        );
        recorder.clear();
    }
    assert!(feed.untaken.is_empty(), "messages of the client's were left over");
    true
}

fn is_arrival(what: &What) -> bool {
    matches!(what, What::Arrives(..) | What::End)
}

/// A session, and what it has not taken of the client's.
struct Feed {
    session: Session,
    /// Bytes that it is shown at once.
    piece: usize,
    untaken: Vec<u8>,
}

impl Feed {
    fn arrive(&mut self, what: &What, recorder: &mut Recorder) {
        match what {
            What::End => self.session.handle_backend_end(recorder),
            What::Arrives(Sender::Frontend, message) => {
                for bytes in message.bytes().chunks(self.piece) {
                    self.untaken.extend_from_slice(bytes);
                    self.offer(recorder);
                }
            }
            What::Arrives(Sender::Backend, message) => {
                let mut input = Vec::new();
                for bytes in message.bytes().chunks(self.piece) {
                    input.extend_from_slice(bytes);
                    let done = self.session.handle_backend(&input, recorder).unwrap();
                    input.drain(..done);
                }
                assert!(input.is_empty(), "a whole message was left over: {what:?}");
                self.offer(recorder);
            }
            other => panic!("nothing has arrived yet, but: {other:?}"),
        }
    }

    fn offer(&mut self, recorder: &mut Recorder) {
        if self.session.wants_frontend() {
            let done = self.session.handle_frontend(&self.untaken, recorder);
            self.untaken.drain(..done);
        }
    }
}

fn expect(expected: &mut Recorder, what: &What, transcript: &Transcript) {
    match what {
        What::Lookup => expected.to_backend.extend(transcript.lookup()),
        What::Verify(name) => expected.to_backend.extend(transcript::question(name)),
        What::Leaves(Sender::Frontend, message) => expected.to_backend.extend(message.bytes()),
        What::Leaves(Sender::Backend, message) => expected.to_frontend.extend(message.bytes()),
        What::Note(note) => expected.notes.push(note.clone()),
        What::Arrives(..) | What::Waits | What::End => {}
    }
}

fn show(recorder: &Recorder) -> String {
    format!(
        "to server {:?}, to client {:?}, notes {:?}",
        recorder.to_backend.escape_ascii().to_string(),
        recorder.to_frontend.escape_ascii().to_string(),
        recorder.notes
    )
}

// === Against a real server ===

fn live(transcript: &Transcript) -> bool {
    let database = Database::new();
    for sql in &transcript.setup {
        database.sql(sql);
    }
    let proxy = Proxy::start(&transcript.rules);
    let mut client =
        Wire::connect(proxy.address(), &wire::startup(&[("database", &database.name)]));
    let mut flight = Vec::new();
    for step in &transcript.steps {
        live_step(&mut client, &mut flight, step);
    }
    client.send(&flight);
    let notes = transcript.steps.iter().filter_map(note);
    let notes: Vec<_> = notes.filter(|note| !note.starts_with("not rewritten")).collect();
    let logged = proxy.log_lines(r#""event":"conflict""#, notes.len());
    assert_eq!(logged.iter().map(|line| outcome(line)).collect::<Vec<_>>(), notes);
    true
}

/// `absorbed`, or `shown` and the reason, of a line of the log.
fn outcome(line: &str) -> String {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let field = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    format!("{} {}", field("outcome"), field("reason")).trim_end().to_owned()
}

/// Messages that follow each other are one flight, sent whole: an error may come back between two
/// writes, and what it is the reply to stands alone then.
fn live_step(client: &mut Wire, flight: &mut Vec<u8>, step: &Step) {
    match &step.what {
        What::Arrives(Sender::Frontend, message) => flight.extend(message.bytes()),
        What::Leaves(Sender::Backend, expected) => {
            client.send(&std::mem::take(flight));
            let Some(got) = client.message() else { panic!("line {}: the end", step.line) };
            assert!(
                expected.is_like(got.tag, &got.body),
                "line {}: got {got}, want {expected:?}",
                step.line
            );
        }
        _ => {}
    }
}

fn note(step: &Step) -> Option<String> {
    match &step.what {
        What::Note(note) => Some(note.clone()),
        _ => None,
    }
}
