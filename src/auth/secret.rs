//! What is known of a password, and what a login shows of it.

use std::fmt;
use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};

/// Iterations of what PostgreSQL derives, unless `scram_iterations` says otherwise.
pub(super) const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).unwrap();

/// Bytes of a salt, as PostgreSQL makes it.
pub(super) const SALT: usize = 16;

/// A key of SCRAM-SHA-256.
pub(super) type Key = [u8; digest::SHA256_OUTPUT_LEN];

/// What PostgreSQL stores of a password in `pg_authid`: nobody can log in with it, and whoever can
/// is known by it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    pub(super) salt: Vec<u8>,
    pub(super) iterations: NonZeroU32,
    pub(super) stored_key: Key,
    pub(super) server_key: Key,
}

/// What a client has shown of its password by logging in: who has it can log in with that secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClientKey(pub(super) Key);

/// Makes up secrets for users that there are none of, so that nobody learns which there are.
#[derive(Clone)]
pub struct Mock(hmac::Key);

impl Secret {
    /// Reads `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("SCRAM-SHA-256$")?;
        let (cost, keys) = rest.split_once('$')?;
        let (iterations, salt) = cost.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        Some(Self {
            salt: STANDARD.decode(salt).ok().filter(|salt| !salt.is_empty())?,
            iterations: iterations.parse().ok()?,
            stored_key: key(stored_key)?,
            server_key: key(server_key)?,
        })
    }

    /// What PostgreSQL would store of a password with this salt.
    #[must_use]
    pub fn derive(password: &[u8], salt: &[u8]) -> Self {
        let (client_key, server_key) = keys(password, salt, ITERATIONS);
        let stored_key = stored_key(&client_key);
        Self { salt: salt.to_vec(), iterations: ITERATIONS, stored_key, server_key }
    }
}

impl Mock {
    /// From random bytes, which make the same user's salt the same at each login.
    #[must_use]
    pub fn new(random: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, random))
    }

    /// A secret that no password has, but by a chance that nobody lives to see.
    #[must_use]
    pub fn secret(&self, user: &[u8]) -> Secret {
        let of = |what: &[u8]| sign(&self.0, &[what, user].concat());
        let salt = of(b"salt:").into_iter().take(SALT).collect();
        let (stored_key, server_key) = (of(b"stored:"), of(b"server:"));
        Secret { salt, iterations: ITERATIONS, stored_key, server_key }
    }
}

/// `ClientKey` and `ServerKey` of RFC 5802, section 3.
pub(super) fn keys(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> (ClientKey, Key) {
    let mut salted = Key::default();
    let password = prepared(password);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, &password, &mut salted);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    (ClientKey(sign(&key, b"Client Key")), sign(&key, b"Server Key"))
}

/// `StoredKey` of RFC 5802, section 3.
pub(super) fn stored_key(client_key: &ClientKey) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(digest::digest(&digest::SHA256, &client_key.0).as_ref());
    key
}

/// The signature of a message by a key of SCRAM's.
pub(super) fn signature(key: &Key, message: &[u8]) -> Key {
    sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message)
}

fn sign(key: &hmac::Key, message: &[u8]) -> Key {
    let mut signature = Key::default();
    signature.copy_from_slice(hmac::sign(key, message).as_ref());
    signature
}

fn key(text: &str) -> Option<Key> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// A password by SASLprep, or as it is where that does not apply, as PostgreSQL has it.
fn prepared(password: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(password).ok();
    let prepared = text.and_then(|text| stringprep::saslprep(text).ok());
    prepared.map_or_else(|| password.to_vec(), |text| text.as_bytes().to_vec())
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKey")
    }
}

impl fmt::Debug for Mock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As PostgreSQL 15 has stored `sécret`.
    const STORED: &str = "SCRAM-SHA-256$4096:gQGmT3ApIIcQCi91mWMwTw==$Xw/XTqKKW5jQTrVRlAE341TJ+VroBnemkhC6RdCK8O4=:JQYYyKV+ThPvut70dms2QE6PdXI4VxnsIgKZ/0hPqkg=";

    #[test]
    fn what_the_server_stores_is_read() {
        let secret = Secret::parse(STORED).unwrap();
        assert_eq!((secret.salt.len(), secret.iterations), (SALT, ITERATIONS));
        assert_eq!(Secret::derive("sécret".as_bytes(), &secret.salt), secret);
        // SASLprep makes one letter of the two.
        assert_eq!(Secret::derive("se\u{301}cret".as_bytes(), &secret.salt), secret);
        assert_ne!(Secret::derive(b"secret", &secret.salt), secret);
        for wrong in [
            "",
            "secret",
            "md5b9d11b3be25f5a1a7dc8ca04cd310b28",
            "SCRAM-SHA-256$0:gQGmT3ApIIcQCi91mWMwTw==$Xw/XTqKKW5jQTrVRlAE341TJ+VroBnemkhC6RdCK8O4=:JQYYyKV+ThPvut70dms2QE6PdXI4VxnsIgKZ/0hPqkg=",
            "SCRAM-SHA-256$4096:$Xw/XTqKKW5jQTrVRlAE341TJ+VroBnemkhC6RdCK8O4=:JQYYyKV+ThPvut70dms2QE6PdXI4VxnsIgKZ/0hPqkg=",
            "SCRAM-SHA-256$4096:gQGmT3ApIIcQCi91mWMwTw==$Xw/XTqKK:JQYYyKV+ThPvut70dms2QE6PdXI4VxnsIgKZ/0hPqkg=",
            "SCRAM-SHA-1$4096:gQGmT3ApIIcQCi91mWMwTw==$Xw/XTqKKW5jQTrVRlAE341TJ+VroBnemkhC6RdCK8O4=:JQYYyKV+ThPvut70dms2QE6PdXI4VxnsIgKZ/0hPqkg=",
        ] {
            assert_eq!(Secret::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_same_user_is_always_mocked_alike_and_no_two_are() {
        let mock = Mock::new(b"random");
        assert_eq!(mock.secret(b"a"), mock.secret(b"a"));
        assert_ne!(mock.secret(b"a"), mock.secret(b"b"));
        assert_ne!(mock.secret(b"a"), Mock::new(b"other").secret(b"a"));
    }

    #[test]
    fn nothing_shows_a_secret() {
        let secret = Secret::derive(b"pencil", b"salt");
        let (key, _) = keys(b"pencil", b"salt", ITERATIONS);
        let shown = format!("{secret:?} {key:?} {:?}", Mock::new(b"random"));
        assert_eq!(shown, "Secret ClientKey Mock");
    }
}
