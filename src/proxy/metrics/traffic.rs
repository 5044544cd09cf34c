//! What passes through the sessions, counted and timed.

use std::time::Duration;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::session::tally::{Message, OwnCommand, RedoResult, Treatment, Wait};

use super::Label;
use super::spread::Spread;

/// The numbers of messages, of what the proxy sends of its own, and of times.
#[derive(Debug)]
pub(in crate::proxy) struct Traffic {
    /// One for each event, at its place.
    events: Vec<Spread>,
    errors: Box<[(&'static str, Spread)]>,
    awake: Histogram,
    waits: Box<[Histogram]>,
}

impl Traffic {
    /// Everything at 0, and registered.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let messages = counters(
            registry,
            ("messages", "Messages of clients, after the startup packet"),
            ("kind", Message::NAMES),
        );
        let inserts = counters(
            registry,
            ("inserts", "INSERTs that a rule may concern, as they were sent"),
            ("treatment", Treatment::NAMES),
        );
        let commands = counters(
            registry,
            ("own_commands", "Commands of the proxy's own that were sent"),
            ("kind", OwnCommand::NAMES),
        );
        let redos = counters(
            registry,
            ("redos", "Statements that were run again with ON CONFLICT"),
            ("result", RedoResult::NAMES),
        );
        let errors = counters(
            registry,
            ("server_errors", "Errors of the server's, absorbed ones and the proxy's own included"),
            ("class", &CLASSES),
        );
        let errors = CLASSES.into_iter().zip(errors).collect();
        let (awake, waits) = times(registry);
        let events = [messages, inserts, commands, redos].concat();
        Self { events, errors, awake, waits }
    }

    /// Counts what a session has counted, by the event's place.
    pub(in crate::proxy) fn count(&self, place: usize, count: u32) {
        if let Some(counter) = self.events.get(place) {
            counter.inc_by(count.into());
        }
    }

    /// Counts errors by the first two characters of their SQLSTATE.
    pub(in crate::proxy) fn errors(&self, class: [u8; 2], count: u32) {
        let known = self.errors.iter().find(|(name, _)| name.as_bytes() == class);
        if let Some((_, counter)) = known.or_else(|| self.errors.last()) {
            counter.inc_by(count.into());
        }
    }

    /// A turn of a session took so long.
    pub(in crate::proxy) fn was_awake(&self, time: Duration) {
        self.awake.observe(time.as_secs_f64());
    }

    /// A client has waited so long.
    pub(in crate::proxy) fn waited(&self, wait: Wait, time: Duration) {
        if let Some(histogram) = self.waits.get(wait as usize) {
            histogram.observe(time.as_secs_f64());
        }
    }
}

/// How long turns, and waits of each kind, take.
fn times(registry: &mut Registry) -> (Histogram, Box<[Histogram]>) {
    let awake = Histogram::new(AWAKE);
    registry.register_with_unit(
        "turn",
        "From reading to having written what came of it, in one of 16 turns of a session",
        Unit::Seconds,
        awake.clone(),
    );
    let waits = Family::<Label, Histogram, fn() -> Histogram>::new_with_constructor(|| {
        Histogram::new(WAITS)
    });
    registry.register_with_unit(
        "own_round_trip",
        "How long clients waited for what the proxy sent of its own, or held back",
        Unit::Seconds,
        waits.clone(),
    );
    let wait = |name: &&'static str| waits.get_or_create_owned(&[("kind", *name)]);
    (awake, Wait::NAMES.iter().map(wait).collect())
}

/// A counter for each value of one label, in their order.
fn counters(
    registry: &mut Registry,
    (name, help): (&str, &str),
    (label, values): (&'static str, &[&'static str]),
) -> Vec<Spread> {
    let family = Family::<Label, Spread>::default();
    registry.register(name, help, family.clone());
    values.iter().map(|&value| family.get_or_create_owned(&[(label, value)])).collect()
}

/// Seconds that a turn may take: mostly two system calls.
const AWAKE: [f64; 11] = [5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 0.1];

/// Seconds that a round trip may take, and a statement that runs again.
const WAITS: [f64; 12] = [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 5e-2, 0.25, 1.0, 5.0, 30.0];

/// The classes of SQLSTATE in the manual's [Appendix
/// A](https://www.postgresql.org/docs/current/errcodes-appendix.html), and what stands for all
/// others.
const CLASSES: [&str; 44] = [
    "00", "01", "02", "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21", "22",
    "23", "24", "25", "26", "27", "28", "2B", "2D", "2F", "34", "38", "39", "3B", "3D", "3F", "40",
    "42", "44", "53", "54", "55", "57", "58", "72", "F0", "HV", "XX", "other",
];
