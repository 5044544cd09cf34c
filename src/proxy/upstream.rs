//! The way to a server: which one, a connection, encrypted if it is to be.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::config::{Address, ServerMode};
use crate::wire::backend::{ErrorFields, SqlState};
use crate::wire::build;
use crate::wire::startup::SSL_REQUEST_PACKET;

use super::Shared;
use super::login::{Failed, LONGEST_REQUEST, Unread, read};
use super::refusal::Refusal;
use super::socket::Socket;
use super::tls::ServerLeg;
use super::upstreams::Server;

/// A connection to a server.
#[derive(Debug)]
pub(super) struct Reached<'a> {
    pub(super) socket: Socket,
    /// What has been read of it, and is still to be dealt with.
    pub(super) heard: Vec<u8>,
    pub(super) server: &'a Server,
}

/// Why there is no session at a server.
#[derive(Debug)]
pub(super) enum Missed {
    /// Another one may do.
    Here(Refusal),
    /// No other will do either.
    Anywhere(Failed),
}

/// A search for a server that will do, the likeliest first.
pub(super) struct Search<'a> {
    servers: std::vec::IntoIter<&'a Server>,
    refusals: Vec<Refusal>,
}

impl<'a> Search<'a> {
    pub(super) fn new(shared: &'a Shared) -> Self {
        let servers = shared.upstreams.in_order(Instant::now()).into_iter();
        Self { servers, refusals: Vec::new() }
    }

    /// The next one to try.
    pub(super) fn next(&mut self) -> Option<&'a Server> {
        self.servers.next()
    }

    /// The last one did not do. An error if the search is over with that.
    pub(super) fn missed(&mut self, missed: Missed) -> Result<(), Failed> {
        match missed {
            Missed::Anywhere(failed) => Err(failed),
            Missed::Here(refusal) => {
                self.refused(refusal);
                Ok(())
            }
        }
    }

    /// The last one did not do, and another one may.
    pub(super) fn refused(&mut self, refusal: Refusal) {
        if !self.servers.as_slice().is_empty() {
            tracing::debug!(%refusal, "another server is tried");
        }
        self.refusals.push(refusal);
    }

    /// Why there is none.
    pub(super) fn refusal(self) -> Refusal {
        Refusal::of_all(self.refusals)
    }
}

/// A connection to a server on which the client's first packet has been sent.
pub(super) async fn connect<'a>(shared: &'a Shared, packet: &[u8]) -> Result<Reached<'a>, Failed> {
    let mut search = Search::new(shared);
    while let Some(server) = search.next() {
        match begin(shared, server, packet).await {
            Ok(reached) => return Ok(reached),
            Err(missed) => search.missed(missed)?,
        }
    }
    Err(search.refusal().into())
}

/// The same at this server. Where there are others, it has to say something too: one that takes
/// connections and does not go on is as good as none.
async fn begin<'a>(
    shared: &Shared,
    server: &'a Server,
    packet: &[u8],
) -> Result<Reached<'a>, Missed> {
    let mut socket = greet(shared, server, packet).await?;
    if !shared.upstreams.are_several() {
        return Ok(Reached { socket, heard: Vec::new(), server });
    }
    let limit = shared.limits.connect_timeout;
    let heard = shared.stopping.or(timeout(limit, first_word(server, &mut socket))).await;
    let silent = || Refusal::ConnectTimeout(server.address.to_string(), limit);
    let heard = heard.ok_or(Missed::Here(Refusal::Stopping))?;
    match heard.unwrap_or_else(|_| Err(silent())) {
        Ok(heard) => {
            server.is_there();
            Ok(Reached { socket, heard, server })
        }
        Err(refusal) => {
            server.is_away();
            Err(Missed::Here(refusal))
        }
    }
}

/// A connection to this server on which the client's first packet has been sent.
pub(super) async fn greet(
    shared: &Shared,
    server: &Server,
    packet: &[u8],
) -> Result<Socket, Missed> {
    let reached = reach(shared, server, shared.limits.connect_timeout).await;
    let mut socket = reached.map_err(Missed::Here)?;
    let gone = |error| Missed::Here(Refusal::Unreachable(server.address.to_string(), error));
    write(&mut socket, packet).await.map_err(gone)?;
    Ok(socket)
}

/// A connection to this server on which nothing has been said but for its encryption's sake.
pub(super) async fn reach(
    shared: &Shared,
    server: &Server,
    limit: Duration,
) -> Result<Socket, Refusal> {
    let connected = shared.stopping.or(timeout(limit, encrypted(shared, &server.address))).await;
    let reached = match connected.ok_or(Refusal::Stopping)? {
        Ok(reached) => reached,
        Err(_) => Err(Refusal::ConnectTimeout(server.address.to_string(), limit)),
    };
    match &reached {
        Ok(_) => server.was_reached(),
        Err(_) => server.is_away(),
    }
    reached
}

/// The server's first message, unless it says that it cannot take anybody for now: then, as with
/// libpq, another one may do.
async fn first_word(server: &Server, socket: &mut Socket) -> Result<Vec<u8>, Refusal> {
    let (tag, body) = read(socket, LONGEST_REQUEST).await.map_err(|error| match error {
        Unread::Gone(error) => Refusal::Unreachable(server.address.to_string(), error),
        Unread::Length(length) => Refusal::Violation(length.into()),
    })?;
    match not_now(server, tag, &body) {
        Some(refusal) => Err(refusal),
        None => Ok(build::message(tag, &body).to_vec()),
    }
}

/// That the server takes nobody for now, if that is what a message says: it starts, stops or recovers.
pub(super) fn not_now(server: &Server, tag: u8, body: &[u8]) -> Option<Refusal> {
    let fields = ErrorFields::new(body);
    if tag != b'E' || fields.sqlstate() != Some(SqlState::CANNOT_CONNECT_NOW) {
        return None;
    }
    let text = String::from_utf8_lossy(fields.message().unwrap_or_default()).into_owned();
    Some(Refusal::NotNow(server.address.to_string(), text))
}

async fn encrypted(shared: &Shared, address: &Address) -> Result<Socket, Refusal> {
    let gone = |error| Refusal::Unreachable(address.to_string(), error);
    let access = shared.access.load_full();
    let mut server = Socket::connect(address).await.map_err(gone)?;
    let Some(leg) = access.tls.server.as_ref().filter(|_| server.is_tcp()) else {
        return Ok(server);
    };
    server.write_all(SSL_REQUEST_PACKET).await.map_err(gone)?;
    // One byte and no more: what comes behind it is the handshake's, or spoils it
    // (CVE-2021-23222). An error's text is not shown: nobody vouches for it (CVE-2024-10977).
    match (server.read_u8().await.map_err(gone)?, leg.mode) {
        (b'S', _) => handshake(server, leg, address)
            .await
            .map_err(|error| Refusal::ServerTls(address.to_string(), error)),
        (b'N', ServerMode::Prefer) => Ok(server),
        (b'N', _) => Err(Refusal::NoServerTls(address.to_string())),
        _ => {
            let error = io::Error::other("it gave no answer to SSLRequest");
            Err(Refusal::ServerTls(address.to_string(), error))
        }
    }
}

async fn handshake(server: Socket, leg: &ServerLeg, address: &Address) -> io::Result<Socket> {
    match server {
        Socket::Tcp(stream) => leg.connect(stream, address).await.map(Socket::encrypted),
        _ => Err(io::Error::other("it is not a TCP connection")),
    }
}

pub(super) async fn write(socket: &mut Socket, bytes: &[u8]) -> io::Result<()> {
    socket.write_all(bytes).await?;
    socket.flush().await
}

impl From<Failed> for Missed {
    fn from(failed: Failed) -> Self {
        Self::Anywhere(failed)
    }
}
