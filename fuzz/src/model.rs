//! The models of the integration tests: a client, a server, and the world that they are in. They are
//! the same files, so that what they say is said once.

#![allow(dead_code, reason = "the tests use all of it")]

#[path = "../../tests/it/model/client.rs"]
pub mod client;
#[path = "../../tests/it/model/server.rs"]
pub mod server;
#[path = "../../tests/it/model/sql.rs"]
pub mod sql;
#[path = "../../tests/it/model/world.rs"]
pub mod world;
