//! The way to the server: a connection, encrypted if it is to be.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::config::ServerMode;
use crate::wire::startup::SSL_REQUEST_PACKET;

use super::Shared;
use super::refusal::Refusal;
use super::socket::Socket;
use super::tls::ServerLeg;

/// A connection to the server on which the client's first packet has been sent.
pub(super) async fn connect(shared: &Shared, packet: &[u8]) -> Result<Socket, Refusal> {
    let mut server = reach(shared, shared.limits.connect_timeout).await?;
    let gone = |error| Refusal::Unreachable(shared.upstream.to_string(), error);
    server.write_all(packet).await.map_err(gone)?;
    server.flush().await.map_err(gone)?;
    Ok(server)
}

/// A connection to the server on which nothing has been said but for its encryption's sake.
pub(super) async fn reach(shared: &Shared, limit: Duration) -> Result<Socket, Refusal> {
    let connected = shared.stopping.or(timeout(limit, encrypted(shared))).await;
    match connected.ok_or(Refusal::Stopping)? {
        Ok(reached) => reached,
        Err(_) => Err(Refusal::ConnectTimeout(shared.upstream.to_string(), limit)),
    }
}

async fn encrypted(shared: &Shared) -> Result<Socket, Refusal> {
    let name = || shared.upstream.to_string();
    let gone = |error| Refusal::Unreachable(name(), error);
    let access = shared.access.load_full();
    let mut server = Socket::connect(&shared.upstream).await.map_err(gone)?;
    let Some(leg) = &access.tls.server else { return Ok(server) };
    server.write_all(SSL_REQUEST_PACKET).await.map_err(gone)?;
    // One byte and no more: what comes behind it is the handshake's, or spoils it
    // (CVE-2021-23222). An error's text is not shown: nobody vouches for it (CVE-2024-10977).
    match (server.read_u8().await.map_err(gone)?, leg.mode) {
        (b'S', _) => {
            handshake(server, leg).await.map_err(|error| Refusal::ServerTls(name(), error))
        }
        (b'N', ServerMode::Prefer) => Ok(server),
        (b'N', _) => Err(Refusal::NoServerTls(name())),
        _ => Err(Refusal::ServerTls(name(), io::Error::other("it gave no answer to SSLRequest"))),
    }
}

async fn handshake(server: Socket, leg: &ServerLeg) -> io::Result<Socket> {
    match server {
        Socket::Tcp(stream) => leg.connect(stream).await.map(Socket::encrypted),
        Socket::Unix(_) | Socket::Tls(_) => Err(io::Error::other("it is not a TCP connection")),
    }
}
