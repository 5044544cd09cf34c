//! Peers that mean harm, or are broken: clients by the thousand that say nothing or say it slowly,
//! connections that are reset at any moment, lengths that cannot be, errors that are none, replies
//! that nobody asked for.
//!
//! Whatever they do, they do it to themselves: the next client is served, what they held is given
//! back, and nobody is told a success that is none.

mod bytewise;
mod errors;
mod lengths;
mod memory;
pub mod relay;
mod resets;
mod slow;
mod statuses;
mod unasked;
mod world;

use crate::shell::metrics::Numbers;
use crate::shell::process::Process;
use crate::support::wait_until;
use crate::support::wire::{Message, Wire, lines};

/// Two tables whose primary keys are listed, the second to be rewritten.
const RULES: &str = "
    admin.listen = '127.0.0.1:0'
    [[rule]]
    id = 't'
    constraint = 't_pkey'
    [[rule]]
    id = 'r'
    constraint = 'r_pkey'
    strategy = 'rewrite'
";

/// These tables, each with the row that the tests insert again.
const TABLES: &str = "
    CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (0);
    CREATE TABLE r (id int PRIMARY KEY); INSERT INTO r VALUES (0)";

/// A number of `/metrics`.
pub fn number(proxy: &Process, name: &str) -> u64 {
    Numbers::read(proxy).of(name)
}

/// Waits until no session is left, and no more descriptors are open than these.
pub fn wait_for_rest(proxy: &Process, descriptors: usize) {
    wait_until("no session is left", || number(proxy, "pgabsorb_sessions") == 0);
    // Those who are told something last are not sessions any more, and have a descriptor.
    let mut open = 0;
    wait_until("the descriptors are given back", || {
        open = proxy.descriptors();
        open <= descriptors
    });
}

/// The session absorbs: a duplicate is a success.
fn assert_absorbs(client: &mut Wire) {
    let reply = client.query("INSERT INTO t VALUES (0)");
    assert!(told(&reply, "INSERT 0 0"), "{}", lines(&reply));
}

/// Whether the reply has a CommandComplete with this tag.
pub fn told(reply: &[Message], tag: &str) -> bool {
    let is_it = |body: &[u8]| body.strip_suffix(b"\0") == Some(tag.as_bytes());
    reply.iter().any(|message| message.tag == b'C' && is_it(&message.body))
}
