//! Everything that is tested from the outside, in one binary.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that meets a surprise has failed, and says where"
)]

// The server, the proxy and the raw client that the modules below use.
mod support;

// The server starts, accepts connections, and leaves nothing behind.
mod throwaway;
