//! The proxy's end, as sessions with TLS see it, which run as tasks and not on a relay.

use crate::shell::ends;
use crate::shell::process::Process;
use crate::support::wire::{Wire, lines, query, startup};

use super::{proxy, server_tls};

/// A proxy with two sessions: one is idle, the other has begun a transaction.
fn begun() -> (Process, Wire, Wire) {
    let proxy = proxy(&server_tls("require"));
    let session = || Wire::connect(proxy.address(), &startup(&[]));
    let (idle, mut open) = (session(), session());
    open.query("BEGIN");
    (proxy, idle, open)
}

#[test]
fn a_drain_ends_an_idle_session_at_once_and_a_busy_one_behind_its_transaction() {
    let (mut proxy, mut idle, mut open) = begun();
    proxy.signal("TERM");
    ends(&mut idle);
    assert!(lines(&open.query("SELECT 'goes on'")).contains("goes on"));
    open.send(&query("COMMIT"));
    assert!(lines(&open.until(b'Z', 1)).contains("COMMIT"));
    ends(&mut open);
    drop((idle, open));
    assert!(proxy.exit().success());
    proxy.output.wait_for(r#""event":"drained""#, 1);
}

#[test]
fn a_stop_ends_all() {
    let (mut proxy, mut idle, mut open) = begun();
    proxy.signal("INT");
    ends(&mut idle);
    ends(&mut open);
    drop((idle, open));
    assert!(proxy.exit().success());
}
