//! What has happened lately, in bounded memory: the last hour minute by minute, the latest
//! conflicts, what each rule did, and the constraints that nobody listed.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::proxy::log::KeyLog;
use crate::rules::{Constraint, NAME_BYTES};
use crate::session::output::{Conflict, Outcome};
use crate::session::recovery::Reason;

/// Minutes that are told apart.
pub(super) const MINUTES: usize = 60;

/// Conflicts that are kept.
const LATEST: usize = 50;

/// Constraints that are told apart among those that nobody listed.
const UNLISTED: usize = 1000;

/// Bytes that are kept of what is longer than a name: columns, and a key.
const TEXT_BYTES: usize = 300;

/// What the numbers of an array are: one for each outcome.
pub(super) const OUTCOMES: [&str; 5] = ["absorbed", "observed", "shown", "alert", "left_out"];

/// Counts by outcome, in the order of [`OUTCOMES`].
pub(super) type Counts = [u64; OUTCOMES.len()];

/// What is remembered.
#[derive(Debug, Default)]
pub(in crate::proxy) struct History(Mutex<Memory>);

/// The memory itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    /// The minutes since 1970 that anything happened in, the newest last.
    pub(super) minutes: VecDeque<(u64, Counts)>,
    /// The newest first.
    pub(super) latest: VecDeque<Seen>,
    pub(super) rules: HashMap<String, Done>,
    pub(super) unlisted: HashMap<Constraint, Done>,
    /// Conflicts of constraints beyond those.
    pub(super) unlisted_others: u64,
    pub(super) reload: Option<Reload>,
}

/// What was done, and when last.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) counts: Counts,
    pub(super) last: SystemTime,
}

/// One conflict.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) at: SystemTime,
    pub(super) outcome: Outcome,
    pub(super) rule: Option<String>,
    pub(super) constraint: Option<Constraint>,
    pub(super) columns: Option<String>,
    /// As `[log] key_values` says.
    pub(super) key: Option<String>,
    pub(super) database: String,
    pub(super) user: String,
    pub(super) application_name: String,
    pub(super) session: u64,
}

/// The last time that the rules were to be read anew.
#[derive(Clone, Debug)]
pub(super) struct Reload {
    pub(super) at: SystemTime,
    /// Why those of before stay in force.
    pub(super) error: Option<String>,
}

impl History {
    /// A conflict has been dealt with.
    pub(in crate::proxy) fn conflict(&self, conflict: &Conflict, session: u64, keys: &KeyLog) {
        let seen = Seen::new(conflict, session, keys);
        self.with(|memory| memory.add(seen));
    }

    /// The rules were read anew, or could not be.
    pub(in crate::proxy) fn reloaded(&self, error: Option<&str>) {
        let reload = Reload { at: SystemTime::now(), error: error.map(str::to_owned) };
        self.with(|memory| memory.reload = Some(reload));
    }

    /// All that is remembered.
    pub(super) fn memory(&self) -> Memory {
        self.with(|memory| memory.clone())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Memory) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Memory {
    fn add(&mut self, seen: Seen) {
        let outcome = place(seen.outcome);
        self.count_in(minute(seen.at), outcome);
        if let Some(rule) = &seen.rule {
            self.rules.entry(rule.clone()).or_default().add(outcome, seen.at);
        }
        if let (Outcome::Shown(Reason::NotListed), Some(name)) = (seen.outcome, &seen.constraint) {
            if self.unlisted.len() < UNLISTED || self.unlisted.contains_key(name) {
                self.unlisted.entry(name.clone()).or_default().add(outcome, seen.at);
            } else {
                self.unlisted_others += 1;
            }
        }
        self.latest.truncate(LATEST - 1);
        self.latest.push_front(seen);
    }

    /// Counts in a minute, the newest there is if the clock was set back.
    fn count_in(&mut self, minute: u64, outcome: usize) {
        if self.minutes.back().is_none_or(|(last, _)| *last < minute) {
            self.minutes.push_back((minute, Counts::default()));
        }
        while self.minutes.len() > MINUTES {
            self.minutes.pop_front();
        }
        if let Some((_, counts)) = self.minutes.back_mut() {
            count(counts, outcome);
        }
    }
}

impl Default for Done {
    fn default() -> Self {
        Self { counts: Counts::default(), last: SystemTime::UNIX_EPOCH }
    }
}

impl Done {
    fn add(&mut self, outcome: usize, at: SystemTime) {
        count(&mut self.counts, outcome);
        self.last = self.last.max(at);
    }
}

impl Seen {
    fn new(conflict: &Conflict, session: u64, keys: &KeyLog) -> Self {
        let name = |name: &str| cut(name, NAME_BYTES);
        let origin = &conflict.origin;
        Self {
            at: SystemTime::now(),
            outcome: conflict.outcome,
            rule: conflict.rule.as_ref().map(|(id, _)| id.clone()),
            constraint: conflict.constraint.as_ref().map(|it| Constraint {
                schema: name(&it.schema),
                table: name(&it.table),
                name: name(&it.name),
            }),
            columns: conflict.columns.as_deref().map(|it| cut(it, TEXT_BYTES)),
            key: keys.key(conflict.detail.as_deref()).map(|it| cut(&it, TEXT_BYTES)),
            database: name(&origin.database),
            user: name(&origin.user),
            application_name: name(&origin.application_name),
            session,
        }
    }
}

/// Minutes since 1970.
pub(super) fn minute(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() / 60)
}

fn place(outcome: Outcome) -> usize {
    OUTCOMES.iter().position(|name| *name == outcome.name()).unwrap_or_default()
}

fn count(counts: &mut Counts, outcome: usize) {
    if let Some(count) = counts.get_mut(outcome) {
        *count += 1;
    }
}

fn cut(text: &str, bytes: usize) -> String {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn seen(at: u64, name: &str) -> Seen {
        Seen {
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(at),
            outcome: Outcome::Shown(Reason::NotListed),
            rule: None,
            constraint: Some(Constraint {
                schema: String::new(),
                table: String::new(),
                name: name.to_owned(),
            }),
            columns: None,
            key: None,
            database: String::new(),
            user: String::new(),
            application_name: String::new(),
            session: 1,
        }
    }

    #[test]
    fn memory_is_bounded_and_the_newest_is_kept() {
        let mut memory = Memory::default();
        for number in 0..2000 {
            memory.add(seen(number * 60, &format!("c_{number}")));
        }
        assert_eq!((memory.minutes.len(), memory.latest.len()), (MINUTES, LATEST));
        assert_eq!((memory.unlisted.len(), memory.unlisted_others), (UNLISTED, 1000));
        assert_eq!(memory.minutes.back(), Some(&(1999, [0, 0, 1, 0, 0])));
        assert_eq!(memory.latest.front().map(|it| minute(it.at)), Some(1999));
    }

    #[test]
    fn a_clock_that_is_set_back_counts_on_in_the_newest_minute() {
        let mut memory = Memory::default();
        for at in [600, 60, 610] {
            memory.add(seen(at, "c"));
        }
        assert_eq!(memory.minutes, [(10, [0, 0, 3, 0, 0])]);
    }
}
