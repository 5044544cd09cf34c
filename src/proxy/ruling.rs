//! The rules in force, and what is known of the databases for them: replaced as a whole.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;

use crate::rules::{Action, Date, Rule, Ruleset};
use crate::session::Session;
use crate::wire::startup::StartupParameters;

use super::breaker::Breaker;
use super::catalogs::Catalogs;
use super::startup::cut;

/// Rules, and the catalogs that were asked for them.
#[derive(Debug)]
pub(super) struct Ruling {
    pub(super) rules: Arc<Ruleset>,
    pub(super) catalogs: Arc<Catalogs>,
}

/// The ruling in force.
#[derive(Debug)]
pub(super) struct Rulings {
    /// The rules as they are written.
    written: ArcSwap<Ruleset>,
    /// What is absorbed of them.
    breaker: ArcSwap<Breaker>,
    /// What they are now.
    current: ArcSwap<Ruling>,
    /// Counts the rulings, from 1.
    generation: AtomicU64,
    /// Held by who puts another in force, so that the last one knows all that has changed.
    enforcing: Mutex<()>,
}

impl Rulings {
    pub(super) fn new(rules: Ruleset) -> Self {
        let today = today();
        warn_of_expired(&rules, |rule| is_over(rule, today));
        let effective = Arc::new(on(&rules, today));
        Self {
            breaker: ArcSwap::from_pointee(Breaker::new(&rules)),
            current: ArcSwap::from_pointee(Ruling { rules: effective, catalogs: Arc::default() }),
            written: ArcSwap::from_pointee(rules),
            generation: AtomicU64::new(1),
            enforcing: Mutex::default(),
        }
    }

    pub(super) fn current(&self) -> Arc<Ruling> {
        self.current.load_full()
    }

    /// The number of the rules in force: those at the start are 1.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The rules as they are written, each with what makes it only observe for now.
    pub(super) fn written(&self) -> Vec<(Rule, Suspended)> {
        let (written, breaker, today) = (self.written.load(), self.breaker.load(), today());
        let suspended = |rule: &Rule| Suspended {
            expired: is_over(rule, today),
            over_limit: breaker.is_over(rule.id.as_str()),
        };
        written.rules().iter().map(|rule| (rule.clone(), suspended(rule))).collect()
    }

    /// Other rules are in force from here on; returns their number.
    pub(super) fn replace(&self, rules: Ruleset) -> u64 {
        let today = today();
        warn_of_expired(&rules, |rule| is_over(rule, today));
        self.breaker.store(Arc::new(Breaker::new(&rules)));
        self.written.store(Arc::new(rules));
        self.enforce(today, Arc::default())
    }

    /// A rule has absorbed a duplicate: beyond its limit it only observes.
    pub(super) fn absorbed(&self, rule: &str) {
        let over = self.breaker.load().count(rule, minute());
        if let Some(limit) = over {
            let event = "rule over its limit: it only observes until the minute is over";
            tracing::error!(rule, limit, "{event}");
            self.enforce(today(), Arc::clone(&self.current().catalogs));
        }
    }

    /// What the rules are now is in force from here on.
    fn enforce(&self, today: Option<Date>, catalogs: Arc<Catalogs>) -> u64 {
        let _last = self.enforcing.lock().unwrap_or_else(PoisonError::into_inner);
        let breaker = self.breaker.load();
        let rules = on(&self.written.load(), today);
        let rules = Arc::new(rules.observing(|rule| breaker.is_over(rule.id.as_str())));
        self.current.store(Arc::new(Ruling { rules, catalogs }));
        self.generation.fetch_add(1, Ordering::Release) + 1
    }

    /// A day or a minute may have begun: rules whose last day is over only observe from here on, and
    /// those that were over their limit absorb again.
    fn turn(&self, today: Option<Date>, minute: u64) {
        let (written, current) = (self.written.load(), self.current());
        let mut changes = false;
        for rule in self.breaker.load().turn(minute) {
            tracing::info!(rule, "rule absorbs again");
            changes = true;
        }
        let absorbs = |rule: &Rule| {
            let now = current.rules.rules().iter().find(|it| it.id == rule.id);
            now.is_some_and(|now| now.action == Action::Absorb)
        };
        let expired = |rule: &Rule| is_over(rule, today) && absorbs(rule);
        if written.rules().iter().any(expired) {
            warn_of_expired(&written, expired);
            changes = true;
        }
        if changes {
            self.enforce(today, Arc::clone(&current.catalogs));
        }
    }

    /// Makes old, again and again, what was learnt of the databases.
    pub(super) async fn expire_every(&self, lifetime: Duration) {
        let mut ticks = tokio::time::interval(lifetime);
        loop {
            ticks.tick().await;
            self.current().catalogs.expire();
        }
    }

    /// Looks at the clock and the calendar every second.
    pub(super) async fn keep_time(&self) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        loop {
            ticks.tick().await;
            self.turn(today(), minute());
        }
    }
}

/// Why a rule that absorbs only observes for now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Suspended {
    pub(super) expired: bool,
    pub(super) over_limit: bool,
}

/// Minutes since 1970.
fn minute() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs() / 60)
}

/// The day in UTC; none before 1970 or beyond 9999, when no rule expires.
fn today() -> Option<Date> {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    Date::new(now.get(..10)?).ok()
}

/// The rules as a proxy that starts now goes by them.
pub(crate) fn in_force(rules: &Ruleset) -> Ruleset {
    on(rules, today())
}

fn on(rules: &Ruleset, today: Option<Date>) -> Ruleset {
    today.map_or_else(|| rules.clone(), |today| rules.on(today))
}

fn is_over(rule: &Rule, today: Option<Date>) -> bool {
    today.is_some_and(|today| rule.has_expired(today))
}

fn warn_of_expired(rules: &Ruleset, is_one: impl Fn(&Rule) -> bool) {
    for rule in rules.rules().iter().filter(|rule| is_one(rule)) {
        let expires = rule.expires.map(|date| date.to_string());
        tracing::warn!(rule = rule.id.as_str(), expires, "rule expired: it only observes");
    }
}

/// The ruling that one session goes by.
#[derive(Debug)]
pub(super) struct Follower {
    rulings: Arc<Rulings>,
    /// The number of the server.
    server: usize,
    /// None where no rule ever applies.
    database: Option<Box<[u8]>>,
    generation: u64,
}

impl Follower {
    /// The newest, for a session that begins like this; a replication connection has no rules.
    pub(super) fn new(
        rulings: &Arc<Rulings>,
        server: usize,
        parameters: &StartupParameters,
    ) -> Self {
        let generation = rulings.generation.load(Ordering::Acquire);
        let database = (!parameters.replication).then(|| cut(&parameters.database).into());
        Self { rulings: Arc::clone(rulings), server, database, generation }
    }

    /// Brings the session up to date where it is between transactions.
    pub(super) fn follow(&mut self, session: &mut Session) {
        let generation = self.rulings.generation.load(Ordering::Acquire);
        let Some(database) = self.database.as_ref().filter(|_| generation != self.generation)
        else {
            return;
        };
        let ruling = self.rulings.current();
        if session.adopt(&ruling.rules, &ruling.catalogs.of(self.server, database)) {
            self.generation = generation;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{ConstraintGlob, RuleId};

    #[test]
    fn a_rule_absorbs_up_to_its_last_day_and_observes_behind_it() {
        let rule = Rule {
            expires: Some(Date::new("2026-02-28").unwrap()),
            ..Rule::new(RuleId::new("r").unwrap(), ConstraintGlob::new("t_pkey").unwrap())
        };
        let rulings = Rulings::new(Ruleset::new(vec![rule]));
        let action = || rulings.current().rules.rules().first().map(|rule| rule.action);
        let turn = |day| {
            rulings.turn(Date::new(day).ok(), 0);
            (action(), rulings.generation.load(Ordering::Relaxed))
        };
        let today = Date::new("2026-02-27").ok();
        let generation = rulings.enforce(today, Arc::default());
        assert_eq!(turn("2026-02-28"), (Some(Action::Absorb), generation));
        assert_eq!(turn("2026-03-01"), (Some(Action::Observe), generation + 1));
        assert_eq!(turn("2026-03-02"), (Some(Action::Observe), generation + 1));
    }
}
