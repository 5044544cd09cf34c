//! The login where the proxy makes sure of the client by itself, and then logs in at the server as the
//! client: linear, from the StartupMessage to the last word of either login.
//!
//! The client comes first: nobody has anything at the server who is not known here, whatever the server
//! itself would ask.

use std::io;

use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::auth::{Account, Binding, Credential, LoginError, Nonce, Prover};
use crate::auth::{Refused, Users, Verified, Verifier};
use crate::session::ProtocolViolation;
use crate::wire::backend::{self, authentication};
use crate::wire::frame::BadLength;
use crate::wire::{build, frontend};

use super::refusal::Refusal;
use super::socket::Socket;
use super::tls;

/// A client that is not logged in.
pub(super) struct Login<'a> {
    pub(super) client: &'a mut Socket,
    /// The name in the StartupMessage, as far as the server reads it.
    pub(super) user: &'a [u8],
    /// What the client may bind to: the proxy's own certificate.
    pub(super) clients_end: Binding,
}

/// One that is known, and waits to be told so.
pub(super) struct Known<'a> {
    client: &'a mut Socket,
    user: &'a [u8],
    account: Account,
    verified: Verified,
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
const LONGEST_ANSWER: u64 = 65_535;

/// Longest message of a server ahead of its sessions: a list of mechanisms, an error.
const LONGEST_REQUEST: u64 = 1 << 20;

/// Random bytes of a nonce, as PostgreSQL takes.
const NONCE: usize = 18;

impl<'a> Login<'a> {
    /// Makes sure of the client.
    pub(super) async fn verify(self, users: &Users) -> Result<Known<'a>, Failed> {
        let Self { client, user, clients_end } = self;
        let account = users.account(user);
        let refused = |why| {
            Failed::from(Refusal::NotVerified {
                user: String::from_utf8_lossy(user).into_owned(),
                why,
            })
        };
        tell(client, &build::sasl_mechanisms(Verifier::mechanisms(&clients_end))).await?;
        let response = answer(client).await?;
        let (mechanism, message) = frontend::sasl_initial_response(&response)
            .ok_or_else(|| refused(Refused::Malformed))?;
        let message = message.ok_or_else(|| refused(Refused::Malformed))?;
        let (secret, nonce) = (account.secret.clone(), nonce()?);
        let begun = Verifier::begin(secret, &clients_end, &nonce, mechanism, message);
        let (exchange, message) = begun.map_err(refused)?;
        let code = authentication::SASL_CONTINUE;
        tell(client, &build::authentication(code, message.as_bytes())).await?;
        let proof = answer(client).await?;
        let verified = exchange.finish(&proof).map_err(refused)?;
        Ok(Known { client, user, account, verified })
    }
}

impl Known<'_> {
    /// Logs in at the server as the client, and tells the client that both logins are done. What the
    /// server sends behind that is still to be read. A password is shown to nobody but a server that
    /// is known to be it.
    pub(super) async fn log_in(mut self, server: &mut Socket, is_it: bool) -> Result<(), Failed> {
        let (code, rest) = self.request(server).await?;
        self.prove(server, code, &rest, is_it).await?;
        let shown = self.verified.message.as_bytes();
        let last = build::authentication(authentication::SASL_FINAL, shown);
        let done = build::authentication(authentication::OK, b"");
        tell(self.client, &[last, done].concat()).await
    }

    /// What the server asks of whoever logs in.
    async fn request(&mut self, server: &mut Socket) -> Result<(i32, Vec<u8>), Failed> {
        loop {
            let (tag, body) = read(server, LONGEST_REQUEST).await.map_err(|error| match error {
                Unread::Gone(error) => Refusal::ServerLost(error),
                Unread::Length(length) => Refusal::Violation(ProtocolViolation::from(length)),
            })?;
            match (tag, backend::authentication_request(&body)) {
                (b'R', Some((code, rest))) => return Ok((code, rest.to_vec())),
                (b'E', _) => {
                    tell(self.client, &build::message(tag, &body)).await?;
                    return Err(Failed::Told);
                }
                // The version that it speaks, and notices.
                (b'v' | b'N', _) => tell(self.client, &build::message(tag, &body)).await?,
                _ => return Err(Refusal::Login(LoginError::Malformed).into()),
            }
        }
    }

    async fn prove(
        &mut self,
        server: &mut Socket,
        code: i32,
        rest: &[u8],
        is_it: bool,
    ) -> Result<(), Failed> {
        match (code, self.account.password.clone()) {
            (authentication::OK, _) => return Ok(()),
            (authentication::SASL, password) => {
                let credential = match password {
                    Some(password) => Credential::Password(password),
                    None => Credential::Key(self.verified.client_key, self.account.secret.clone()),
                };
                self.prove_by_scram(server, rest, credential).await?;
            }
            (authentication::CLEARTEXT_PASSWORD | authentication::MD5_PASSWORD, None) => {
                return Err(Refusal::NeedsPassword.into());
            }
            (authentication::CLEARTEXT_PASSWORD | authentication::MD5_PASSWORD, _) if !is_it => {
                return Err(Refusal::Unverified.into());
            }
            (authentication::CLEARTEXT_PASSWORD, Some(password)) => {
                send(server, &build::password(&[&password, &b"\0"[..]].concat())).await?;
            }
            (authentication::MD5_PASSWORD, Some(password)) => {
                let salt = rest.first_chunk().ok_or(Refusal::Login(LoginError::Malformed))?;
                let hash = postgres_protocol::authentication::md5_hash(self.user, &password, *salt);
                send(server, &build::password(&[hash.as_bytes(), &b"\0"[..]].concat())).await?;
            }
            (code, _) => return Err(Refusal::Method(code).into()),
        }
        self.expect(server, authentication::OK).await.map(drop)
    }

    async fn prove_by_scram(
        &mut self,
        server: &mut Socket,
        offer: &[u8],
        credential: Credential,
    ) -> Result<(), Failed> {
        let list = [&authentication::SASL.to_be_bytes(), offer].concat();
        let mechanisms = backend::sasl_mechanisms(&list).unwrap_or_default();
        let binding = server.peer_certificate().map_or(Binding::None, tls::end_point);
        let begun = Prover::begin(credential, &binding, nonce()?, &mechanisms);
        let (mut prover, mechanism, message) = begun.map_err(Refusal::Login)?;
        send(server, &build::sasl_initial_response(mechanism, message.as_bytes())).await?;
        let challenge = self.expect(server, authentication::SASL_CONTINUE).await?;
        let proof = prover.prove(&challenge).map_err(Refusal::Login)?;
        send(server, &build::password(proof.as_bytes())).await?;
        let shown = self.expect(server, authentication::SASL_FINAL).await?;
        Ok(prover.finish(&shown).map_err(Refusal::Login)?)
    }

    async fn expect(&mut self, server: &mut Socket, expected: i32) -> Result<Vec<u8>, Failed> {
        match self.request(server).await? {
            (code, rest) if code == expected => Ok(rest),
            _ => Err(Refusal::Login(LoginError::Malformed).into()),
        }
    }
}

/// The client's next answer.
async fn answer(client: &mut Socket) -> Result<Vec<u8>, Failed> {
    match read(client, LONGEST_ANSWER).await {
        Ok((b'p', body)) => Ok(body),
        Ok((tag, _)) => Err(Refusal::NoAnswer(tag).into()),
        Err(Unread::Length(length)) => Err(Refusal::AnswerLength(length).into()),
        Err(Unread::Gone(error)) => Err(Failed::Client(error)),
    }
}

async fn tell(client: &mut Socket, bytes: &[u8]) -> Result<(), Failed> {
    write(client, bytes).await.map_err(Failed::Client)
}

async fn send(server: &mut Socket, bytes: &[u8]) -> Result<(), Failed> {
    Ok(write(server, bytes).await.map_err(Refusal::ServerLost)?)
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Why there is no message.
enum Unread {
    /// The peer has left, or its connection has broken.
    Gone(io::Error),
    /// It is longer than it may be, or shorter than it can be.
    Length(BadLength),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

/// One message, and nothing of what is behind it.
async fn read(socket: &mut Socket, longest: u64) -> Result<(u8, Vec<u8>), Unread> {
    let tag = socket.read_u8().await?;
    let length = socket.read_i32().await?;
    let rest = u64::try_from(length).ok().and_then(|it| it.checked_sub(4));
    let Some(rest) = rest.filter(|it| *it <= longest) else {
        return Err(Unread::Length(BadLength { tag, length }));
    };
    let mut body = Vec::new();
    // What is only promised takes no memory.
    if socket.take(rest).read_to_end(&mut body).await? as u64 != rest {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
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
