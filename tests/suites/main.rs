//! The drivers' own tests: each suite runs straight at a server, and in each way through the proxy at
//! another one like it, and what became of each test is compared. `tests/suites/run` installs what
//! they need, and runs them; `docs/clients.md` says what came of it.

#![expect(unreachable_pub, reason = "this crate has no outside; `pub` is for the other modules")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that meets a surprise has failed, and says where"
)]

mod compare;
mod differences;
mod stage;
mod suite;
mod suites;
