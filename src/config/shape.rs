//! Which sections and keys there are.

use super::{Hint, Problem};

/// The keys of one section.
pub(super) struct Shape {
    /// Its key at the top of the file.
    pub(super) name: &'static str,
    /// How a person would name it.
    pub(super) label: &'static str,
    /// What is understood.
    pub(super) keys: &'static [&'static str],
}

impl Shape {
    /// What is wrong with a key of this section, if anything is.
    pub(super) fn check(&self, key: &str) -> Option<Problem> {
        if self.keys.contains(&key) {
            return None;
        }
        let hint = home(key).unwrap_or_else(|| Hint::of(key, self.keys.iter().copied()));
        Some(Problem::UnknownKey { key: key.to_owned(), section: self.label, hint })
    }
}

/// What is wrong with a key at the top of the file, if anything is.
pub(super) fn check_section(name: &str) -> Option<Problem> {
    if SECTIONS.iter().any(|it| it.name == name) {
        return None;
    }
    let known = SECTIONS.iter().map(|it| it.name);
    let hint = home(name).unwrap_or_else(|| Hint::of(name, known));
    Some(Problem::UnknownSection { name: name.to_owned(), hint })
}

/// Where a key belongs that stands in the wrong section.
fn home(key: &str) -> Option<Hint> {
    SECTIONS.iter().find(|it| it.keys.contains(&key)).map(|it| Hint::Belongs(it.label))
}

pub(super) const PROXY: Shape = Shape {
    name: "proxy",
    label: "[proxy]",
    keys: &["listen", "upstream", "target_session_attrs", "reuse_port"],
};

pub(super) const LOG: Shape =
    Shape { name: "log", label: "[log]", keys: &["format", "key_values", "file", "level"] };

pub(super) const LIMITS: Shape = Shape {
    name: "limits",
    label: "[limits]",
    keys: &[
        "connections",
        "connections_per_address",
        "logins",
        "connect_timeout",
        "startup_timeout",
        "inspect",
        "drain_delay",
        "drain_timeout",
    ],
};

pub(super) const ADMIN: Shape =
    Shape { name: "admin", label: "[admin]", keys: &["listen", "reload"] };

pub(super) const CLIENT_TLS: Shape = Shape {
    name: "client_tls",
    label: "[client_tls]",
    keys: &["mode", "certificate", "key", "ca", "client_certificate"],
};

pub(super) const SERVER_TLS: Shape = Shape {
    name: "server_tls",
    label: "[server_tls]",
    keys: &["mode", "ca", "name", "certificate", "key"],
};

pub(super) const AUTH: Shape = Shape { name: "auth", label: "[auth]", keys: &["mode", "users"] };

pub(super) const RULE: Shape = Shape {
    name: "rule",
    label: "[[rule]]",
    keys: &[
        "id",
        "constraint",
        "schema",
        "table",
        "databases",
        "users",
        "application_names",
        "action",
        "strategy",
        "on_conflict",
        "set",
        "returning",
        "affected_rows",
        "expires",
        "max_absorbed_per_minute",
        "owner",
        "reason",
        "test",
    ],
};

/// Not at the top of the file, but under a rule.
pub(super) const TEST: Shape = Shape {
    name: "test",
    label: "[[rule.test]]",
    keys: &[
        "statement",
        "expect",
        "reason",
        "inside",
        "constraint",
        "schema",
        "table",
        "database",
        "user",
        "application_name",
    ],
};

pub(super) const DEFAULTS: Shape =
    Shape { name: "defaults", label: "[defaults]", keys: &["action"] };

pub(super) const SECTIONS: [&Shape; 9] =
    [&PROXY, &CLIENT_TLS, &SERVER_TLS, &AUTH, &LOG, &LIMITS, &ADMIN, &DEFAULTS, &RULE];
