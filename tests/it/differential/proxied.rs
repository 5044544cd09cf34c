//! The application's run, through the proxy: what it sends is what the direct run says, and each
//! reply is compared as it comes, so that nothing is waited for behind the first difference.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::direct::{Batch, Reply};
use super::tables::is_listed;
use crate::support::wire::{Message, Received, Wire};

/// Plays the batches, and says where the replies are others than those of the direct run.
pub fn play(wire: &mut Wire, batches: &[Batch], limit: Duration) -> Result<(), String> {
    let mut run = Run { wire, limit, seen: Vec::new(), asides: [Asides::new(), Asides::new()] };
    for batch in batches {
        run.wire.send(&batch.bytes);
        let mut rest = &batch.replies[..];
        while let Some(first) = rest.first() {
            let count = if first.redone { statement(rest) } else { 1 };
            let (replies, behind) = rest.split_at(count);
            if first.redone { run.redone(replies) } else { run.reply(first) }?;
            rest = behind;
        }
    }
    Ok(())
}

/// How many replies the first one's statement has.
fn statement(replies: &[Reply]) -> usize {
    replies.iter().position(|reply| ends(reply.message.tag)).map_or(replies.len(), |last| last + 1)
}

/// Whether such a reply ends a statement's.
fn ends(tag: u8) -> bool {
    matches!(tag, b'C' | b'I' | b's' | b'E')
}

struct Run<'a> {
    wire: &'a mut Wire,
    /// How long the next reply may take.
    limit: Duration,
    /// What has come up to now.
    seen: Vec<String>,
    /// Of the direct run, and of this one.
    asides: [Asides; 2],
}

/// What may come sooner or later, and is compared when no transaction is open.
#[derive(Debug, PartialEq, Eq)]
struct Asides {
    /// The last report of each parameter. Inside a block that has failed in a savepoint of the
    /// proxy's own, what the error sets back is reported at the block's end.
    parameters: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Channel and payload. A notification waits for the server to have nothing else to do.
    notifications: Vec<Vec<u8>>,
}

impl Asides {
    fn new() -> Self {
        let name = (b"application_name".to_vec(), Vec::new());
        Self { parameters: BTreeMap::from([name]), notifications: Vec::new() }
    }

    /// Takes in such a message, if it is one.
    fn take(&mut self, message: &Message) -> bool {
        match message.tag {
            b'S' => {
                let mut fields = message.body.split(|byte| *byte == 0).map(<[u8]>::to_vec);
                let (name, value) = (fields.next(), fields.next());
                self.parameters.insert(name.expect("a name"), value.expect("a value"));
            }
            b'A' => self.notifications.push(message.body[4..].to_vec()),
            _ => return false,
        }
        true
    }
}

impl Run<'_> {
    /// Takes the next reply, which has to be this one.
    fn reply(&mut self, expected: &Reply) -> Result<(), String> {
        if self.asides[0].take(&expected.message) {
            return Ok(());
        }
        let got = self.next(expected)?;
        if !is_same(expected, &got) {
            return Err(self.difference(expected, &got.to_string()));
        }
        let [direct, proxied] = &self.asides;
        if got.tag == b'Z' && got.body == b"I" && direct != proxied {
            let got = format!("{got}: {direct:?} and {proxied:?}");
            return Err(self.difference(expected, &got));
        }
        self.seen.push(format!("step {}: {}", expected.step, expected.message));
        Ok(())
    }

    /// Takes the replies of a statement that may have run twice.
    ///
    /// The first run's notices come first. It ran up to the duplicate: they are those that the
    /// second run begins with.
    fn redone(&mut self, expected: &[Reply]) -> Result<(), String> {
        let last = expected.last().expect("a reply");
        let mut got = Vec::new();
        while !got.last().is_some_and(|message: &Message| ends(message.tag)) {
            let message = self.next(last)?;
            self.seen.push(format!("step {}: {message} (of either run)", last.step));
            got.push(message);
        }
        let more = got.len().checked_sub(expected.len());
        let notices = expected.iter().filter(|reply| reply.message.tag == b'N');
        let fits = more.is_some_and(|more| {
            let first: Vec<_> = notices.take(more).collect();
            let expected = first.iter().copied().chain(expected);
            first.len() == more && expected.zip(&got).all(|(reply, got)| is_same(reply, got))
        });
        if fits {
            return Ok(());
        }
        let mut text = String::new();
        for reply in expected {
            let _ = writeln!(text, "direct  step {}: {}", reply.step, reply.message);
        }
        Err(text + &self.difference(last, "other replies, or others before it"))
    }

    /// The next message; of the reply that has to come, all that counts is that one has.
    fn next(&mut self, expected: &Reply) -> Result<Message, String> {
        match self.wire.message_within(self.limit) {
            Received::Message(message) if self.asides[1].take(&message) => self.next(expected),
            Received::Message(message) => Ok(message),
            Received::End => Err(self.difference(expected, "the end")),
            Received::Nothing => Err(self.difference(expected, "nothing")),
        }
    }

    fn difference(&self, expected: &Reply, got: &str) -> String {
        let mut text = String::new();
        for line in self.seen.iter().skip(self.seen.len().saturating_sub(12)) {
            let _ = writeln!(text, "      {line}");
        }
        let Reply { message, step, .. } = expected;
        let _ = writeln!(text, "direct  step {step}: {message}");
        let _ = writeln!(text, "proxied {got}");
        text
    }
}

fn is_same(expected: &Reply, got: &Message) -> bool {
    let message = &expected.message;
    match (message.tag, got.tag) {
        (b'E', b'E') => {
            // Where DO UPDATE fails as well, the first error may be shown.
            let has = |code: &[u8]| fields(&message.body).contains(&code);
            let again = expected.redone || has(b"C21000") || has(b"C23505");
            fields(&message.body) == fields(&got.body) || again && is_listed_conflict(got)
        }
        (b'N', b'N') => fields(&message.body) == fields(&got.body),
        _ => message == got,
    }
}

/// What is compared of an error or notice: not where in its sources the server raised it.
fn fields(body: &[u8]) -> Vec<&[u8]> {
    let fields = body.split(|byte| *byte == 0);
    fields.filter(|field| field.first().is_some_and(|kind| !b"FLR".contains(kind))).collect()
}

fn is_listed_conflict(error: &Message) -> bool {
    let fields = fields(&error.body);
    let name = fields.iter().find_map(|field| field.strip_prefix(b"n"));
    fields.contains(&&b"C23505"[..])
        && name.is_some_and(is_listed)
        && !fields.iter().any(|field| field.starts_with(b"W"))
}
