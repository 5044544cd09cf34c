//! From an accepted socket to a running session, and to its end: the part that is truly linear.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use crate::rules::{NAME_BYTES, Origin};
use crate::session::{Session, Setup};
use crate::wire::backend::SqlState;
use crate::wire::build;
use crate::wire::startup::{self, StartupPacket, StartupParameters};

use super::Shared;
use super::connection::{Connection, End};
use super::log::SessionLog;
use super::metrics::{Ending, Present, State};
use super::ruling::Follower;
use super::socket::Socket;

/// How long a client's input is read and dropped after the last word to it, so that closing the
/// socket over unread input does not reset the connection and take that word away.
const LINGER: Duration = Duration::from_secs(2);

/// How long the server may take to close the connection of a CancelRequest.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// What a client is told when the proxy itself cannot go on.
///
/// The codes are those that drivers and `pg_isready` understand: 57P03 makes libpq try its next
/// host and `pg_isready` say "rejecting connections".
#[derive(Debug, Error)]
pub(super) enum Refusal {
    #[error("pgabsorb could not connect to the server at {0}: {1}")]
    Unreachable(String, io::Error),
    #[error("pgabsorb could not connect to the server at {0} within {1:?}")]
    ConnectTimeout(String, Duration),
    #[error("sorry, too many clients already: pgabsorb has {0} sessions, the limit of rules.toml")]
    Full(usize),
    #[error("unsupported frontend protocol {major}.{minor}: an encryption request was already made", major = .0 >> 16, minor = .0 & 0xffff)]
    RepeatedRequest(i32),
    #[error("terminating connection due to administrator command: pgabsorb is stopping")]
    Stopping,
    #[error("terminating connection: {0}")]
    Violation(crate::session::ProtocolViolation),
    #[error("terminating connection: the connection to the server was lost: {0}")]
    ServerLost(io::Error),
    #[error("canceling authentication due to timeout")]
    NotLoggedIn,
}

impl Refusal {
    /// The label in metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(..) => "server_unreachable",
            Self::ConnectTimeout(..) => "server_timeout",
            Self::Full(_) => "too_many_sessions",
            Self::RepeatedRequest(_) => "repeated_request",
            Self::Stopping => "stopping",
            Self::Violation(_) => "protocol_violation",
            Self::ServerLost(_) => "server_lost",
            Self::NotLoggedIn => "login_timeout",
        }
    }

    /// The error code, from the manual's [Appendix
    /// A](https://www.postgresql.org/docs/current/errcodes-appendix.html).
    fn sqlstate(&self) -> SqlState {
        SqlState(*match self {
            Self::Unreachable(..) | Self::ConnectTimeout(..) => b"57P03",
            Self::Full(_) => b"53300",
            Self::RepeatedRequest(_) => b"0A000",
            Self::Stopping => b"57P01",
            Self::Violation(_) => b"08P01",
            Self::ServerLost(_) => b"08006",
            Self::NotLoggedIn => b"57014",
        })
    }
}

/// Serves one accepted socket to its end.
pub(super) async fn serve(
    shared: Arc<Shared>,
    scratch: Arc<super::Scratch>,
    mut client: Socket,
    peer: String,
) {
    let startup_timeout = shared.limits.startup_timeout;
    let first = timeout(startup_timeout, first_packet(&mut client));
    let Some(first) = shared.stopping.or(first).await else { return };
    match first {
        Ok(Ok(First { packet, asked: Asked::Session(parameters) })) => {
            session(&shared, &scratch, client, packet, parameters, peer).await;
        }
        Ok(Ok(First { packet, asked: Asked::Cancel })) => cancel(&shared, client, &packet).await,
        Ok(Err(Rejected::Refused(refusal))) => refuse(&shared, client, &refusal).await,
        Ok(Err(Rejected::Closed(reason))) => {
            tracing::debug!(client = peer, reason, "closed at start-up");
        }
        Err(_) => {
            tracing::debug!(client = peer, "closed: no startup packet within {startup_timeout:?}");
        }
    }
}

/// What a client asked for, and the packet that says so, verbatim.
struct First {
    packet: Vec<u8>,
    asked: Asked,
}

enum Asked {
    Session(StartupParameters),
    Cancel,
}

enum Rejected {
    Closed(&'static str),
    Refused(Refusal),
}

impl From<io::Error> for Rejected {
    fn from(_: io::Error) -> Self {
        Self::Closed("the client closed the connection")
    }
}

/// Reads packets until one begins a session or cancels a query. Encryption is declined.
async fn first_packet(client: &mut Socket) -> Result<First, Rejected> {
    let (mut ssl, mut gssenc) = (false, false);
    loop {
        let packet = read_packet(client).await?;
        let body = packet.get(4..).unwrap_or_default();
        let seen = match StartupPacket::read(body) {
            None => return Err(Rejected::Closed("the startup packet was too short")),
            Some(StartupPacket::Startup(parameters)) => {
                return Ok(First { packet, asked: Asked::Session(parameters) });
            }
            Some(StartupPacket::Cancel) => return Ok(First { packet, asked: Asked::Cancel }),
            Some(StartupPacket::SslRequest) => &mut ssl,
            Some(StartupPacket::GssEncRequest) => &mut gssenc,
        };
        if std::mem::replace(seen, true) {
            let code = body.first_chunk().map_or(0, |code| i32::from_be_bytes(*code));
            return Err(Rejected::Refused(Refusal::RepeatedRequest(code)));
        }
        client.write_all(b"N").await?;
    }
}

/// One packet with its length word, within the bounds that the server sets.
async fn read_packet(client: &mut Socket) -> Result<Vec<u8>, Rejected> {
    let length = client.read_i32().await?;
    if !startup::LENGTHS.contains(&length) {
        return Err(Rejected::Closed("the length of the startup packet is out of bounds"));
    }
    let mut packet = length.to_be_bytes().to_vec();
    packet.resize(usize::try_from(length).unwrap_or_default(), 0);
    client.read_exact(packet.get_mut(4..).unwrap_or_default()).await?;
    Ok(packet)
}

async fn session(
    shared: &Arc<Shared>,
    scratch: &super::Scratch,
    client: Socket,
    packet: Vec<u8>,
    parameters: StartupParameters,
    peer: String,
) {
    let Ok(permit) = shared.sessions.try_acquire() else {
        return refuse(shared, client, &Refusal::Full(shared.limits.connections)).await;
    };
    let server = match connect(shared, &packet).await {
        Ok(server) => server,
        Err(refusal) => {
            drop(permit);
            tracing::warn!(client = peer, %refusal, "a session could not begin");
            return refuse(shared, client, &refusal).await;
        }
    };
    let mut present = shared.metrics.lifetimes.session();
    drop(packet);
    if parameters.replication || !parameters.is_protocol_3() {
        present.stands(State::Unread);
        splice(shared, client, server).await;
        return present.ends(Ending::Unread);
    }
    let follower = Follower::new(&shared.rulings, cut(&parameters.database));
    let session = Session::new(setup(shared, &parameters));
    drop(parameters);
    let connection = Connection::new(session, follower, client, server);
    run(shared, scratch, connection, Place { present, permit }, peer).await;
}

/// One of the sessions that there may be, counted while it lasts.
struct Place<'a> {
    present: Present<'a>,
    permit: SemaphorePermit<'a>,
}

async fn connect(shared: &Shared, packet: &[u8]) -> Result<Socket, Refusal> {
    let mut server = reach(shared, shared.limits.connect_timeout).await?;
    let gone = |error| Refusal::Unreachable(shared.upstream.to_string(), error);
    server.write_all(packet).await.map_err(gone)?;
    Ok(server)
}

/// A connection to the server, on which nothing has been said.
pub(super) async fn reach(shared: &Shared, limit: Duration) -> Result<Socket, Refusal> {
    let connecting = timeout(limit, Socket::connect(&shared.upstream));
    let connected = shared.stopping.or(connecting).await.ok_or(Refusal::Stopping)?;
    match connected {
        Ok(Ok(server)) => Ok(server),
        Ok(Err(error)) => Err(Refusal::Unreachable(shared.upstream.to_string(), error)),
        Err(_) => Err(Refusal::ConnectTimeout(shared.upstream.to_string(), limit)),
    }
}

fn setup(shared: &Shared, parameters: &StartupParameters) -> Setup {
    let (database, user) = (cut(&parameters.database), cut(&parameters.user));
    let ruling = shared.rulings.current();
    Setup {
        origin: Origin {
            database: String::from_utf8_lossy(database).into_owned(),
            user: String::from_utf8_lossy(user).into_owned(),
            application_name: String::new(),
        },
        rules: Arc::clone(&ruling.rules),
        catalog: ruling.catalogs.of(database),
        inspect: shared.limits.inspect,
    }
}

/// A name as far as the server reads it: it cuts longer ones by bytes.
fn cut(name: &[u8]) -> &[u8] {
    name.get(..NAME_BYTES).unwrap_or(name)
}

async fn run(
    shared: &Shared,
    scratch: &super::Scratch,
    mut connection: Connection,
    place: Place<'_>,
    peer: String,
) {
    let Place { present, permit } = place;
    let mut log = SessionLog::new(shared, present, peer);
    let running = run_to_end(&mut connection, scratch, &mut log, shared.limits.startup_timeout);
    let end = shared.stopping.or(running).await;
    log.ended(end.as_ref(), &connection.session);
    let last_word = match end {
        Some(End::Client(_)) => return,
        Some(End::Server | End::ServerLeft) => None,
        Some(End::ServerLost(error)) => Some(Refusal::ServerLost(error)),
        Some(End::Violation(violation)) => Some(Refusal::Violation(violation)),
        Some(End::NotLoggedIn) => Some(Refusal::NotLoggedIn),
        None => Some(Refusal::Stopping),
    };
    let last_word = last_word.filter(|_| connection.can_address_client());
    // The server's connection is closed here; whoever sees the end may come back at once.
    let (mut client, unsent) = connection.into_client();
    drop((log, permit));
    if timeout(LINGER, client.write_all(&unsent)).await.is_ok_and(|written| written.is_ok()) {
        close(client, last_word.as_ref()).await;
    }
}

/// Runs a session; that its client is not logged in in time is an end too.
async fn run_to_end(
    connection: &mut Connection,
    scratch: &super::Scratch,
    log: &mut SessionLog<'_>,
    limit: Duration,
) -> End {
    match timeout(limit, connection.log_in(scratch, log)).await {
        Ok(Some(end)) => end,
        Ok(None) => connection.run(scratch, log).await,
        Err(_) => End::NotLoggedIn,
    }
}

/// Tells a client why it gets no session.
async fn refuse(shared: &Shared, client: Socket, refusal: &Refusal) {
    shared.metrics.refused(refusal);
    close(client, Some(refusal)).await;
}

/// Ends a client's connection so that it can read the last word: nothing is reset while input
/// is unread.
async fn close(mut client: Socket, last_word: Option<&Refusal>) {
    let goodbye = async {
        if let Some(refusal) = last_word {
            client.write_all(&build::fatal(refusal.sqlstate(), &refusal.to_string())).await?;
        }
        client.shutdown().await?;
        tokio::io::copy(&mut client, &mut tokio::io::sink()).await
    };
    match timeout(LINGER, goodbye).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::debug!(%error, "the client was gone before its connection was closed");
        }
        Err(_) => tracing::debug!("the client did not close its connection in time"),
    }
}

/// Passes a CancelRequest on, and closes the client's connection only after the server has closed
/// its own: libpq takes that as the sign that the request was processed.
async fn cancel(shared: &Shared, client: Socket, packet: &[u8]) {
    let forward = async {
        let mut server = connect(shared, packet).await?;
        let gone = |error| Refusal::Unreachable(shared.upstream.to_string(), error);
        tokio::io::copy(&mut server, &mut tokio::io::sink()).await.map_err(gone)
    };
    let forwarded = timeout(CANCEL_TIMEOUT, forward);
    let Some(forwarded) = shared.stopping.or(forwarded).await else { return };
    match forwarded {
        Ok(Ok(_)) => {}
        Ok(Err(refusal)) => tracing::warn!(%refusal, "a cancel request could not be passed on"),
        Err(_) => tracing::warn!("the server did not close a cancel request's connection in time"),
    }
    drop(client);
}

/// A replication connection, or one whose protocol the server will refuse in its own words: the
/// bytes are not looked at.
async fn splice(shared: &Shared, mut client: Socket, mut server: Socket) {
    let copying = tokio::io::copy_bidirectional(&mut client, &mut server);
    if let Some(Err(error)) = shared.stopping.or(copying).await {
        tracing::debug!(%error, "a replication connection broke");
    }
    drop(server);
    close(client, None).await;
}
