//! The first packet of a connection, which has a length but no tag.

use std::ops::RangeInclusive;

use super::{take_i32, take_str};

/// The lengths, counting themselves, that the server accepts for a startup packet: see
/// `ProcessStartupPacket`, `MAX_STARTUP_PACKET_LENGTH` being 10000 beyond the length word.
pub const LENGTHS: RangeInclusive<i32> = 8..=10_004;

/// An SSLRequest, whole.
pub const SSL_REQUEST_PACKET: &[u8] = &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

const SSL_REQUEST: i32 = 80_877_103;
const GSSENC_REQUEST: i32 = 80_877_104;
const CANCEL_REQUEST: i32 = 80_877_102;

/// What a client asks for when it connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartupPacket {
    /// May we speak TLS? One byte answers.
    SslRequest,
    /// May we speak GSSAPI encryption? One byte answers.
    GssEncRequest,
    /// Cancel the query of another connection; nothing is answered.
    Cancel,
    /// Begin a session.
    Startup(StartupParameters),
}

/// What a StartupMessage says, as far as the proxy needs it; the packet itself goes on verbatim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartupParameters {
    /// The protocol's version: 3.0 is `0x0003_0000`.
    pub version: i32,
    /// The user's name, in an encoding that only the client and the server know.
    pub user: Vec<u8>,
    /// The database's name; the user's, where the client names none.
    pub database: Vec<u8>,
    /// Whether this is a replication connection, physical or logical.
    pub replication: bool,
}

impl StartupPacket {
    /// Reads a packet without its length word.
    ///
    /// `None` when it is too short to say what it is; a startup whose parameters are malformed is
    /// still a startup, and the server will refuse it.
    #[must_use]
    pub fn read(mut body: &[u8]) -> Option<Self> {
        Some(match take_i32(&mut body)? {
            SSL_REQUEST => Self::SslRequest,
            GSSENC_REQUEST => Self::GssEncRequest,
            CANCEL_REQUEST => Self::Cancel,
            version => Self::Startup(StartupParameters::read(version, body)),
        })
    }
}

impl StartupParameters {
    /// Whether the messages that follow are those of protocol 3, in any minor version.
    #[must_use]
    pub fn is_protocol_3(&self) -> bool {
        self.version >> 16 == 3
    }

    fn read(version: i32, mut body: &[u8]) -> Self {
        let mut read = Self { version, ..Self::default() };
        let mut database = None;
        while let Some(name) = take_str(&mut body).filter(|name| !name.is_empty()) {
            let Some(value) = take_str(&mut body) else { break };
            match name {
                b"user" => read.user = value.to_vec(),
                b"database" => database = Some(value.to_vec()),
                b"replication" => read.replication = !is_false(value),
                _ => {}
            }
        }
        read.database =
            database.filter(|name| !name.is_empty()).unwrap_or_else(|| read.user.clone());
        read
    }
}

/// The spellings of `false` that `parse_bool` takes, whole or cut short; any other value of
/// `replication` is a replication connection or is refused.
fn is_false(value: &[u8]) -> bool {
    let value = value.to_ascii_lowercase();
    let starts = |whole: &[u8], least: usize| value.len() >= least && whole.starts_with(&value);
    value == b"0" || starts(b"false", 1) || starts(b"no", 1) || starts(b"off", 2)
}

#[cfg(test)]
mod tests;
