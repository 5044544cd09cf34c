//! The program as its users see it from the outside: how it starts, refuses, forwards, logs and
//! stops. Where a real server does not misbehave on demand, one of the test's own stands in.

pub mod admin;
mod cancel;
mod command;
mod draining;
mod endings;
pub mod fake;
mod flow;
mod log;
mod lost_lines;
pub mod metrics;
mod numbers;
mod origins;
pub mod process;
mod protocol;
mod refusals;
mod reload;
mod service;
mod sockets;
mod status;
mod stopping;
mod upstreams;

use std::io::{Read, Write};

use crate::support::postgres::{Database, server};
use crate::support::wire::{Message, Wire, lines, query, startup, terminate};

use process::Process;

/// A proxy in front of the shared server.
pub fn proxy(rules: &str) -> Process {
    Process::start(rules, &server().address().to_string())
}

/// A session in this database, through the proxy.
pub fn session(proxy: &Process, database: &Database) -> Wire {
    Wire::connect(proxy.address(), &startup(&[("database", &database.name)]))
}

/// The one FATAL that a client is told before the end; whatever else comes is a failure.
pub fn fatal(wire: &mut Wire) -> String {
    let (messages, cut) = wire.rest();
    let text = lines(&messages);
    assert!(cut.is_empty(), "{text}then {}", cut.escape_ascii());
    assert_eq!(messages.len(), 1, "{text}");
    assert!(is_fatal(&messages[0]), "{text}");
    text
}

/// The word that a session ends with when the proxy does.
pub fn ends(wire: &mut Wire) {
    let text = fatal(wire);
    assert!(text.contains("C57P01") && text.contains("pgabsorb is stopping"), "{text}");
}

fn is_fatal(message: &Message) -> bool {
    message.tag == b'E' && message.body.starts_with(b"SFATAL\0")
}

fn has(messages: &[Message], needle: &str) -> bool {
    lines(messages).contains(needle)
}

/// A whole session on any kind of stream: all that comes back for one query.
pub fn one_query(mut stream: impl Read + Write, sql: &str) -> String {
    stream.write_all(&[startup(&[]), query(sql), terminate()].concat()).unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    reply.escape_ascii().to_string()
}
