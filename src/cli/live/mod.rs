//! What the commands that look at a database share: what it has, and what a session would do there.
//!
//! All of it reads only, in one transaction that is rolled back.

mod advice;
pub(super) mod assumed;
pub(super) mod finding;
pub(super) mod hall;
pub(super) mod inventory;
pub(super) mod rehearsal;
pub(super) mod sequences;
pub(super) mod server;
mod statement;
pub(super) mod table;
pub(super) mod verdict;
mod words;
