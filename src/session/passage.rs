//! One reading's bytes on their way through: all that goes to one side leaves in one piece, and
//! what passes unchanged is not even copied.

use crate::wire::backend::TransactionStatus;

use super::output::{Note, Output};
use super::plan::Plan;
use super::tally::Tally;

/// The side that the bytes go to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Towards {
    Backend,
    Frontend,
}

/// The bytes of one reading, in part already sent on or withheld.
pub(super) struct Passage<'a, 'o> {
    input: &'a [u8],
    /// Bytes before this have gone on or were withheld.
    gone: usize,
    /// Bytes before this are done with.
    done: usize,
    towards: Towards,
    /// Bytes for the side that the passage leads to, where they are not the input's alone.
    gathered: Vec<u8>,
    /// Bytes for the server, on the way to the client.
    asked: Vec<u8>,
    out: &'o mut dyn Output,
}

impl<'a, 'o> Passage<'a, 'o> {
    pub(super) fn new(input: &'a [u8], towards: Towards, out: &'o mut dyn Output) -> Self {
        Self { input, gone: 0, done: 0, towards, gathered: Vec::new(), asked: Vec::new(), out }
    }

    /// What has not been looked at yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.input.get(self.done..).unwrap_or_default()
    }

    /// The next `count` bytes go on unchanged.
    pub(super) fn pass(&mut self, count: usize) {
        self.done += count;
    }

    /// The next `count` bytes do not go on.
    pub(super) fn withhold(&mut self, count: usize) {
        self.gather();
        self.done += count;
        self.gone = self.done;
    }

    /// Other bytes go on before the next ones.
    pub(super) fn insert(&mut self, bytes: &[u8]) {
        self.gather();
        self.gathered.extend_from_slice(bytes);
    }

    /// The message that the next `count` bytes are goes on as planned.
    pub(super) fn carry_out(&mut self, plan: Plan, count: usize) {
        match plan {
            Plan::Wait | Plan::Ask(_) => {}
            Plan::Pass => self.pass(count),
            Plan::Around { before, after } => {
                self.insert_any(&before);
                self.pass(count);
                self.insert_any(&after);
            }
            Plan::Instead { before, message } => {
                self.insert_any(&before);
                self.withhold(count);
                self.insert(&message);
            }
        }
    }

    fn insert_any(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.insert(bytes);
        }
    }

    /// Bytes go to the server, whichever way this passage leads.
    pub(super) fn ask_backend(&mut self, bytes: &[u8]) {
        match self.towards {
            Towards::Backend => self.insert_any(bytes),
            Towards::Frontend => self.asked.extend_from_slice(bytes),
        }
    }

    pub(super) fn count(&mut self, tally: &mut Tally, status: Option<TransactionStatus>) {
        self.out.count(tally, status);
    }

    pub(super) fn note(&mut self, note: Note) {
        self.out.note(note);
    }

    /// Sends what passes and says how many bytes are done with.
    pub(super) fn finish(mut self) -> usize {
        if self.gathered.is_empty() {
            let passes = self.input.get(self.gone..self.done).unwrap_or_default();
            self.send(passes);
        } else {
            self.gather();
            let gathered = std::mem::take(&mut self.gathered);
            self.send(&gathered);
        }
        if !self.asked.is_empty() {
            self.out.to_backend(&self.asked);
        }
        self.done
    }

    fn gather(&mut self) {
        let passes = self.input.get(self.gone..self.done).unwrap_or_default();
        self.gathered.extend_from_slice(passes);
        self.gone = self.done;
    }

    fn send(&mut self, bytes: &[u8]) {
        match self.towards {
            _ if bytes.is_empty() => {}
            Towards::Backend => self.out.to_backend(bytes),
            Towards::Frontend => self.out.to_frontend(bytes),
        }
    }
}
