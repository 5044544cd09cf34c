//! What the end-to-end tests stand on: a server, the proxy's own binary, and a client that
//! speaks in bytes.

pub mod postgres;
pub mod proxy;
pub mod wire;

use std::time::Duration;

/// Nothing that is waited for takes this long on the slowest machine; it only turns a hang into
/// a failure.
pub const PATIENCE: Duration = Duration::from_secs(30);
