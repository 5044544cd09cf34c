//! The rules in force, and what is known of the databases for them: replaced as a whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;

use crate::rules::{Date, Rule, Ruleset};
use crate::session::Session;

use super::catalogs::Catalogs;

/// Rules, and the catalogs that were asked for them.
#[derive(Debug)]
pub(super) struct Ruling {
    pub(super) rules: Arc<Ruleset>,
    pub(super) catalogs: Catalogs,
}

impl Ruling {
    fn new(rules: Ruleset) -> Self {
        Self { rules: Arc::new(rules), catalogs: Catalogs::default() }
    }
}

/// The ruling in force.
#[derive(Debug)]
pub(super) struct Rulings {
    /// The rules as they are written.
    written: ArcSwap<Ruleset>,
    /// What they are today.
    current: ArcSwap<Ruling>,
    /// Counts the rulings, from 1.
    generation: AtomicU64,
}

impl Rulings {
    pub(super) fn new(rules: Ruleset) -> Self {
        let today = today();
        let current = ArcSwap::from_pointee(Ruling::new(on(&rules, today)));
        warn_of_expired(&rules, |rule| is_over(rule, today));
        Self { written: ArcSwap::from_pointee(rules), current, generation: AtomicU64::new(1) }
    }

    pub(super) fn current(&self) -> Arc<Ruling> {
        self.current.load_full()
    }

    /// Other rules are in force from here on; returns their number.
    pub(super) fn replace(&self, rules: Ruleset) -> u64 {
        let today = today();
        warn_of_expired(&rules, |rule| is_over(rule, today));
        let effective = on(&rules, today);
        self.written.store(Arc::new(rules));
        self.enforce(effective)
    }

    fn enforce(&self, rules: Ruleset) -> u64 {
        self.current.store(Arc::new(Ruling::new(rules)));
        self.generation.fetch_add(1, Ordering::Release) + 1
    }

    /// A day may have begun: rules whose last day is over only observe from here on.
    fn turn(&self, today: Option<Date>) {
        let (written, current) = (self.written.load(), self.current());
        let effective = on(&written, today);
        if effective != *current.rules {
            let absorbed = |rule: &Rule| current.rules.rules().contains(rule);
            warn_of_expired(&written, |rule| is_over(rule, today) && absorbed(rule));
            self.enforce(effective);
        }
    }

    /// Makes old, again and again, what was learnt of the databases, and looks at the calendar.
    pub(super) async fn expire_every(&self, lifetime: Duration) {
        let mut ticks = tokio::time::interval(lifetime);
        loop {
            ticks.tick().await;
            self.current().catalogs.expire();
            self.turn(today());
        }
    }
}

/// The day in UTC; none before 1970 or beyond 9999, when no rule expires.
fn today() -> Option<Date> {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    Date::new(now.get(..10)?).ok()
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
    database: Box<[u8]>,
    generation: u64,
}

impl Follower {
    /// The newest, for a session of this database.
    pub(super) fn new(rulings: &Arc<Rulings>, database: &[u8]) -> Self {
        let generation = rulings.generation.load(Ordering::Acquire);
        Self { rulings: Arc::clone(rulings), database: database.into(), generation }
    }

    /// Brings the session up to date where it is between transactions.
    pub(super) fn follow(&mut self, session: &mut Session) {
        let generation = self.rulings.generation.load(Ordering::Acquire);
        if generation == self.generation {
            return;
        }
        let ruling = self.rulings.current();
        if session.adopt(&ruling.rules, &ruling.catalogs.of(&self.database)) {
            self.generation = generation;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Action, ConstraintGlob, RuleId};

    #[test]
    fn a_rule_absorbs_up_to_its_last_day_and_observes_behind_it() {
        let rule = Rule {
            expires: Some(Date::new("2026-02-28").unwrap()),
            ..Rule::new(RuleId::new("r").unwrap(), ConstraintGlob::new("t_pkey").unwrap())
        };
        let rulings = Rulings::new(Ruleset::new(vec![rule]));
        let action = || rulings.current().rules.rules().first().map(|rule| rule.action);
        let turn = |day| {
            rulings.turn(Date::new(day).ok());
            (action(), rulings.generation.load(Ordering::Relaxed))
        };
        let (before, generation) = turn("2026-02-27");
        assert_eq!(before, Some(Action::Absorb));
        assert_eq!(turn("2026-02-28"), (before, generation));
        assert_eq!(turn("2026-03-01"), (Some(Action::Observe), generation + 1));
        assert_eq!(turn("2026-03-02"), (Some(Action::Observe), generation + 1));
    }
}
