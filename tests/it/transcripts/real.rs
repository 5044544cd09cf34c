//! The transcripts against a real server, with the session in between and each of the four
//! directions in sight: what the files say of a server, a server has said.
//!
//! With `PGABSORB_BLESS=redo/` the files of which the path holds that are written anew from what
//! happens, and no others are looked at. For a new one, write the rules, the setup and the client's messages, with a line `...`
//! wherever the client waits for replies.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use pgabsorb::session::Session;

use super::message::{Sender, Written};
use super::transcript::{Step, Transcript, What, lines, question};
use crate::support::postgres::{Database, server};
use crate::support::recorder::Recorder;
use crate::support::wire::{Message, Received, Wire, message, startup};

/// Whether what happens is what the file says; if it is to be blessed, it says so afterwards.
pub fn is_said(path: &Path, transcript: &Transcript) -> bool {
    let part = std::env::var("PGABSORB_BLESS").ok();
    let blesses = part.as_ref().is_some_and(|part| path.to_string_lossy().contains(part));
    if part.is_some() && !blesses {
        return true;
    }
    let database = Database::new();
    for sql in &transcript.setup {
        database.sql(sql);
    }
    let happened = Scene::of(transcript, &database).play(blesses);
    let text = fs::read_to_string(path).unwrap();
    if blesses {
        let conditions =
            text.lines().any(|it| it.starts_with("since=") || it.starts_with("until="));
        assert!(!conditions, "{}: what holds of some servers is to be kept", path.display());
        let head: Vec<_> = text.lines().take_while(|line| !line.is_empty()).collect();
        fs::write(path, format!("{}\n\n{happened}", head.join("\n"))).unwrap();
        return true;
    }
    let of_it: Vec<_> = lines(&text, transcript.version).map(|(_, line)| line + "\n").collect();
    let of_it = of_it.concat();
    let said = of_it.split_once("\n\n").map_or("", |(_, steps)| steps);
    assert!(happened == said, "the file says:\n{said}\nwhat happens:\n{happened}");
    true
}

/// A session between a file's client and a real server.
struct Scene<'a> {
    session: Session,
    server: Wire,
    recorder: Recorder,
    /// Sent by the client, and not taken by the session.
    untaken: Vec<u8>,
    steps: &'a [Step],
    /// The proxy's questions, by the lines that stand for them.
    questions: Vec<(String, Bytes)>,
    lines: String,
}

impl<'a> Scene<'a> {
    fn of(transcript: &'a Transcript, database: &Database) -> Self {
        let mut recorder = Recorder::default();
        let parameters = startup(&[("database", &database.name)]);
        Self {
            session: transcript.session(&mut recorder),
            server: Wire::connect(server().address(), &parameters),
            recorder,
            untaken: Vec::new(),
            steps: &transcript.steps,
            questions: questions(transcript),
            lines: String::new(),
        }
    }

    /// Lets the client say its lines. The server is awaited where the file has lines of its, or,
    /// where those are not to be believed, until it says no more.
    fn play(mut self, to_quiet: bool) -> String {
        let mut steps = self.steps.iter().peekable();
        while let Some(step) = steps.next() {
            match &step.what {
                What::Arrives(Sender::Frontend, sent) => self.client_sends(sent),
                What::Arrives(Sender::Backend, _) if !to_quiet => {
                    if let Received::Message(answer) = self.server.message_within(LATE) {
                        self.server_answers(&answer);
                    } else {
                        break;
                    }
                }
                _ => {}
            }
            let waits =
                |step: &&Step| matches!(step.what, What::Waits | What::Arrives(Sender::Backend, _));
            if to_quiet && steps.peek().is_none_or(waits) {
                while let Received::Message(answer) = self.server.message_within(QUIET) {
                    self.server_answers(&answer);
                }
            }
        }
        self.lines
    }

    fn client_sends(&mut self, sent: &Written) {
        self.untaken.extend(sent.bytes());
        self.offer();
        let passed = self.recorder.to_backend == sent.bytes();
        let mark = if passed { "C>S" } else { "C>P" };
        let _ = writeln!(self.lines, "{mark} {sent}");
        self.report(passed, false);
    }

    fn server_answers(&mut self, answer: &Message) {
        let bytes = message(answer.tag, &answer.body);
        let done = self.session.handle_backend(&bytes, &mut self.recorder).unwrap();
        assert_eq!(done, bytes.len(), "a whole message was left over");
        self.offer();
        let passed = self.recorder.to_frontend == bytes;
        let mark = if passed { "S>C" } else { "S>P" };
        let _ = writeln!(self.lines, "{mark} {}", Written::of(Sender::Backend, answer));
        self.report(false, passed);
    }

    fn offer(&mut self) {
        if self.session.wants_frontend() {
            let done = self.session.handle_frontend(&self.untaken, &mut self.recorder);
            self.untaken.drain(..done);
        }
    }

    /// What has left the session beside a message that passed, which is written already.
    fn report(&mut self, passed_on: bool, passed_back: bool) {
        let recorded = std::mem::take(&mut self.recorder);
        self.server.send(&recorded.to_backend);
        if !passed_on {
            self.messages("P>S", Sender::Frontend, &recorded.to_backend);
        }
        if !passed_back {
            self.messages("P>C", Sender::Backend, &recorded.to_frontend);
        }
        for note in recorded.notes {
            let _ = writeln!(self.lines, "note {note}");
        }
    }

    fn messages(&mut self, mark: &str, sender: Sender, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let asked = |(_, asks): &&(String, Bytes)| bytes.starts_with(asks);
            if let Some((line, asks)) = self.questions.iter().find(asked) {
                let _ = writeln!(self.lines, "{line}");
                bytes = &bytes[asks.len()..];
                continue;
            }
            let (written, rest) = Written::split(sender, bytes);
            let _ = writeln!(self.lines, "{mark} {written}");
            bytes = rest;
        }
    }
}

/// All that the proxy may ask the server, of the tables that the transcript tells of.
fn questions(transcript: &Transcript) -> Vec<(String, Bytes)> {
    let mut questions = vec![("lookup".to_owned(), transcript.lookup())];
    let tables = transcript.indexes.iter().map(|(constraint, _)| &constraint.table[..]);
    for table in tables.chain(["t"]) {
        let names = [table.to_owned(), format!("public.{table}")];
        questions.extend(names.map(|name| (format!("verify {name}"), question(&name))));
    }
    questions
}

impl Written {
    /// The message, or the command of the proxy's own, at the front of what one side has sent.
    fn split(sender: Sender, bytes: &[u8]) -> (Self, &[u8]) {
        let &[tag, a, b, c, d] = bytes.first_chunk().unwrap();
        if sender == Sender::Frontend
            && let Some(command) = Self::command_at(bytes)
        {
            let length = command.bytes().len();
            return (command, &bytes[length..]);
        }
        let length = 1 + usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap();
        let message = Message { tag, body: bytes[5..length].to_vec() };
        (Self::of(sender, &message), &bytes[length..])
    }
}

/// What a file says that a server says has not come, if it has not come by now.
const LATE: Duration = Duration::from_secs(10);

/// A server that has said nothing for so long has nothing to say.
const QUIET: Duration = Duration::from_millis(700);
