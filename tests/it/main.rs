//! Everything that is tested from the outside, in one binary.

#![expect(unreachable_pub, reason = "this crate has no outside; `pub` is for the other modules")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that meets a surprise has failed, and says where"
)]

// The server, the proxy and the raw client that the modules below use.
mod support;

// The laws of the house that no compiler knows.
mod tidy;

// The server starts, accepts connections, and leaves nothing behind.
mod throwaway;

// What the session does with each message, and what a real server says to it.
mod transcripts;

// Random and exhaustive sessions of models: nothing that was acknowledged is lost.
mod model;

// A clause lands where a real server takes it for the INSERT's own.
mod splice;

// A proxy without rules changes not a byte.
mod oracle;

// Random sessions: what a client sees is what a careful author's ON CONFLICT gives.
mod differential;

// Whatever goes wrong, and at whichever message, what a client is told is so.
mod faults;

// Many clients insert the same keys at once, and each key is stored once.
mod crowd;

// A long transaction of guarded INSERTs holds as few locks as any other.
mod locks;

// A pipeline of very many INSERTs goes through, and keeps its good rows.
mod bulk;

// Peers that mean harm, or are broken: they harm themselves alone.
mod hostile;

// Hours of work, mishaps and all: nothing is lost, and nothing grows.
mod soak;

// The program itself: its sockets, limits, signals, log and command line.
mod shell;

// Encryption on either leg or both: who may log in, and what an attacker comes to.
mod tls;

// What is said of rules against a database is so.
mod check;

// What is said of a statement is what the proxy does with it.
mod explain;

// The comparison of proxies judges what it has measured rightly, and fills its page.
mod compare;

// Editors complete and check the rules file by its schema.
mod schema;

// Suggested rules are valid, and list what they say.
mod suggest;

// Real drivers see listed duplicates succeed, and everything else as it is.
mod drivers;

// PgBouncer in front of the proxy, and behind it.
mod pooler;

// Units and manifests fit the program.
mod packaging;

// The documentation does what it says.
mod docs;

// The demo does what it says, and leaves nothing behind.
mod demo;
