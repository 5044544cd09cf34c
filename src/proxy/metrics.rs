//! What the sessions tell, counted: the numbers of `/metrics`, each of them in
//! `docs/operations.md`.
//!
//! Counting a read, a session or a byte is an atomic addition. Only a conflict is looked up by its
//! labels, under the lock of its family, which nobody holds while an answer is sent.

mod lifetimes;
mod servers;
mod spread;
mod standing;
mod traffic;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use prometheus_client::encoding::{EncodeLabelSet, prometheus_text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::config::Address;
use crate::rules::{Action, NAME_BYTES, Ruleset, Strategy};
use crate::session::output::{Conflict, Note, Outcome};

use super::connection::Peer;
use super::log::{reason, strategy};
use super::refusal::Refusal;

pub(super) use lifetimes::{Ending, Lifetimes, Present, State, Unheard};
pub(super) use servers::Connections;
use spread::Spread;
pub(super) use standing::Standing;
pub(super) use traffic::Traffic;

/// The form of what [`Metrics::text`] gives.
pub(super) const CONTENT: &str = prometheus_text::CONTENT_TYPE;

/// Label sets of `conflicts_by_constraint`: whoever may create tables must not fill our memory.
const CONSTRAINT_SERIES: usize = 1000;

/// The constraint of what is over that.
const OTHER: &str = "other";

/// Why clients get no session: what [`Refusal::reason`] may be for them.
const REFUSALS: [&str; 17] = [
    "server_unreachable",
    "server_timeout",
    "server_not_now",
    "server_unfit",
    "server_tls",
    "server_lost",
    "protocol_violation",
    "too_many_sessions",
    "too_many_of_address",
    "too_many_logins",
    "out_of_memory",
    "repeated_request",
    "unencrypted",
    "not_authenticated",
    "login_timeout",
    "server_login",
    "stopping",
];

/// How reading the rules anew ends.
const RELOADS: [&str; 2] = ["success", "failure"];

/// The version that runs.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// All that is counted.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    conflicts: Family<ConflictLabels, Counter>,
    by_constraint: Family<ConstraintLabels, Counter>,
    /// How many series `by_constraint` has, but for those of [`OTHER`].
    constraint_series: Mutex<usize>,
    last_hits: Family<[(&'static str, String); 1], Gauge>,
    not_rewritten: Family<Label, Counter>,
    lookups_failed: Counter,
    out_of_step: Counter,
    /// How sessions begin and end.
    pub(super) lifetimes: Arc<Lifetimes>,
    /// What passes through them.
    pub(super) traffic: Traffic,
    refused: Family<Label, Counter>,
    handshakes_failed: Counter,
    unheard: Family<Label, Counter>,
    draining: Gauge,
    from_client: Spread,
    from_server: Spread,
    rules: Gauge,
    reloaded: Gauge,
    reloads: Family<Label, Counter>,
    file: Family<[(&'static str, String); 1], Gauge>,
}

type Label = [(&'static str, &'static str); 1];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConflictLabels {
    outcome: &'static str,
    reason: &'static str,
    strategy: &'static str,
    rule: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConstraintLabels {
    schema: String,
    table: String,
    constraint: String,
    outcome: &'static str,
}

impl Metrics {
    /// Everything at 0.
    pub(super) fn new(rules: &Ruleset) -> Self {
        let bytes = Family::<Label, Spread>::default();
        let mut registry = Registry::with_prefix("pgabsorb");
        let mut metrics = Self {
            conflicts: Family::default(),
            by_constraint: Family::default(),
            constraint_series: Mutex::default(),
            last_hits: Family::default(),
            not_rewritten: Family::default(),
            lookups_failed: Counter::default(),
            out_of_step: Counter::default(),
            lifetimes: Arc::new(Lifetimes::register(&mut registry)),
            traffic: Traffic::register(&mut registry),
            refused: Family::default(),
            handshakes_failed: Counter::default(),
            unheard: Family::default(),
            draining: Gauge::default(),
            from_client: bytes.get_or_create_owned(&[("direction", "from_client")]),
            from_server: bytes.get_or_create_owned(&[("direction", "from_server")]),
            rules: Gauge::default(),
            reloaded: Gauge::default(),
            reloads: Family::default(),
            file: Family::default(),
            registry,
        };
        metrics.register_conflicts();
        metrics.register_sessions(bytes);
        for reason in REFUSALS {
            metrics.refused.get_or_create(&[("reason", reason)]).inc_by(0);
        }
        for why in Unheard::ALL {
            metrics.unheard.get_or_create(&[("reason", why.name())]).inc_by(0);
        }
        for result in RELOADS {
            metrics.reloads.get_or_create(&[("result", result)]).inc_by(0);
        }
        metrics.expect(rules);
        metrics
    }

    fn register_conflicts(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "conflicts",
            "Duplicate keys, and rewritten statements that left rows out",
            self.conflicts.clone(),
        );
        registry.register(
            "conflicts_by_constraint",
            "The same by constraint, listed or not; constraint=\"other\" is what is over 1000 series",
            self.by_constraint.clone(),
        );
        registry.register_with_unit(
            "rule_last_hit_timestamp",
            "When a duplicate key last hit what the rule lists; 0 if it has not since the start",
            Unit::Seconds,
            self.last_hits.clone(),
        );
        registry.register(
            "not_rewritten",
            "Tables whose INSERTs a session does not rewrite though a rule says so",
            self.not_rewritten.clone(),
        );
        registry.register(
            "catalog_lookups_failed",
            "Catalog lookups that failed",
            self.lookups_failed.clone(),
        );
        registry.register(
            "out_of_step",
            "Sessions that only forward since a reply that nobody asked for",
            self.out_of_step.clone(),
        );
        registry.register("rules", "Rules in force", self.rules.clone());
        registry.register(
            "config_file_info",
            "1 for the rules file that is in force",
            self.file.clone(),
        );
        registry.register(
            "config_last_reload_success",
            "1 if the file was good when it was last read, 0 if the rules of before are in force",
            self.reloaded.clone(),
        );
        registry.register(
            "reloads",
            "Times that the rules were to be read anew",
            self.reloads.clone(),
        );
    }

    fn register_sessions(&mut self, bytes: Family<Label, Spread>) {
        let registry = &mut self.registry;
        registry.register(
            "sessions_refused",
            "Clients that got no session, and were told why",
            self.refused.clone(),
        );
        registry.register(
            "client_handshakes_failed",
            "Clients whose TLS handshake with the proxy failed",
            self.handshakes_failed.clone(),
        );
        registry.register(
            "startups_failed",
            "Clients that were closed, or left, before they had sent a startup packet",
            self.unheard.clone(),
        );
        registry.register(
            "draining",
            "1 if the proxy lets nobody in any more and waits for its sessions",
            self.draining.clone(),
        );
        registry.register("bytes", "Bytes that sessions have read", bytes);
        let build = Info::new([
            ("version", VERSION),
            ("os", std::env::consts::OS),
            ("arch", std::env::consts::ARCH),
            ("profile", if cfg!(debug_assertions) { "debug" } else { "release" }),
        ]);
        registry.register("build", "What runs", build);
        let started = Gauge::<i64>::default();
        started.set(now());
        registry.register_with_unit("start_time", "When it was started", Unit::Seconds, started);
    }

    /// Rules are in force: what they may count from here on starts at 0, so that a rate includes
    /// the first.
    pub(super) fn expect(&self, rules: &Ruleset) {
        let series = |outcome: Outcome, strategy, rule: &str| {
            let labels = ConflictLabels {
                outcome: outcome.name(),
                reason: "",
                strategy,
                rule: rule.to_owned(),
            };
            self.conflicts.get_or_create(&labels).inc_by(0);
        };
        let (react, rewrite) = (Strategy::React.as_str(), Strategy::Rewrite.as_str());
        for rule in rules.rules() {
            let id = rule.id.as_str();
            series(Outcome::Absorbed, react, id);
            match rule.action {
                // One that absorbs only observes while it is over its limit, or past its last day.
                Action::Absorb | Action::Observe => series(Outcome::Observed, react, id),
                Action::Alert => series(Outcome::Alert, "", id),
            }
            if rule.rewrites() {
                series(Outcome::Absorbed, rewrite, id);
                series(Outcome::LeftOut, rewrite, id);
            }
            self.last_hits.get_or_create(&[("rule", id.to_owned())]).inc_by(0);
        }
        self.rules.set(i64::try_from(rules.rules().len()).unwrap_or(i64::MAX));
        self.reloaded.set(1);
    }

    /// The file was read anew, and is in force.
    pub(super) fn was_reloaded(&self, rules: &Ruleset) {
        self.expect(rules);
        self.reloads.get_or_create(&[("result", RELOADS[0])]).inc();
    }

    /// What is in force is of the file with this fingerprint.
    pub(super) fn read_from(&self, fingerprint: &str) {
        self.file.clear();
        self.file.get_or_create(&[("sha256", fingerprint.to_owned())]).set(1);
    }

    /// The file was read, and is no good.
    pub(super) fn not_reloaded(&self) {
        self.reloaded.set(0);
        self.reloads.get_or_create(&[("result", RELOADS[1])]).inc();
    }

    /// Counts clients that wait since their session keeps too much.
    pub(super) fn memory_waits(&mut self) -> Counter {
        let waits = Counter::default();
        self.registry.register(
            "memory_waits",
            "Times that a client had to wait since its session kept too much",
            waits.clone(),
        );
        waits
    }

    /// The numbers of the servers, in the same order.
    pub(super) fn servers(&mut self, servers: &[Address]) -> Vec<Connections> {
        Connections::register(&mut self.registry, servers)
    }

    /// What is known elsewhere is asked for whenever the numbers are.
    pub(super) fn also(&mut self, standing: Standing) {
        self.registry.register_collector(Box::new(standing));
    }

    /// Counts what a session tells.
    pub(super) fn note(&self, note: &Note) {
        match note {
            Note::Conflict(conflict) => self.conflict(conflict),
            Note::LookupFailed { .. } => {
                self.lookups_failed.inc();
            }
            Note::NotRewritten { doubt, .. } => {
                self.not_rewritten.get_or_create(&[("reason", doubt.name())]).inc();
            }
            Note::OutOfStep { .. } => {
                self.out_of_step.inc();
            }
        }
    }

    fn conflict(&self, conflict: &Conflict) {
        let rule = conflict.rule.as_ref().map(|(id, _)| id.clone());
        if let Some(rule) = &rule {
            self.last_hits.get_or_create(&[("rule", rule.clone())]).set(now());
        }
        let labels = ConflictLabels {
            outcome: conflict.outcome.name(),
            reason: reason(conflict.outcome).unwrap_or_default(),
            strategy: strategy(conflict).unwrap_or_default(),
            rule: rule.unwrap_or_default(),
        };
        self.conflicts.get_or_create(&labels).inc();
        self.constraint(ConstraintLabels::new(conflict));
    }

    fn constraint(&self, mut labels: ConstraintLabels) {
        if let Some(counter) = self.by_constraint.get(&labels) {
            counter.inc();
            return;
        }
        let mut series = self.constraint_series.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = self.by_constraint.get(&labels).is_none();
        if is_new && *series < CONSTRAINT_SERIES {
            *series += 1;
        } else if is_new {
            labels = ConstraintLabels { outcome: labels.outcome, ..ConstraintLabels::other() };
        }
        self.by_constraint.get_or_create(&labels).inc();
    }

    /// Counts bytes that were read.
    pub(super) fn read(&self, from: Peer, bytes: usize) {
        let counter = match from {
            Peer::Client => &self.from_client,
            Peer::Server => &self.from_server,
        };
        counter.inc_by(bytes as u64);
    }

    /// Counts a client that got no session.
    pub(super) fn refused(&self, refusal: &Refusal) {
        self.refused.get_or_create(&[("reason", refusal.reason())]).inc();
    }

    /// Counts a client that did not get through the TLS handshake.
    pub(super) fn handshake_failed(&self) {
        self.handshakes_failed.inc();
    }

    /// Counts a client that has not said what it wants.
    pub(super) fn unheard(&self, why: Unheard) {
        self.unheard.get_or_create(&[("reason", why.name())]).inc();
    }

    /// The proxy is on its way to its end.
    pub(super) fn draining(&self) {
        self.draining.set(1);
    }

    /// All numbers, as Prometheus reads them.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        if prometheus_text::encode(&mut text, &self.registry).is_err() {
            // Writing to a String cannot fail, and encoding does nothing else.
            tracing::error!("the metrics could not be written");
        }
        text
    }
}

impl ConstraintLabels {
    fn other() -> Self {
        Self { constraint: OTHER.to_owned(), ..Self::default() }
    }

    fn new(conflict: &Conflict) -> Self {
        let outcome = conflict.outcome.name();
        match &conflict.constraint {
            Some(constraint) => Self {
                schema: label(&constraint.schema),
                table: label(&constraint.table),
                constraint: label(&constraint.name),
                outcome,
            },
            None => Self { outcome, ..Self::default() },
        }
    }
}

/// A name from outside: no longer than PostgreSQL's, and without what no name should hold. Quotes
/// and the like are escaped where it is written.
pub(super) fn label(name: &str) -> String {
    let clean = |it: char| if it.is_control() { char::REPLACEMENT_CHARACTER } else { it };
    let end = name.floor_char_boundary(NAME_BYTES);
    name.get(..end).unwrap_or_default().chars().map(clean).collect()
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
