//! What both parts of SCRAM-SHA-256 have in common: the attributes of its messages, nonces, and
//! channel bindings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The mechanism without a channel binding, and the one with it.
pub(super) const PLAIN: &str = "SCRAM-SHA-256";
pub(super) const PLUS: &str = "SCRAM-SHA-256-PLUS";

/// The one kind of channel binding that PostgreSQL knows.
pub(super) const END_POINT: &str = "p=tls-server-end-point,,";

/// Random characters that are used once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce(pub(super) String);

impl Nonce {
    /// From random bytes, of which 18 are what PostgreSQL takes.
    #[must_use]
    pub fn new(random: &[u8]) -> Self {
        Self(STANDARD.encode(random))
    }
}

/// The channel that a login may be bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// A connection without TLS, or whose certificate's hash is not known: there is none.
    None,
    /// The hash of the certificate at the server's end, `tls-server-end-point` of RFC 5929.
    EndPoint(Vec<u8>),
}

/// What the client binds to, as the last message has it in base64.
pub(super) fn channel(header: &str, binding: &[u8]) -> String {
    STANDARD.encode([header.as_bytes(), binding].concat())
}

/// Takes the attribute with this letter off the front of a message.
pub(super) fn attribute<'a>(message: &mut &'a str, letter: char) -> Option<&'a str> {
    let rest = message.strip_prefix(letter)?.strip_prefix('=')?;
    let (value, rest) = rest.split_once(',').unwrap_or((rest, ""));
    *message = rest;
    Some(value)
}

/// Whether this can be a nonce: printable ASCII without a comma (RFC 5802, section 7).
pub(super) fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}
