//! What clients know of what they have done.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The keys and the events of a client, or of several.
#[derive(Default)]
pub struct Ledger {
    /// What a client was told is committed.
    pub stored: BTreeSet<u64>,
    /// What was lost before a client was told its end.
    pub doubtful: BTreeSet<u64>,
    events: BTreeMap<Event, u64>,
}

/// What can become of a piece of work, and of a duplicate in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    Done,
    Failed,
    /// The connection ended before the reply did.
    Lost,
    /// A client was not let in, and tried again.
    Refused,
    /// A duplicate that was told to be a success.
    Absorbed,
    /// One that was not, of a constraint that a rule lists.
    Shown,
    /// A duplicate that no rule lists.
    Unlisted,
}

impl Ledger {
    pub fn count(&mut self, event: Event, times: u64) {
        *self.events.entry(event).or_default() += times;
    }

    pub fn of(&self, event: Event) -> u64 {
        self.events.get(&event).copied().unwrap_or_default()
    }

    /// All of another client.
    pub fn add(&mut self, other: Self) {
        self.add_counts(&other);
        self.stored.extend(other.stored);
        self.doubtful.extend(other.doubtful);
    }

    /// What another round came to, without its keys.
    pub fn add_counts(&mut self, other: &Self) {
        for (event, times) in &other.events {
            self.count(*event, *times);
        }
    }

    /// A run in which nothing happens proves nothing; and one in which most is lost proves little.
    pub fn check(&self) {
        let done = self.of(Event::Done);
        assert!(self.of(Event::Absorbed) > done / 4, "{self}");
        assert!(self.of(Event::Failed) + self.of(Event::Lost) > 0, "{self}");
        // Those that no savepoint can guard: in a pipeline outside a block.
        assert!(self.of(Event::Shown) < self.of(Event::Absorbed) / 8, "{self}");
        assert!(self.of(Event::Lost) < done / 10, "{self}");
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.stored.is_empty() {
            write!(f, "{} keys, {} doubtful, ", self.stored.len(), self.doubtful.len())?;
        }
        write!(f, "{:?}", self.events)
    }
}
