//! The login where the proxy makes sure of the client by itself, and then of the server, by SCRAM:
//! linear, from the StartupMessage that the server has got to the last word of either login.
//!
//! The server is asked first, so that a client hears of what the server would not let it in for in
//! the server's own words, and in its order.

use std::io;

use bytes::Bytes;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::auth::{Account, Binding, ClientKey, Credential, LoginError, Nonce, Prover};
use crate::auth::{Refused, Users, Verified, Verifier};
use crate::wire::backend::{self, authentication};
use crate::wire::{build, frontend};

use super::refusal::Refusal;
use super::socket::Socket;
use super::tls;

/// Both legs of a session whose client is not logged in.
pub(super) struct Login<'a> {
    pub(super) client: &'a mut Socket,
    pub(super) server: &'a mut Socket,
    /// The name in the StartupMessage, as far as the server reads it.
    pub(super) user: &'a [u8],
    /// What the client may bind to: the proxy's own certificate.
    pub(super) clients_end: Binding,
}

/// Why there is no session.
#[derive(Debug)]
pub(super) enum Failed {
    /// The client has been told by the server.
    Told,
    /// The client is to be told.
    Refused(Refusal),
    /// The client is gone.
    Client(io::Error),
}

/// Longest answer of a client, as the server's `PG_MAX_AUTH_TOKEN_LENGTH`.
const LONGEST_ANSWER: usize = 65_535;

/// Longest message of a server ahead of its sessions: a list of mechanisms, an error.
const LONGEST_REQUEST: usize = 1 << 20;

/// Random bytes of a nonce, as PostgreSQL takes.
const NONCE: usize = 18;

impl Login<'_> {
    /// Both logins. What the server sends behind them is still to be read.
    pub(super) async fn run(mut self, users: &Users) -> Result<(), Failed> {
        let request = self.request().await?;
        let account = users.account(self.user);
        let verified = self.verify(&account).await?;
        self.prove(request, account, verified.client_key).await?;
        let last = build::authentication(authentication::SASL_FINAL, verified.message.as_bytes());
        let done = build::authentication(authentication::OK, b"");
        self.tell(&[last, done].concat()).await
    }

    /// What the server asks of whoever logs in.
    async fn request(&mut self) -> Result<(i32, Vec<u8>), Failed> {
        loop {
            let (tag, body) =
                read(self.server, LONGEST_REQUEST).await.map_err(Refusal::ServerLost)?;
            match (tag, backend::authentication_request(&body)) {
                (b'R', Some((code, rest))) => return Ok((code, rest.to_vec())),
                (b'E', _) => {
                    self.tell(&build::message(tag, &body)).await?;
                    return Err(Failed::Told);
                }
                // The version that it speaks, and notices.
                (b'v' | b'N', _) => self.tell(&build::message(tag, &body)).await?,
                _ => return Err(Refusal::Login(LoginError::Malformed).into()),
            }
        }
    }

    /// Makes sure of the client.
    async fn verify(&mut self, account: &Account) -> Result<Verified, Failed> {
        let mechanisms = Verifier::mechanisms(&self.clients_end);
        self.tell(&build::sasl_mechanisms(mechanisms)).await?;
        let answer = self.answer().await?;
        let (mechanism, message) = frontend::sasl_initial_response(&answer)
            .ok_or_else(|| self.refused(Refused::Malformed))?;
        let message = message.ok_or_else(|| self.refused(Refused::Malformed))?;
        let (secret, binding, nonce) = (account.secret.clone(), &self.clients_end, nonce()?);
        let begun = Verifier::begin(secret, binding, &nonce, mechanism, message);
        let (verifier, message) = begun.map_err(|why| self.refused(why))?;
        let code = authentication::SASL_CONTINUE;
        self.tell(&build::authentication(code, message.as_bytes())).await?;
        let proof = self.answer().await?;
        verifier.finish(&proof).map_err(|why| self.refused(why))
    }

    /// Logs in at the server as the client.
    async fn prove(
        &mut self,
        (code, rest): (i32, Vec<u8>),
        account: Account,
        client_key: ClientKey,
    ) -> Result<(), Failed> {
        match (code, account.password) {
            (authentication::OK, _) => return Ok(()),
            (authentication::SASL, password) => {
                let credential = match password {
                    Some(password) => Credential::Password(password),
                    None => Credential::Key(client_key, account.secret),
                };
                self.prove_by_scram(&rest, credential).await?;
            }
            (authentication::CLEARTEXT_PASSWORD, Some(password)) => {
                self.send(&build::password(&[&password, &b"\0"[..]].concat())).await?;
            }
            (authentication::MD5_PASSWORD, Some(password)) => {
                let salt = rest.first_chunk().ok_or(Refusal::Login(LoginError::Malformed))?;
                let hash = postgres_protocol::authentication::md5_hash(self.user, &password, *salt);
                self.send(&build::password(&[hash.as_bytes(), &b"\0"[..]].concat())).await?;
            }
            (authentication::CLEARTEXT_PASSWORD | authentication::MD5_PASSWORD, None) => {
                return Err(Refusal::NeedsPassword.into());
            }
            (code, _) => return Err(Refusal::Method(code).into()),
        }
        match self.request().await? {
            (authentication::OK, _) => Ok(()),
            _ => Err(Refusal::Login(LoginError::Malformed).into()),
        }
    }

    async fn prove_by_scram(&mut self, offer: &[u8], credential: Credential) -> Result<(), Failed> {
        let list = [&authentication::SASL.to_be_bytes(), offer].concat();
        let mechanisms = backend::sasl_mechanisms(&list).unwrap_or_default();
        let binding = self.server.peer_certificate().map_or(Binding::None, tls::end_point);
        let begun = Prover::begin(credential, &binding, nonce()?, &mechanisms);
        let (mut prover, mechanism, message) = begun.map_err(Refusal::Login)?;
        self.send(&build::sasl_initial_response(mechanism, message.as_bytes())).await?;
        let challenge = self.expect(authentication::SASL_CONTINUE).await?;
        let proof = prover.prove(&challenge).map_err(Refusal::Login)?;
        self.send(&build::password(proof.as_bytes())).await?;
        let shown = self.expect(authentication::SASL_FINAL).await?;
        Ok(prover.finish(&shown).map_err(Refusal::Login)?)
    }

    async fn expect(&mut self, expected: i32) -> Result<Vec<u8>, Failed> {
        match self.request().await? {
            (code, rest) if code == expected => Ok(rest),
            _ => Err(Refusal::Login(LoginError::Malformed).into()),
        }
    }

    /// The client's next answer.
    async fn answer(&mut self) -> Result<Vec<u8>, Failed> {
        match read(self.client, LONGEST_ANSWER).await {
            Ok((b'p', body)) => Ok(body),
            Ok((tag, _)) => Err(Refusal::NoAnswer(tag).into()),
            Err(error) => Err(Failed::Client(error)),
        }
    }

    fn refused(&self, why: Refused) -> Failed {
        let user = String::from_utf8_lossy(self.user).into_owned();
        Refusal::NotVerified { user, why }.into()
    }

    async fn tell(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        write(self.client, bytes).await.map_err(Failed::Client)
    }

    async fn send(&mut self, bytes: &Bytes) -> Result<(), Failed> {
        Ok(write(self.server, bytes).await.map_err(Refusal::ServerLost)?)
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// One message, and nothing of what is behind it.
async fn read(socket: &mut Socket, longest: usize) -> io::Result<(u8, Vec<u8>)> {
    let tag = socket.read_u8().await?;
    let length = usize::try_from(socket.read_u32().await?).ok();
    let length = length.and_then(|it| it.checked_sub(4)).filter(|it| *it <= longest);
    let length = length.ok_or_else(|| io::Error::other("a message of the login is too long"))?;
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await?;
    Ok((tag, body))
}

async fn write(socket: &mut Socket, bytes: &[u8]) -> io::Result<()> {
    socket.write_all(bytes).await?;
    socket.flush().await
}

fn nonce() -> Result<Nonce, Refusal> {
    let mut random = [0; NONCE];
    SystemRandom::new().fill(&mut random).map_err(|_| Refusal::NoRandomNumbers)?;
    Ok(Nonce::new(&random))
}
