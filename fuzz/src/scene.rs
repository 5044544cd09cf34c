//! What an input of the target `session` says: the rules, what is known when the session begins,
//! and what comes from either side.
//!
//! An input is a few bytes that choose, then events. Most events are messages with a right length,
//! and many of those are ready-made, so that not every change of a byte makes the rest nonsense.

use std::sync::{Arc, LazyLock};

use crate::messages::{FROM_CLIENT, FROM_SERVER};
use crate::model::world::known;
use crate::support::wire::message;
use pgabsorb::config::{self, Overrides};
use pgabsorb::rules::{Origin, Ruleset};
use pgabsorb::session::Setup;
use pgabsorb::session::catalog::{Catalog, SharedCatalog};
use pgabsorb::session::login::ChannelBinding;
use pgabsorb::wire::target::TargetSessionAttrs;

/// Something that happens to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Bytes come from the client.
    Client(Vec<u8>),
    /// Bytes come from the server.
    Server(Vec<u8>),
    /// The rules are read anew.
    Reload,
}

/// What an input says.
#[derive(Clone, Debug)]
pub struct Scene {
    rules: usize,
    known: bool,
    inspect: usize,
    /// Whether a login can be bound to the channel.
    pub channel_binding: ChannelBinding,
    /// How many bytes come at once where they are cut.
    pub piece: usize,
    /// What happens, in order.
    pub events: Vec<Event>,
}

impl Scene {
    /// Reads an input, if it is not too short.
    #[must_use]
    pub fn read(data: &[u8]) -> Option<Self> {
        let (&[rules, known, piece], mut rest) = data.split_first_chunk()?;
        let channel_binding = match known >> 6 {
            0 | 1 => ChannelBinding::Passes,
            2 => ChannelBinding::Withheld,
            _ => ChannelBinding::Refused,
        };
        let mut events = Vec::new();
        if known & 2 == 0 {
            let version = if known & 4 == 0 { "15.18" } else { "19.1" };
            events.push(Event::Server(greeting(version)));
        }
        while let Some(event) = event(&mut rest) {
            events.push(event);
        }
        Some(Self {
            rules: usize::from(rules) % RULES.len(),
            known: known & 1 == 0,
            inspect: if known & 8 == 0 { 4096 } else { 0 },
            channel_binding,
            piece: usize::from(piece).max(1),
            events,
        })
    }

    /// What a session begins with.
    #[must_use]
    pub fn setup(&self) -> Setup {
        Setup {
            origin: Origin { database: "d".into(), user: "u".into(), ..Origin::default() },
            rules: self.rules(),
            catalog: self.catalog(),
            inspect: self.inspect,
            memory: 1 << 24,
            channel_binding: self.channel_binding,
            target: TargetSessionAttrs::Any,
        }
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> Arc<Ruleset> {
        Arc::clone(&RULESETS[self.rules])
    }

    /// What is known of the tables.
    #[must_use]
    pub fn catalog(&self) -> Arc<SharedCatalog> {
        let catalog = SharedCatalog::default();
        if self.known {
            catalog
                .store(INDEXES.iter().map(|(table, name)| known(table, name)).collect::<Catalog>());
        }
        Arc::new(catalog)
    }

    /// Whether no rule can concern anything, so that every byte passes.
    #[must_use]
    pub fn concerns_nothing(&self) -> bool {
        let lists_nothing = RULES[self.rules].is_empty() || self.known && self.rules == IDLE;
        lists_nothing && self.channel_binding == ChannelBinding::Passes
    }
}

/// The next event: a byte that says what it is, and what it is about.
fn event(rest: &mut &[u8]) -> Option<Event> {
    let kind = byte(rest)?;
    Some(match kind & 0x0f {
        0..=3 => Event::Client(canned(FROM_CLIENT, byte(rest)?)),
        4..=7 => Event::Server(canned(FROM_SERVER, byte(rest)?)),
        8 | 9 => Event::Client(written(rest)?),
        10 | 11 => Event::Server(written(rest)?),
        12 => Event::Client(some(rest, kind >> 4)?),
        13 => Event::Server(some(rest, kind >> 4)?),
        14 => Event::Reload,
        _ => {
            // Several ready-made messages of the client's in one piece.
            let count = usize::from(kind >> 4);
            let bytes = rest.get(..count)?;
            *rest = &rest[count..];
            Event::Client(bytes.iter().flat_map(|number| canned(FROM_CLIENT, *number)).collect())
        }
    })
}

/// What a server says until it is ready.
fn greeting(version: &str) -> Vec<u8> {
    let parameters = [
        ("client_encoding", "UTF8"),
        ("standard_conforming_strings", "on"),
        ("server_version", version),
    ];
    let said =
        parameters.map(|(name, value)| message(b'S', format!("{name}\0{value}\0").as_bytes()));
    [said.concat(), message(b'Z', b"I")].concat()
}

fn canned(table: &[(u8, &[u8])], number: u8) -> Vec<u8> {
    let (tag, body) = table[usize::from(number) % table.len()];
    message(tag, body)
}

/// A tag, two bytes of length, and the body.
fn written(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let (&[tag, high, low], behind) = rest.split_first_chunk()?;
    let body = behind.get(..usize::from(u16::from_be_bytes([high, low])))?;
    *rest = &behind[body.len()..];
    Some(message(tag, body))
}

/// Bytes that need not be a message.
fn some(rest: &mut &[u8], count: u8) -> Option<Vec<u8>> {
    let bytes = rest.get(..=usize::from(count))?;
    *rest = &rest[bytes.len()..];
    Some(bytes.to_vec())
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    let (first, behind) = rest.split_first()?;
    *rest = behind;
    Some(*first)
}

/// What is known, where anything is.
const INDEXES: &[(&str, &str)] = &[("t", "t_pkey"), ("u", "u_key")];

/// The place in [`RULES`] of a rule that lists what is not there.
const IDLE: usize = 1;

/// The rules that there may be, as a rules file has them.
pub const RULES: &[&str] = &[
    "",
    "constraint = 'nothing_pkey'",
    "constraint = 't_pkey'",
    "constraint = 't_pkey'\nstrategy = 'rewrite'",
    "constraint = '*_*key'",
    "constraint = '*_*key'\nstrategy = 'rewrite'",
    "constraint = 't_pkey'\nreturning = 'existing'",
    "constraint = 't_pkey'\nreturning = 'error'",
    "constraint = 't_pkey'\naffected_rows = 'requested'",
    "constraint = 't_pkey'\non_conflict = 'update'\nset = '*'",
    "constraint = 't_pkey'\non_conflict = 'update'\nset = ['v']",
    "constraint = 't_pkey'\naction = 'observe'",
    "constraint = 't_pkey'\naction = 'alert'",
    "constraint = 't_pkey'\nstrategy = 'rewrite'\nreturning = 'existing'",
    "constraint = 't_pkey'\nstrategy = 'rewrite'\naffected_rows = 'requested'",
    "constraint = 't_pkey'\nstrategy = 'rewrite'\non_conflict = 'update'\nset = ['v']",
    "constraint = 't_pkey'\nstrategy = 'rewrite'\napplication_names = ['loader']",
];

static RULESETS: LazyLock<Vec<Arc<Ruleset>>> = LazyLock::new(|| {
    let text = |rule: &str| {
        let head = "[proxy]\nupstream = 'localhost:1'\n";
        if rule.is_empty() { head.to_owned() } else { format!("{head}[[rule]]\nid = 'r'\n{rule}") }
    };
    let parse = |rule: &&str| config::parse(&text(rule), &Overrides::default());
    RULES.iter().map(|rule| Arc::new(parse(rule).expect(rule).rules)).collect()
});
