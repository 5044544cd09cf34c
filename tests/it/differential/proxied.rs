//! The application's run, through the proxy: what it sends is what the direct run says, and each
//! reply is compared as it comes, so that nothing is waited for behind the first difference.

use std::fmt::Write as _;
use std::time::Duration;

use super::direct::{Batch, Reply};
use super::tables::is_listed;
use crate::support::wire::{Message, Received, Wire};

/// Plays the batches, and says where the replies are others than those of the direct run.
pub fn play(wire: &mut Wire, batches: &[Batch], limit: Duration) -> Result<(), String> {
    let mut run = Run { wire, limit, redone: false, seen: Vec::new() };
    for batch in batches {
        run.wire.send(&batch.bytes);
        for reply in &batch.replies {
            run.reply(reply)?;
        }
    }
    Ok(())
}

struct Run<'a> {
    wire: &'a mut Wire,
    /// How long the next reply may take.
    limit: Duration,
    /// A statement of this segment may have been run again: notices of either run may come.
    redone: bool,
    /// What has come up to now.
    seen: Vec<String>,
}

impl Run<'_> {
    /// Takes the next reply, which has to be this one.
    fn reply(&mut self, expected: &Reply) -> Result<(), String> {
        self.redone |= expected.redone;
        if expected.redone && expected.message.tag == b'N' {
            return Ok(());
        }
        loop {
            let got = match self.wire.message_within(self.limit) {
                Received::Message(message) => message,
                Received::End => return Err(difference(&self.seen, expected, "the end")),
                Received::Nothing => return Err(difference(&self.seen, expected, "nothing")),
            };
            if is_same(expected, &got) {
                self.redone &= got.tag != b'Z';
                self.seen.push(format!("step {}: {}", expected.step, expected.message));
                return Ok(());
            }
            if got.tag != b'N' || !self.redone {
                return Err(difference(&self.seen, expected, &got.to_string()));
            }
            self.seen.push(format!("step {}: {got} (of either run)", expected.step));
        }
    }
}

fn difference(seen: &[String], expected: &Reply, got: &str) -> String {
    let mut text = String::new();
    for line in seen.iter().skip(seen.len().saturating_sub(12)) {
        let _ = writeln!(text, "      {line}");
    }
    let Reply { message, step, redone, .. } = expected;
    let note = if *redone { " (or what a first run may say)" } else { "" };
    let _ = writeln!(text, "direct  step {step}: {message}{note}");
    let _ = writeln!(text, "proxied {got}");
    text
}

fn is_same(expected: &Reply, got: &Message) -> bool {
    let message = &expected.message;
    match (message.tag, got.tag) {
        (b'E', b'E') => {
            fields(&message.body) == fields(&got.body) || expected.redone && is_listed_conflict(got)
        }
        (b'N', b'N') => fields(&message.body) == fields(&got.body),
        // Of a notification all but the process is compared.
        (b'A', b'A') => message.body.get(4..) == got.body.get(4..),
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
