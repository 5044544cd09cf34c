//! What the end-to-end tests stand on: a server, the proxy's own binary, and a client that
//! speaks in bytes.

pub mod postgres;
pub mod proxy;
pub mod recorder;
pub mod version;
pub mod wire;

use std::thread;
use std::time::{Duration, Instant};

/// Nothing that is waited for takes this long on the slowest machine; it only turns a hang into
/// a failure.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for what nothing announces.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        thread::park_timeout(Duration::from_millis(5));
    }
}
