//! What goes wrong, and at which of the messages that the server is sent.

use std::ops::Range;

use super::session::Dice;
use crate::support::version::version;
use crate::support::wire::{self, Message};

/// One mishap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub what: What,
    pub at: At,
    pub when: When,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    Cancel,
    /// `lock_timeout`, or `statement_timeout` where no lock is waited for.
    Timeout,
    /// The server refuses a command of the proxy's own, as when it is out of memory.
    Refuse,
    Terminate,
    DropServer,
    DropClient,
}

impl What {
    /// Whether the connection ends.
    pub fn loses(self) -> bool {
        matches!(self, Self::Terminate | Self::DropServer | Self::DropClient)
    }

    /// How many statements may fail because of it: a CancelRequest sends a signal to the server
    /// process, and one more to its group, and the second may come late.
    pub fn most(self) -> usize {
        if self == Self::Cancel { 2 } else { 1 }
    }

    /// Whether a statement may fail with this SQLSTATE because of it.
    pub fn excuses(self, code: &str) -> bool {
        match self {
            Self::Cancel => code == "57014",
            Self::Timeout => matches!(code, "57014" | "55P03"),
            Self::Refuse => code == "53200",
            Self::Terminate | Self::DropServer | Self::DropClient => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The nth message of all.
    Message(usize),
    /// The nth command of this kind.
    Own(Spot, usize),
}

/// A command of the proxy's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spot {
    Savepoint,
    Release,
    RollbackTo,
    Redo,
    Lookup,
    Verify,
}

impl Spot {
    pub const ALL: [Self; 6] =
        [Self::Savepoint, Self::Release, Self::RollbackTo, Self::Redo, Self::Lookup, Self::Verify];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Before,
    /// The server is made to wait in it.
    During,
    After,
}

/// A random fault.
pub fn fault(dice: &mut Dice) -> Fault {
    use What::{Cancel, DropClient, DropServer, Refuse, Terminate, Timeout};
    let when = dice.pick(&[When::Before, When::During, When::During, When::After]);
    let (what, at) = if dice.one_in(3) {
        let what = dice.pick(&[Cancel, Timeout, Terminate, DropServer, DropClient]);
        (what, At::Message(1 + dice.below(25)))
    } else {
        let faults = [Cancel, Cancel, Timeout, Refuse, Refuse, Terminate, DropServer, DropClient];
        (dice.pick(&faults), At::Own(dice.pick(&Spot::ALL), 1 + dice.pick(&[0, 0, 1, 2])))
    };
    // The first command of a segment is not timed while the server waits for it.
    let when = if what == Timeout && when == When::Before { When::After } else { when };
    // Before 11 the time of a statement runs until the Sync, behind its own reply too.
    let endless = what == Timeout && when == When::After && version() < 11;
    let what = if endless { Cancel } else { what };
    Fault { what, at, when }
}

impl Fault {
    /// The command of the proxy's own at which it happens.
    pub fn spot(self) -> Option<Spot> {
        match self.at {
            At::Own(spot, _) => Some(spot),
            At::Message(_) => None,
        }
    }

    /// Whether statements may fail without a further cause, and again and again.
    pub fn has_a_clock(self) -> bool {
        self.what == What::Timeout
    }

    /// What the client asks for when it connects, so that it meets the fault.
    pub fn settings(self) -> &'static [(&'static str, &'static str)] {
        match (self.what, self.when) {
            (What::Timeout, When::During) => &[("lock_timeout", "30ms")],
            (What::Timeout, _) => &[("statement_timeout", "60ms")],
            _ => &[],
        }
    }

    /// What is sent in the place of a command of the proxy's own, if another has to be.
    pub fn substitute(self, spot: Spot, tag: u8, text: &str) -> Option<String> {
        match (self.what, self.when, spot) {
            (What::Refuse, _, Spot::Redo) => Some(
                text.replace("DO NOTHING", "DO UPDATE SET id = 1 / (excluded.id - excluded.id)"),
            ),
            (What::Refuse, ..) => Some(REFUSES.to_owned()),
            // INSERTs wait by themselves: see the schema.
            (_, When::During, Spot::Redo) => None,
            (_, When::During, _) if tag == b'Q' => {
                Some(format!("DO $$BEGIN PERFORM {WAIT}; END$$"))
            }
            (_, When::During, _) => Some(format!("SELECT {WAIT}")),
            _ => None,
        }
    }
}

const WAIT: &str = "pg_advisory_lock_shared(42)";
const REFUSES: &str = "DO $$BEGIN RAISE SQLSTATE '53200'; END$$";

/// Where the proxy's own commands are in a message to the server.
pub fn spots(message: &Message) -> Vec<(Spot, Range<usize>)> {
    let start = match message.tag {
        b'Q' => 0,
        b'P' => 1 + message.body.iter().position(|byte| *byte == 0).expect("a name"),
        _ => return Vec::new(),
    };
    let text = text_from(message, start);
    match (message.tag, &message.body[..start]) {
        (_, b"pgabsorb_lookup\0") => vec![(Spot::Lookup, start..start + text.len())],
        (_, b"pgabsorb_verify\0") => vec![(Spot::Verify, start..start + text.len())],
        (_, b"pgabsorb_redo\0") => vec![(Spot::Redo, start..start + text.len())],
        (b'Q', _) | (_, b"pgabsorb_guard\0") => in_text(text, start),
        _ => Vec::new(),
    }
}

fn text_from(message: &Message, start: usize) -> &str {
    let text = message.body[start..].split(|byte| *byte == 0).next().expect("a text");
    str::from_utf8(text).expect("these sessions are ASCII")
}

fn in_text(text: &str, start: usize) -> Vec<(Spot, Range<usize>)> {
    let marks = [
        (Spot::Release, "RELEASE SAVEPOINT pgabsorb_guard"),
        (Spot::RollbackTo, "ROLLBACK TO SAVEPOINT pgabsorb_guard"),
        (Spot::Savepoint, "SAVEPOINT pgabsorb_guard"),
        (Spot::Redo, "DO NOTHING"),
    ];
    let mut found: Vec<(Spot, Range<usize>)> = Vec::new();
    for (spot, mark) in marks {
        for (at, _) in text.match_indices(mark) {
            let range = start + at..start + at + mark.len();
            let clause = text[..at].rsplit("ON CONFLICT ").next().unwrap_or_default();
            if spot == Spot::Redo && clause.starts_with('(') {
                // The client's own statement, rewritten: what runs again names the constraint.
                continue;
            }
            // Two of them end as the third is written.
            if !found.iter().any(|(_, other)| other.end == range.end) {
                found.push((spot, range));
            }
        }
    }
    found
}

/// The message with another text in this place.
pub fn substituted(message: &Message, range: Range<usize>, text: &str) -> Vec<u8> {
    let (before, after) = (&message.body[..range.start], &message.body[range.end..]);
    wire::message(message.tag, &[before, text.as_bytes(), after].concat())
}
