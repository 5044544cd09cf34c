//! The client's part of SCRAM: a login at the server, with a password or without.

use std::fmt;
use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::scram::{Binding, END_POINT, Nonce, PLAIN, PLUS, attribute, channel};
use super::secret::{ClientKey, Key, Secret, keys, signature, stored_key};
use super::verifier::xor;

/// What a login is made with.
#[derive(Clone)]
pub enum Credential {
    /// What a client has shown, and the secret that it has shown it for.
    Key(ClientKey, Secret),
    /// The password.
    Password(Vec<u8>),
}

/// The exchange with the server.
#[derive(Debug)]
pub struct Prover {
    credential: Credential,
    /// The first message without the channel binding's flag.
    bare: String,
    nonce: String,
    channel: String,
    /// What the server has to show in the end.
    expected: Option<Key>,
}

/// Why a login cannot be made, or is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LoginError {
    /// The server stores another secret of the password: its salt or its iterations differ.
    #[error("the server has another SCRAM secret for this user than the users file")]
    OtherSecret,
    /// What the server sent is not SCRAM.
    #[error("the server sent a malformed SCRAM message")]
    Malformed,
    /// The server does not know the secret itself.
    #[error("the server could not show that it knows the SCRAM secret")]
    Impostor,
    /// The server offers no mechanism that is known.
    #[error("the server offers no SCRAM mechanism that pgabsorb knows")]
    Mechanism,
}

/// Beyond this a server's wish for more is taken for an attack: each takes some 300 nanoseconds.
const MOST_ITERATIONS: NonZeroU32 = NonZeroU32::new(100_000).unwrap();

impl Prover {
    /// Chooses among the server's mechanisms, and gives its name and the first message.
    pub fn begin(
        credential: Credential,
        binding: &Binding,
        nonce: Nonce,
        mechanisms: &[&[u8]],
    ) -> Result<(Self, &'static str, String), LoginError> {
        let offers = |name: &str| mechanisms.contains(&name.as_bytes());
        let (mechanism, header, hash) = match binding {
            Binding::EndPoint(hash) if offers(PLUS) => (PLUS, END_POINT, hash.as_slice()),
            Binding::EndPoint(_) if offers(PLAIN) => (PLAIN, "y,,", &b""[..]),
            Binding::None if offers(PLAIN) => (PLAIN, "n,,", &b""[..]),
            Binding::EndPoint(_) | Binding::None => return Err(LoginError::Mechanism),
        };
        let bare = format!("n=,r={}", nonce.0);
        let message = format!("{header}{bare}");
        let channel = channel(header, hash);
        let prover = Self { credential, bare, nonce: nonce.0, channel, expected: None };
        Ok((prover, mechanism, message))
    }

    /// Takes the server's first message, and gives the proof.
    pub fn prove(&mut self, message: &[u8]) -> Result<String, LoginError> {
        let message = std::str::from_utf8(message).map_err(|_| LoginError::Malformed)?;
        let mut rest = message;
        let nonce = attribute(&mut rest, 'r').filter(|it| it.starts_with(&self.nonce));
        let nonce = nonce.ok_or(LoginError::Malformed)?;
        let salt = attribute(&mut rest, 's').and_then(|it| STANDARD.decode(it).ok());
        let salt = salt.ok_or(LoginError::Malformed)?;
        let iterations = attribute(&mut rest, 'i').and_then(|it| it.parse::<NonZeroU32>().ok());
        let iterations = iterations.filter(|it| *it <= MOST_ITERATIONS);
        let iterations = iterations.ok_or(LoginError::Malformed)?;
        let (client_key, server_key) = match &self.credential {
            Credential::Password(password) => keys(password, &salt, iterations),
            Credential::Key(key, secret) => {
                if secret.salt != salt || secret.iterations != iterations {
                    return Err(LoginError::OtherSecret);
                }
                (*key, secret.server_key)
            }
        };
        let without_proof = format!("c={},r={nonce}", self.channel);
        let signed = format!("{},{message},{without_proof}", self.bare);
        self.expected = Some(signature(&server_key, signed.as_bytes()));
        let proof = xor(client_key.0, signature(&stored_key(&client_key), signed.as_bytes()));
        Ok(format!("{without_proof},p={}", STANDARD.encode(proof)))
    }

    /// Takes the server's last message.
    pub fn finish(self, message: &[u8]) -> Result<(), LoginError> {
        let shown = message.strip_prefix(b"v=").and_then(|it| STANDARD.decode(it).ok());
        let shown: Option<Key> = shown.and_then(|it| it.try_into().ok());
        match (shown, self.expected) {
            (Some(shown), Some(expected)) if shown == expected => Ok(()),
            _ => Err(LoginError::Impostor),
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential")
    }
}
