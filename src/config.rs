//! The text of `rules.toml` becomes [`Settings`] and a [`Ruleset`], or a list of every mistake.
//!
//! Knows what keys there are, their defaults and their limits. Knows nothing of files, sockets or
//! clocks: text comes in, values go out, so a reload parses the same way as a start. The table of
//! the text is walked by hand, with positions, since a derived deserializer stops at the first
//! mistake.

mod address;
mod mistake;
mod reader;
mod rule;
mod rule_test;
mod sections;
mod shape;
mod tls;
mod value;

use std::{path::PathBuf, time::Duration};

use toml::de::DeTable;

pub use address::{Address, AddressError};
pub use mistake::{Hint, InFile, Mistake, Mistakes, Problem, Reason};

pub use rule_test::{Expect, Inside, RuleTest};
pub use tls::{ClientCertificates, ClientTls, Identity, Roots, ServerMode, ServerTls};

use crate::rules::Ruleset;
use crate::wire::target::TargetSessionAttrs;
use mistake::Lines;
use reader::Reader;

/// Reads the text of a rules file; what the command line says takes the place of what the file
/// says.
pub fn parse(text: &str, overrides: &Overrides) -> Result<Config, Mistakes> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = Lines::new(text);
    let root = match DeTable::parse(text) {
        Ok(root) => root.into_inner(),
        Err(error) => return Err(mistake::syntax(&error, &lines)),
    };

    let mut reader = Reader::new(&lines);
    let settings = sections::read(&root, overrides, &mut reader);
    let (rules, tests) = rule::read(&root, &mut reader);
    let mistakes = reader.finish();
    match settings {
        Some(settings) if mistakes.is_empty() => Ok(Config { settings, rules, tests }),
        _ => Err(mistakes),
    }
}

/// All that a rules file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How the proxy runs.
    pub settings: Settings,
    /// What it absorbs.
    pub rules: Ruleset,
    /// What is expected of the rules.
    pub tests: Vec<RuleTest>,
}

/// What the command line or the environment says instead of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// In place of `[proxy] listen`, unless empty.
    pub listen: Vec<Address>,
    /// In place of `[proxy] upstream`, unless empty.
    pub upstream: Vec<Address>,
}

/// How the proxy runs: everything in the file besides the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where clients connect; never empty, no address twice.
    pub listen: Vec<Address>,
    /// Whether other processes may listen in the same places, and share the clients.
    pub reuse_port: bool,
    /// The servers, in the order in which they are tried; never empty, no address twice.
    pub upstream: Vec<Address>,
    /// What a server has to be.
    pub target_session_attrs: TargetSessionAttrs,
    /// Encryption between clients and the proxy, if there may be any.
    pub client_tls: Option<ClientTls>,
    /// Encryption between the proxy and the server, if there may be any.
    pub server_tls: Option<ServerTls>,
    /// The file with the users whom the proxy makes sure of; none where the server does.
    pub users: Option<PathBuf>,
    /// What is logged, where, and in which form.
    pub log: Log,
    /// What is too much.
    pub limits: Limits,
    /// Where metrics and health are told, if anywhere.
    pub admin: Option<Admin>,
}

/// `[admin]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// A loopback address or a Unix socket.
    pub listen: Address,
    /// Whether a reload may be asked for there.
    pub reload: bool,
}

/// `[log]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// JSON or text.
    pub format: LogFormat,
    /// What is told of a duplicate key's values.
    pub key_values: KeyValues,
    /// The file that is appended to; standard output if absent.
    pub file: Option<PathBuf>,
    /// The least important level that is still logged.
    pub level: LogLevel,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object on each line, for machines.
    #[default]
    Json,
    /// One line of text, for people.
    Text,
}

/// What the log tells of a duplicate key's values, which are personal data more often than not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyValues {
    /// Nothing.
    #[default]
    Hide,
    /// A keyed hash: whether two are the same, and no more.
    Hash,
    /// The values.
    Show,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Broken promises, and rules that alert.
    Error,
    /// What someone should look at.
    Warn,
    /// Every duplicate key, start, stop and reload.
    #[default]
    Info,
    /// Every session too.
    Debug,
    /// Every message too.
    Trace,
}

impl LogLevel {
    /// The word for it in the rules file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// `[limits]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many clients at once.
    pub connections: usize,
    /// How many of them from one IP address, if that is limited.
    pub connections_per_address: Option<usize>,
    /// How many clients at once that are not logged in.
    pub logins: usize,
    /// How long reaching the server may take.
    pub connect_timeout: Duration,
    /// How long a client may take until it is logged in, as the server's `authentication_timeout`.
    pub startup_timeout: Duration,
    /// The longest message, in bytes, that is looked at; longer ones pass unseen.
    pub inspect: usize,
    /// How long clients may still come when the proxy is to drain, and is not ready any more.
    pub drain_delay: Duration,
    /// How long sessions may take to come to the end of their transactions after that.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1000,
            connections_per_address: None,
            logins: 1000,
            connect_timeout: Duration::from_secs(10),
            startup_timeout: Duration::from_mins(1),
            inspect: 1 << 20,
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(30),
        }
    }
}

#[cfg(test)]
mod tests;
