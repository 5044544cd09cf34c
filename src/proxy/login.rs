//! The login where the proxy makes sure of the client by itself, and then logs in at the server as the
//! client: linear, from the StartupMessage to the last word of either login.
//!
//! The client comes first: nobody has anything at the server who is not known here, whatever the server
//! itself would ask.

use std::io;

use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::io::AsyncReadExt;
use tokio::task::spawn_blocking;

use crate::auth::{Account, Binding, Credential, LoginError, Nonce, Prover};
use crate::auth::{Refused, Users, Verified, Verifier};
use crate::session::ProtocolViolation;
use crate::wire::backend::{self, authentication};
use crate::wire::frame::BadLength;
use crate::wire::target::{Attributes, TargetSessionAttrs};
use crate::wire::{build, frontend};

use super::refusal::Refusal;
use super::socket::Socket;
use super::upstream::{Missed, not_now, write};
use super::upstreams::Server;
use super::{Shared, tls};

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
pub(super) const LONGEST_REQUEST: u64 = 1 << 20;

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
    /// Logs in at a server as the client, and tells the client that both logins are done if it is a
    /// server to stay with. Returns what has been read of what the server sent behind that. A password
    /// is shown to nobody but a server that is known to be it.
    pub(super) async fn log_in(
        &mut self,
        shared: &Shared,
        wanted: TargetSessionAttrs,
        server: &Server,
        socket: &mut Socket,
    ) -> Result<Vec<u8>, Missed> {
        let mut there = There { socket, server, told: Vec::new() };
        let (code, rest) = self.request(&mut there, shared).await?;
        self.prove(&mut there, shared, code, &rest).await?;
        let mut heard = Vec::new();
        if shared.upstreams.target != TargetSessionAttrs::Any {
            let target = shared.upstreams.target;
            if let Some(attributes) = there.attributes(&mut heard).await? {
                server.has_said(target, attributes);
                if wanted.fits(attributes) != Some(true) {
                    there.send(&build::terminate()).await?;
                    let server = server.address.to_string();
                    return Err(Missed::Here(Refusal::Unfit { server, target, attributes }));
                }
            }
        }
        let shown = self.verified.message.as_bytes();
        let last = build::authentication(authentication::SASL_FINAL, shown);
        let done = build::authentication(authentication::OK, b"");
        tell(self.client, &[&there.told[..], &last, &done].concat()).await?;
        Ok(heard)
    }

    /// What the server asks of whoever logs in.
    async fn request(
        &mut self,
        there: &mut There<'_>,
        shared: &Shared,
    ) -> Result<(i32, Vec<u8>), Missed> {
        loop {
            let (tag, body) = there.message().await?;
            match (tag, backend::authentication_request(&body)) {
                (b'R', Some((code, rest))) => {
                    there.server.is_there();
                    return Ok((code, rest.to_vec()));
                }
                (b'E', _) => {
                    let others = shared.upstreams.are_several();
                    if let Some(refusal) = not_now(there.server, tag, &body).filter(|_| others) {
                        there.server.is_away();
                        return Err(Missed::Here(refusal));
                    }
                    let error = build::message(tag, &body);
                    tell(self.client, &[&there.told[..], &error].concat()).await?;
                    return Err(Failed::Told.into());
                }
                // The version that it speaks, and notices.
                (b'v' | b'N', _) => there.told.extend_from_slice(&build::message(tag, &body)),
                _ => return Err(Refusal::Login(LoginError::Malformed).into()),
            }
        }
    }

    async fn prove(
        &mut self,
        there: &mut There<'_>,
        shared: &Shared,
        code: i32,
        rest: &[u8],
    ) -> Result<(), Missed> {
        match (code, self.account.password.clone()) {
            (authentication::OK, _) => return Ok(()),
            (authentication::SASL, password) => {
                let credential = match password {
                    Some(password) => Credential::Password(password),
                    None => Credential::Key(self.verified.client_key, self.account.secret.clone()),
                };
                self.prove_by_scram(there, shared, rest, credential).await?;
            }
            (authentication::CLEARTEXT_PASSWORD | authentication::MD5_PASSWORD, None) => {
                return Err(Refusal::NeedsPassword.into());
            }
            (authentication::CLEARTEXT_PASSWORD | authentication::MD5_PASSWORD, _)
                if !there.is_sure(shared) =>
            {
                return Err(Refusal::Unverified.into());
            }
            (authentication::CLEARTEXT_PASSWORD, Some(password)) => {
                there.send(&build::password(&[&password, &b"\0"[..]].concat())).await?;
            }
            (authentication::MD5_PASSWORD, Some(password)) => {
                let salt = rest.first_chunk().ok_or(Refusal::Login(LoginError::Malformed))?;
                let hash = postgres_protocol::authentication::md5_hash(self.user, &password, *salt);
                there.send(&build::password(&[hash.as_bytes(), &b"\0"[..]].concat())).await?;
            }
            (code, _) => return Err(Refusal::Method(code).into()),
        }
        self.expect(there, shared, authentication::OK).await.map(drop)
    }

    async fn prove_by_scram(
        &mut self,
        there: &mut There<'_>,
        shared: &Shared,
        offer: &[u8],
        credential: Credential,
    ) -> Result<(), Missed> {
        let list = [&authentication::SASL.to_be_bytes(), offer].concat();
        let mechanisms = backend::sasl_mechanisms(&list).unwrap_or_default();
        let binding = there.socket.peer_certificate().map_or(Binding::None, tls::end_point);
        let begun = Prover::begin(credential, &binding, nonce()?, &mechanisms);
        let (mut prover, mechanism, message) = begun.map_err(Refusal::Login)?;
        there.send(&build::sasl_initial_response(mechanism, message.as_bytes())).await?;
        let challenge = self.expect(there, shared, authentication::SASL_CONTINUE).await?;
        // By a password that takes milliseconds, in which the worker serves the others.
        let proving = spawn_blocking(move || (prover.prove(&challenge), prover)).await;
        let (proof, prover) = proving.map_err(|error| lost(io::Error::other(error)))?;
        let proof = proof.map_err(Refusal::Login)?;
        there.send(&build::password(proof.as_bytes())).await?;
        let shown = self.expect(there, shared, authentication::SASL_FINAL).await?;
        Ok(prover.finish(&shown).map_err(Refusal::Login)?)
    }

    async fn expect(
        &mut self,
        there: &mut There<'_>,
        shared: &Shared,
        expected: i32,
    ) -> Result<Vec<u8>, Missed> {
        match self.request(there, shared).await? {
            (code, rest) if code == expected => Ok(rest),
            _ => Err(Refusal::Login(LoginError::Malformed).into()),
        }
    }
}

/// A server that is being logged in at.
struct There<'a> {
    socket: &'a mut Socket,
    server: &'a Server,
    /// What the client is to be told of it.
    told: Vec<u8>,
}

impl There<'_> {
    async fn message(&mut self) -> Result<(u8, Vec<u8>), Missed> {
        read(self.socket, LONGEST_REQUEST).await.map_err(|error| match error {
            Unread::Gone(error) => lost(error),
            Unread::Length(length) => Refusal::Violation(ProtocolViolation::from(length)).into(),
        })
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Missed> {
        write(self.socket, bytes).await.map_err(lost)
    }

    /// Whether it is the server, and nobody who says so.
    fn is_sure(&self, shared: &Shared) -> bool {
        let access = shared.access.load();
        let verifies = access.tls.server.as_ref().is_some_and(|leg| leg.mode.verifies());
        verifies || self.server.address.is_local()
    }

    /// What the server is, by what it says until it is ready, or else by what it answers; none if it
    /// ends the session with an error instead.
    async fn attributes(&mut self, heard: &mut Vec<u8>) -> Result<Option<Attributes>, Missed> {
        let mut attributes = Attributes::default();
        loop {
            let (tag, body) = self.message().await?;
            heard.extend_from_slice(&build::message(tag, &body));
            match (tag, backend::parameter_status(&body)) {
                (b'S', Some((name, value))) => attributes.learn(name, value),
                (b'E', _) => return Ok(None),
                (b'Z', _) if attributes.in_hot_standby.is_some() => return Ok(Some(attributes)),
                (b'Z', _) => return self.ask().await.map(Some),
                _ => {}
            }
        }
    }

    /// What a server before PostgreSQL 14 answers.
    async fn ask(&mut self) -> Result<Attributes, Missed> {
        self.send(&build::query(ATTRIBUTES)).await?;
        let mut attributes = Attributes::default();
        loop {
            let (tag, body) = self.message().await?;
            match (tag, backend::data_row(&body).as_deref()) {
                (b'D', Some([Some(in_recovery), Some(read_only)])) => {
                    attributes.in_hot_standby = Some(*in_recovery == b"t");
                    attributes.default_transaction_read_only = Some(*read_only == b"on");
                }
                (b'Z', _) => return Ok(attributes),
                _ => {}
            }
        }
    }
}

/// Whether it is a standby, and what its transactions may do unless they say otherwise.
const ATTRIBUTES: &[u8] = b"SELECT pg_catalog.pg_is_in_recovery(), \
    pg_catalog.current_setting('default_transaction_read_only')";

fn lost(error: io::Error) -> Missed {
    Missed::Here(Refusal::ServerLost(error))
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

/// No other server would do either.
impl From<Refusal> for Missed {
    fn from(refusal: Refusal) -> Self {
        Self::Anywhere(Failed::Refused(refusal))
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Why there is no message.
#[derive(Debug)]
pub(super) enum Unread {
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
pub(super) async fn read(socket: &mut Socket, longest: u64) -> Result<(u8, Vec<u8>), Unread> {
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

fn nonce() -> Result<Nonce, Refusal> {
    let mut random = [0; NONCE];
    SystemRandom::new().fill(&mut random).map_err(|_| Refusal::NoRandomNumbers)?;
    Ok(Nonce::new(&random))
}
