//! The server's part of SCRAM: whether a client knows the password.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::scram::{Binding, END_POINT, Nonce, PLAIN, PLUS, attribute, channel, is_nonce};
use super::secret::{ClientKey, Key, Secret, signature, stored_key};

/// The exchange with one client, from its first message on.
#[derive(Debug)]
pub struct Verifier {
    secret: Secret,
    nonce: String,
    /// Both first messages, without the channel binding's flag, as both sides sign them.
    signed: String,
    /// What the last message has to say of the channel.
    channel: String,
}

/// A client that knows the password.
#[derive(Debug)]
pub struct Verified {
    /// What logs in at a server that has the same secret.
    pub client_key: ClientKey,
    /// The last message to the client, which shows it that the secret is known.
    pub message: String,
}

/// Why a client is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// It does not know the password, or there is no such user.
    #[error("the password is wrong")]
    Password,
    /// What it sent is not SCRAM.
    #[error("malformed SCRAM message")]
    Malformed,
    /// It could have bound the login to the channel, and says that it was not asked to.
    #[error("SCRAM channel binding negotiation error")]
    Negotiation,
    /// It has bound the login to another channel.
    #[error("SCRAM channel binding check failed")]
    Channel,
}

impl Verifier {
    /// The mechanisms to offer on a channel.
    #[must_use]
    pub fn mechanisms(binding: &Binding) -> &'static [&'static [u8]] {
        const BOTH: [&[u8]; 2] = [PLUS.as_bytes(), PLAIN.as_bytes()];
        match binding {
            Binding::None => &BOTH[1..],
            Binding::EndPoint(_) => &BOTH,
        }
    }

    /// Takes the client's first message, and gives the answer.
    pub fn begin(
        secret: Secret,
        binding: &Binding,
        nonce: &Nonce,
        mechanism: &[u8],
        message: &[u8],
    ) -> Result<(Self, String), Refused> {
        let message = std::str::from_utf8(message).map_err(|_| Refused::Malformed)?;
        let (header, bare) = split_header(message).ok_or(Refused::Malformed)?;
        let channel = match (mechanism, header, binding) {
            (b"SCRAM-SHA-256-PLUS", END_POINT, Binding::EndPoint(hash)) => channel(header, hash),
            (b"SCRAM-SHA-256", "n,,", _) | (b"SCRAM-SHA-256", "y,,", Binding::None) => {
                channel(header, b"")
            }
            (b"SCRAM-SHA-256", "y,,", Binding::EndPoint(_)) => return Err(Refused::Negotiation),
            _ => return Err(Refused::Malformed),
        };
        let mut rest = bare;
        // The user is the one of the StartupMessage, whatever stands here.
        attribute(&mut rest, 'n').ok_or(Refused::Malformed)?;
        let client_nonce = attribute(&mut rest, 'r').filter(|it| is_nonce(it));
        let nonce = client_nonce.ok_or(Refused::Malformed)?.to_owned() + &nonce.0;
        let salt = STANDARD.encode(&secret.salt);
        let answer = format!("r={nonce},s={salt},i={}", secret.iterations);
        let signed = format!("{bare},{answer}");
        Ok((Self { secret, nonce, signed, channel }, answer))
    }

    /// Takes the client's last message.
    pub fn finish(self, message: &[u8]) -> Result<Verified, Refused> {
        let message = std::str::from_utf8(message).map_err(|_| Refused::Malformed)?;
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(Refused::Malformed)?;
        let proof: Key = STANDARD
            .decode(proof)
            .ok()
            .and_then(|it| it.try_into().ok())
            .ok_or(Refused::Malformed)?;
        let mut rest = without_proof;
        let channel = attribute(&mut rest, 'c').ok_or(Refused::Malformed)?;
        let nonce = attribute(&mut rest, 'r').ok_or(Refused::Malformed)?;
        if channel != self.channel {
            return Err(Refused::Channel);
        }
        if nonce != self.nonce {
            return Err(Refused::Malformed);
        }
        let signed = format!("{},{without_proof}", self.signed);
        let client_key =
            ClientKey(xor(proof, signature(&self.secret.stored_key, signed.as_bytes())));
        let shown = stored_key(&client_key);
        #[expect(
            deprecated,
            reason = "ring has no other comparison in constant time that is public"
        )]
        let same = ring::constant_time::verify_slices_are_equal(&shown, &self.secret.stored_key);
        same.map_err(|_| Refused::Password)?;
        let server = signature(&self.secret.server_key, signed.as_bytes());
        Ok(Verified { client_key, message: format!("v={}", STANDARD.encode(server)) })
    }
}

/// The flag of the channel binding with its commas, and the rest. A login on behalf of another user
/// is none that PostgreSQL knows.
fn split_header(message: &str) -> Option<(&str, &str)> {
    let end = [END_POINT, "n,,", "y,,"].into_iter().find(|it| message.starts_with(it))?.len();
    message.split_at_checked(end)
}

pub(super) fn xor(mut left: Key, right: Key) -> Key {
    left.iter_mut().zip(right).for_each(|(left, right)| *left ^= right);
    left
}

#[cfg(test)]
mod tests;
