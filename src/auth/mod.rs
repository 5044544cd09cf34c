//! The auth room: who a client is, made sure of by the proxy itself, and how the server is told.
//!
//! SCRAM cannot be passed on between two TLS connections (see [`crate::session::login`]), so there
//! the proxy plays both parts of it: the server's towards the client, with what PostgreSQL would
//! store of the password, and the client's towards the server, with the client key that a
//! successful login has shown (RFC 5802, section 3). The password itself is needed nowhere.
//!
//! It knows no sockets, files or random numbers: bytes come in, bytes go out. Nothing here shows a
//! secret: neither an error nor a debug print.

mod prover;
mod scram;
mod secret;
mod userlist;
mod verifier;

pub use prover::{Credential, LoginError, Prover};
pub use scram::{Binding, Nonce};
pub use secret::{ClientKey, Mock, Secret};
pub use userlist::{Account, UserlistError, Users};
pub use verifier::{Refused, Verified, Verifier};
