//! The rules in force, and what is known of the databases for them: replaced as a whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::rules::Ruleset;
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
    current: ArcSwap<Ruling>,
    /// Counts them, from 1.
    generation: AtomicU64,
}

impl Rulings {
    pub(super) fn new(rules: Ruleset) -> Self {
        Self { current: ArcSwap::from_pointee(Ruling::new(rules)), generation: AtomicU64::new(1) }
    }

    pub(super) fn current(&self) -> Arc<Ruling> {
        self.current.load_full()
    }

    /// Other rules are in force from here on; returns their number.
    pub(super) fn replace(&self, rules: Ruleset) -> u64 {
        self.current.store(Arc::new(Ruling::new(rules)));
        self.generation.fetch_add(1, Ordering::Release) + 1
    }

    /// Makes old, again and again, what was learnt of the databases.
    pub(super) async fn expire_every(&self, lifetime: Duration) {
        let mut ticks = tokio::time::interval(lifetime);
        loop {
            ticks.tick().await;
            self.current().catalogs.expire();
        }
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
