//! What a session counts of what it does, for the shell to take away from time to time, and what of
//! its own it waits for.
//!
//! Counting is an addition to a number of the session's own: no lock, no clock, no output.

use crate::wire::backend::SqlState;

use super::Session;
use super::expected::{Command, Expected, Purpose};
use super::held::{Held, Stage};
use super::splice::Splice;

/// Something that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message of the client's, by its tag: see [`Message::of`].
    Message(Message),
    /// An INSERT that a rule may concern was sent.
    Insert(Treatment),
    /// A command of the proxy's own was sent.
    Command(OwnCommand),
    /// A statement that was run again has come to its end.
    Redo(RedoResult),
}

/// An enum whose variants have names and places in a row.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$each])* $variant,)* }

        impl $name {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Their names, in the same order.
            pub const NAMES: &'static [&'static str] = &[$($text,)*];

            /// The name for metrics.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

named! {
    /// A [message](https://www.postgresql.org/docs/current/protocol-message-formats.html) of the
    /// client's.
    Message {
        /// `Q`.
        Query = "query",
        /// `P`.
        Parse = "parse",
        /// `B`.
        Bind = "bind",
        /// `D`.
        Describe = "describe",
        /// `E`.
        Execute = "execute",
        /// `C`.
        Close = "close",
        /// `S`.
        Sync = "sync",
        /// `H`.
        Flush = "flush",
        /// `F`.
        FunctionCall = "function_call",
        /// `d`.
        CopyData = "copy_data",
        /// `c`.
        CopyDone = "copy_done",
        /// `f`.
        CopyFail = "copy_fail",
        /// `p`: a password, or another answer to what the server asks at the login.
        Password = "password",
        /// `X`.
        Terminate = "terminate",
        /// What the protocol does not know.
        Other = "other",
    }
}

named! {
    /// How an INSERT is sent that a rule may concern.
    Treatment {
        /// As it came, outside BEGIN: its error can be taken back.
        Watched = "watched",
        /// Behind a savepoint of the proxy's own.
        Guarded = "guarded",
        /// With an ON CONFLICT in it.
        Rewritten = "rewritten",
    }
}

named! {
    /// What the proxy sends of its own.
    OwnCommand {
        /// SAVEPOINT, before an INSERT.
        Savepoint = "savepoint",
        /// Its RELEASE.
        Release = "release",
        /// ROLLBACK TO it.
        RollbackTo = "rollback_to",
        /// The catalog lookup.
        Lookup = "lookup",
        /// The question ahead of rewriting.
        Verify = "verify",
        /// A Parse of the client's own text, in the place of what was rewritten.
        Restore = "restore",
        /// A statement run again, with ON CONFLICT.
        Redo = "redo",
        /// What aborts a transaction, as the client will be told.
        Abort = "abort",
    }
}

named! {
    /// How running a statement again has ended.
    RedoResult {
        /// The client got its answer.
        Succeeded = "succeeded",
        /// The client got the error of before.
        Failed = "failed",
        /// Something else has come: it is not known.
        Unconfirmed = "unconfirmed",
    }
}

named! {
    /// What the client waits for that is the proxy's own.
    Wait {
        /// The ReadyForQuery behind an error that is held back.
        Held = "held",
        /// The catalog's answer.
        Lookup = "lookup",
        /// The answer to the question ahead of rewriting.
        Verify = "verify",
        /// A rollback to a savepoint, and its release.
        Undo = "undo",
        /// The same with the statement run again, or that alone.
        Redo = "redo",
    }
}

impl Message {
    /// The message that has a tag.
    #[must_use]
    pub fn of(tag: u8) -> Self {
        match tag {
            b'Q' => Self::Query,
            b'P' => Self::Parse,
            b'B' => Self::Bind,
            b'D' => Self::Describe,
            b'E' => Self::Execute,
            b'C' => Self::Close,
            b'S' => Self::Sync,
            b'H' => Self::Flush,
            b'F' => Self::FunctionCall,
            b'd' => Self::CopyData,
            b'c' => Self::CopyDone,
            b'f' => Self::CopyFail,
            b'p' => Self::Password,
            b'X' => Self::Terminate,
            _ => Self::Other,
        }
    }
}

impl From<Purpose> for OwnCommand {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Savepoint => Self::Savepoint,
            Purpose::Release => Self::Release,
            Purpose::RollbackTo => Self::RollbackTo,
            Purpose::Lookup => Self::Lookup,
            Purpose::Verify => Self::Verify,
            Purpose::Restore => Self::Restore,
            Purpose::Redo => Self::Redo,
            Purpose::Abort => Self::Abort,
        }
    }
}

/// Where each kind of event begins in the row of numbers.
const INSERTS: usize = Message::ALL.len();
const COMMANDS: usize = INSERTS + Treatment::ALL.len();
const REDOS: usize = COMMANDS + OwnCommand::ALL.len();

/// How many events are told apart.
pub const EVENTS: usize = REDOS + RedoResult::ALL.len();

impl Event {
    /// Its place in a row of all events: messages, INSERTs, commands, redos, each in the order of
    /// its `ALL`.
    #[must_use]
    pub fn place(self) -> usize {
        match self {
            Self::Message(it) => it as usize,
            Self::Insert(it) => INSERTS + it as usize,
            Self::Command(it) => COMMANDS + it as usize,
            Self::Redo(it) => REDOS + it as usize,
        }
    }
}

/// What has been counted since it was last taken.
#[derive(Debug, Default)]
pub struct Tally {
    counts: [u32; EVENTS],
    /// A bit for each of them that is not 0.
    seen: u32,
    /// The server's errors, by the first two characters of their SQLSTATE.
    errors: Vec<([u8; 2], u32)>,
}

impl Tally {
    /// Counts one more.
    pub(super) fn count(&mut self, event: Event) {
        let place = event.place();
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
            self.seen |= 1 << place;
        }
    }

    /// Counts what is sent to the server and asks for a reply, as far as it is the proxy's own.
    pub(super) fn sent(&mut self, expected: &Expected) {
        match expected {
            Expected::Own(Command { purpose, .. }) => self.command(*purpose),
            Expected::Query(query) => {
                let own = query.splice.as_deref().into_iter().flat_map(Splice::commands);
                own.for_each(|purpose| self.command(purpose));
            }
            _ => {}
        }
    }

    fn command(&mut self, purpose: Purpose) {
        self.count(Event::Command(purpose.into()));
    }

    /// Counts an ErrorResponse of the server's.
    pub(super) fn error(&mut self, sqlstate: Option<SqlState>) {
        let class = match sqlstate {
            Some(SqlState([first, second, ..])) => [first, second],
            None => [0; 2],
        };
        match self.errors.iter_mut().find(|(it, _)| *it == class) {
            Some((_, count)) => *count += 1,
            None => self.errors.push((class, 1)),
        }
    }

    /// Hands over what has been counted, by each event's place, and begins anew.
    pub fn take(&mut self, mut each: impl FnMut(usize, u32)) {
        while self.seen != 0 {
            let place = self.seen.trailing_zeros() as usize;
            self.seen &= self.seen - 1;
            each(place, self.counts.get_mut(place).map_or(0, std::mem::take));
        }
    }

    /// Hands over the numbers of errors by the first two characters of their SQLSTATE, two zero
    /// bytes where one had none, and begins anew.
    pub fn take_errors(&mut self, mut each: impl FnMut([u8; 2], u32)) {
        for (class, count) in std::mem::take(&mut self.errors) {
            each(class, count);
        }
    }
}

impl Session {
    /// What of the proxy's own the client waits for now.
    #[must_use]
    pub fn awaits(&self) -> Option<Wait> {
        match (&self.held, self.ledger.head()) {
            (Some(held), _) => Some(match held.stage {
                Stage::Undoing => Wait::Held,
                Stage::Asking => Wait::Lookup,
                Stage::Settling if held.runs_again() => Wait::Redo,
                Stage::Settling => Wait::Undo,
            }),
            (None, Some(Expected::Own(command))) => match command.purpose {
                Purpose::Lookup => Some(Wait::Lookup),
                Purpose::Verify => Some(Wait::Verify),
                _ => None,
            },
            _ => None,
        }
    }

    /// Counts how INSERTs are sent.
    pub(super) fn treated(&mut self, how: impl IntoIterator<Item = Option<Treatment>>) {
        for treatment in how.into_iter().flatten() {
            self.tally.count(Event::Insert(treatment));
        }
    }

    /// A recovery has ended; counts how, if it ran the statement again.
    pub(super) fn count_redo(&mut self, held: &Held, result: RedoResult) {
        if held.runs_again() {
            self.tally.count(Event::Redo(result));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_a_place_of_its_own_that_a_bit_can_tell() {
        let messages = Message::ALL.iter().map(|it| Event::Message(*it));
        let inserts = Treatment::ALL.iter().map(|it| Event::Insert(*it));
        let commands = OwnCommand::ALL.iter().map(|it| Event::Command(*it));
        let redos = RedoResult::ALL.iter().map(|it| Event::Redo(*it));
        let places = messages.chain(inserts).chain(commands).chain(redos).map(Event::place);
        assert!(places.eq(0..EVENTS) && EVENTS <= u32::BITS as usize);
    }

    #[test]
    fn what_is_taken_is_counted_once() {
        let mut tally = Tally::default();
        let (query, redo) = (Event::Message(Message::Query), Event::Redo(RedoResult::Unconfirmed));
        for event in [redo, query, query] {
            tally.count(event);
        }
        tally.error(Some(SqlState(*b"23505")));
        tally.error(Some(SqlState(*b"23503")));
        tally.error(None);
        let (mut events, mut errors) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            tally.take(|place, count| events.push((place, count)));
            tally.take_errors(|class, count| errors.push((class, count)));
        }
        assert_eq!(events, [(query.place(), 2), (redo.place(), 1)]);
        assert_eq!(errors, [(*b"23", 2), ([0; 2], 1)]);
    }
}
