//! What the models stand on: messages, and what a session puts out.

#![allow(dead_code, reason = "the tests use all of it")]

#[path = "../../tests/it/support/recorder.rs"]
pub mod recorder;
#[path = "../../tests/it/support/wire.rs"]
pub mod wire;

/// For a client with a socket, of which there is none here.
pub const PATIENCE: std::time::Duration = std::time::Duration::ZERO;
