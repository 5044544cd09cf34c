//! From an accepted socket to a running session, and to its end: the part that is truly linear.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::sync::SemaphorePermit;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};

use crate::auth::Binding;
use crate::rules::{NAME_BYTES, Origin};
use crate::session::login::{ChannelBinding, LoginRefusal};
use crate::session::{Session, Setup};
use crate::wire::startup::StartupParameters;
use crate::wire::target::TargetSessionAttrs;

use super::access::Access;
use super::connection::{Connection, End};
use super::established::{Established, LINGER, close};
use super::greeting::{self, Asked, Greeting, Rejected};
use super::log::SessionLog;
use super::login::{Failed, Known, Login};
use super::memory::Account;
use super::metrics::{Ending, State, Unheard};
use super::places::OfAddress;
use super::refusal::Refusal;
use super::ruling::Follower;
use super::socket::Socket;
use super::upstream::{Missed, Reached, Search};
use super::upstreams::Server;
use super::worker::{Departure, Desk};
use super::{Shared, upstream};

/// How long the server may take to close the connection of a CancelRequest.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves one accepted socket to its end.
///
/// What is only for a moment is on the heap for that moment: this future is what every idle session with
/// TLS keeps.
pub(super) async fn serve(desk: Arc<Desk>, client: Socket, peer: String, departure: Departure) {
    let arriving = Box::pin(arrive(&desk, client, peer, departure));
    let Some(mut session) = arriving.await else { return };
    if desk.shared.draining.is_said() {
        session.connection.drain_after_one();
    }
    let plain = session.connection.is_plain();
    let stays = if plain { desk.relay.take(session) } else { Err(session) };
    if let Err(mut session) = stays {
        let end = session.run(&desk).await;
        Box::pin(session.finish(end, None)).await;
    }
}

/// From an accepted socket to a session whose client is logged in, if it asks for one and gets it.
async fn arrive(
    desk: &Desk,
    client: Socket,
    peer: String,
    departure: Departure,
) -> Option<Box<Established>> {
    let shared = &desk.shared;
    let of_address = shared.places.of_address(&peer);
    let (login, of_address) = match of_address.and_then(|it| Ok((shared.places.login()?, it))) {
        Ok(places) => places,
        Err(refusal) => {
            refuse(shared, client, &refusal).await;
            return None;
        }
    };
    let deadline = Instant::now() + shared.limits.startup_timeout;
    let access = shared.access.load_full();
    match Box::pin(hear(shared, client, &access, deadline)).await? {
        Ok(Ok(Greeting { client, packet, asked: Asked::Session(parameters) })) => {
            let login = LoginPlace { of_address, departure, permit: login, deadline };
            let arrival = Arrival { client, packet, parameters, peer, access, login };
            let mut arriving = session(shared, arrival).await?;
            let login = Box::pin(log_in_in_time(&desk.scratch, &mut arriving));
            let ended = shared.stopping.or(login).await;
            let Arriving { session, server, target, login, .. } = arriving;
            drop(login);
            // Logged in, to an end before that, or to the proxy's.
            let end = match ended {
                Some(None) => return Some(session),
                Some(end) => end,
                None => None,
            };
            let unfit = unfit(end.as_ref(), server, target);
            session.finish(end, unfit).await;
        }
        Ok(Ok(Greeting { client, packet, asked: Asked::Cancel })) => {
            cancel(shared, client, &packet).await;
        }
        Ok(Err(Rejected::Refused(refusal, client))) => refuse(shared, client, &refusal).await,
        Ok(Err(Rejected::Handshake(error))) => {
            shared.metrics.handshake_failed();
            tracing::info!(client = peer, %error, "a client's TLS handshake failed");
        }
        Ok(Err(Rejected::Malformed(reason))) => {
            shared.metrics.unheard(Unheard::Malformed);
            tracing::info!(client = peer, reason, "a client was closed at start-up");
        }
        Ok(Err(Rejected::Left(error))) => {
            shared.metrics.unheard(Unheard::Left);
            tracing::debug!(client = peer, %error, "a client left at start-up");
        }
        Err(_) => {
            shared.metrics.unheard(Unheard::TimedOut);
            let reason = format!("no startup packet within {:?}", shared.limits.startup_timeout);
            tracing::info!(client = peer, reason, "a client was closed at start-up");
        }
    }
    None
}

/// What the client says first, in time; nothing if the proxy ends.
async fn hear(
    shared: &Shared,
    client: Socket,
    access: &Access,
    deadline: Instant,
) -> Option<Result<Result<Greeting, Rejected>, Elapsed>> {
    let hearing = async {
        let mut hearing = pin!(greeting::hear(client, access.tls.client.as_ref()));
        let heard = timeout_at(deadline, hearing.as_mut());
        match shared.draining.or(heard).await {
            Some(heard) => heard,
            // Whoever says nothing does not hold up the end.
            None => timeout(LINGER, hearing).await,
        }
    };
    shared.stopping.or(hearing).await
}

/// A client that asks for a session.
struct Arrival<'a> {
    client: Socket,
    packet: Vec<u8>,
    parameters: StartupParameters,
    peer: String,
    access: Arc<Access>,
    login: LoginPlace<'a>,
}

/// A place among the connections.
struct LoginPlace<'a> {
    of_address: OfAddress,
    departure: Departure,
    /// Among those that are not logged in.
    permit: SemaphorePermit<'a>,
    /// When it is to be.
    deadline: Instant,
}

/// A session that has a server, until its client is logged in.
struct Arriving<'a> {
    session: Box<Established>,
    server: &'a Server,
    /// What the session finds out about the server by its login.
    target: TargetSessionAttrs,
    login: SemaphorePermit<'a>,
    deadline: Instant,
}

async fn session<'a>(shared: &'a Arc<Shared>, arrival: Arrival<'a>) -> Option<Arriving<'a>> {
    let Arrival { mut client, packet, parameters, peer, access, login } = arrival;
    let admitted = shared.memory.admit().and_then(|()| shared.places.session());
    let permit = match admitted {
        Ok(permit) => permit,
        Err(refusal) => {
            refuse(shared, client, &refusal).await;
            return None;
        }
    };
    let LoginPlace { of_address, departure, permit: login, deadline } = login;
    let begun = Box::pin(begin(shared, &access, &mut client, &packet, &parameters, deadline)).await;
    let Reached { socket, heard, server } = match begun {
        Ok(reached) => reached,
        Err(failed) => {
            drop(permit);
            fail(shared, client, &peer, failed).await;
            return None;
        }
    };
    let mut present = shared.metrics.lifetimes.session();
    drop(packet);
    if !parameters.is_protocol_3() {
        present.stands(State::Unread);
        splice(shared, client, socket, &heard).await;
        present.ends(Ending::Unread);
        return None;
    }
    let channel_binding = channel_binding(&access, &client, &socket);
    // Where the proxy logs in by itself, it has made sure of the server already.
    let by_itself = access.users.is_some();
    let target = if by_itself { TargetSessionAttrs::Any } else { shared.upstreams.target };
    let session = Session::new(setup(shared, server, &parameters, channel_binding, target));
    let follower = Follower::new(&shared.rulings, server.number, &parameters);
    let account = Account::new(&shared.memory);
    let connection = Connection::new(session, follower, client, socket, heard, account);
    let log = SessionLog::new(shared, present, peer);
    let session = Established { connection, log, permit, of_address, departure };
    Some(Arriving { session: Box::new(session), server, target, login, deadline })
}

/// A connection to the server, on which the client is logged in where that is for the proxy to do.
async fn begin<'a>(
    shared: &'a Shared,
    access: &Access,
    client: &mut Socket,
    packet: &[u8],
    parameters: &StartupParameters,
    deadline: Instant,
) -> Result<Reached<'a>, Failed> {
    let Some(users) = &access.users else { return upstream::connect(shared, packet).await };
    if !parameters.is_protocol_3() {
        return Err(Refusal::Protocol(parameters.version).into());
    }
    let leg = access.tls.client.as_ref().filter(|_| client.is_encrypted());
    let clients_end = leg.map_or(Binding::None, |leg| leg.end_point.clone());
    let login = Login { client, user: cut(&parameters.user), clients_end };
    let logging_in = async {
        let mut known = login.verify(users).await?;
        let target = shared.upstreams.target;
        match log_in(shared, &mut known, packet, target).await {
            Err(Failed::Refused(_)) if target.at_least() != target => {
                log_in(shared, &mut known, packet, target.at_least()).await
            }
            logged_in => logged_in,
        }
    };
    match shared.stopping.or(timeout_at(deadline, logging_in)).await {
        None => Err(Refusal::Stopping.into()),
        Some(Err(_)) => Err(Refusal::NotLoggedIn.into()),
        Some(Ok(ended)) => ended,
    }
}

/// Logs a client in at the first server that is what is wanted.
async fn log_in<'a>(
    shared: &'a Shared,
    known: &mut Known<'_>,
    packet: &[u8],
    wanted: TargetSessionAttrs,
) -> Result<Reached<'a>, Failed> {
    let mut search = Search::new(shared);
    while let Some(server) = search.next() {
        let at_server = async {
            let mut socket = upstream::greet(shared, server, packet).await?;
            let heard = known.log_in(shared, wanted, server, &mut socket).await?;
            Ok(Reached { socket, heard, server })
        };
        match at_server.await {
            Ok(reached) => return Ok(reached),
            Err(missed) => search.missed(missed)?,
        }
    }
    Err(search.refusal().into())
}

/// Ends a client that got no session.
async fn fail(shared: &Shared, client: Socket, peer: &str, failed: Failed) {
    match failed {
        Failed::Told => close(client, None).await,
        Failed::Client(error) => {
            tracing::debug!(client = peer, %error, "a client was gone before it was logged in");
        }
        Failed::Refused(refusal) => {
            tracing::warn!(client = peer, %refusal, "a session could not begin");
            refuse(shared, client, &refusal).await;
        }
    }
}

/// Whether a login of this client's could be bound to a channel, and to which.
fn channel_binding(access: &Access, client: &Socket, server: &Socket) -> ChannelBinding {
    match (client.is_encrypted(), server.peer_certificate()) {
        _ if access.users.is_some() => ChannelBinding::Passes,
        (false, Some(_)) => ChannelBinding::Withheld,
        (true, Some(certificate)) if !access.tls.is_same_certificate(certificate) => {
            ChannelBinding::Refused
        }
        _ => ChannelBinding::Passes,
    }
}

/// A replication connection has no rules.
fn setup(
    shared: &Shared,
    server: &Server,
    parameters: &StartupParameters,
    channel_binding: ChannelBinding,
    target: TargetSessionAttrs,
) -> Setup {
    let (database, user) = (cut(&parameters.database), cut(&parameters.user));
    let ruling = shared.rulings.current();
    let rules = Arc::clone(&ruling.rules);
    Setup {
        origin: Origin {
            database: String::from_utf8_lossy(database).into_owned(),
            user: String::from_utf8_lossy(user).into_owned(),
            application_name: String::new(),
        },
        rules: if parameters.replication { Arc::default() } else { rules },
        catalog: ruling.catalogs.of(server.number, database),
        inspect: shared.limits.inspect,
        memory: shared.limits.session_memory,
        channel_binding,
        target,
    }
}

/// A name as far as the server reads it: it cuts longer ones by bytes.
pub(super) fn cut(name: &[u8]) -> &[u8] {
    name.get(..NAME_BYTES).unwrap_or(name)
}

/// Runs a session until its client is logged in, or to an end before that.
async fn log_in_in_time(scratch: &Mutex<Vec<u8>>, arriving: &mut Arriving<'_>) -> Option<End> {
    let Arriving { session, server, target, deadline, .. } = arriving;
    let Established { connection, log, .. } = &mut **session;
    let Ok(ended) = timeout_at(*deadline, connection.log_in(scratch, log)).await else {
        return Some(End::NotLoggedIn);
    };
    let has_said = matches!(ended, None | Some(End::Login(LoginRefusal::Target(_))));
    if has_said && *target != TargetSessionAttrs::Any {
        server.has_said(*target, connection.session.attributes());
    }
    ended
}

/// The last word to a client whose server is not what it has to be.
fn unfit(end: Option<&End>, server: &Server, target: TargetSessionAttrs) -> Option<Refusal> {
    let Some(End::Login(LoginRefusal::Target(attributes))) = end else { return None };
    let server = server.address.to_string();
    Some(Refusal::Unfit { server, target, attributes: *attributes })
}

/// Tells a client why it gets no session.
async fn refuse(shared: &Shared, client: Socket, refusal: &Refusal) {
    shared.metrics.refused(refusal);
    close(client, Some(refusal)).await;
}

/// Passes a CancelRequest on, to every server, since it does not say which it is for; those that have
/// no such process ignore it. Closes the client's connection only after the servers have
/// closed theirs: libpq takes that as the sign that the request was processed.
async fn cancel(shared: &Shared, client: Socket, packet: &[u8]) {
    let servers = shared.upstreams.servers();
    let forwarded = join_all(servers.iter().map(|server| forward_cancel(shared, server, packet)));
    if shared.stopping.or(forwarded).await.is_some() {
        close(client, None).await;
    }
}

async fn forward_cancel(shared: &Shared, server: &Server, packet: &[u8]) {
    let forward = async {
        let mut socket = upstream::greet(shared, server, packet).await?;
        let gone = |error| Missed::Here(Refusal::Unreachable(server.address.to_string(), error));
        tokio::io::copy(&mut socket, &mut tokio::io::sink()).await.map_err(gone)
    };
    let address = &server.address;
    match timeout(CANCEL_TIMEOUT, forward).await {
        Ok(Err(Missed::Here(refusal))) => {
            tracing::warn!(%refusal, "a cancel request could not be passed on");
        }
        // Closed, or stopping.
        Ok(_) => {}
        Err(_) => {
            let event = "the server did not close a cancel request's connection in time";
            tracing::warn!(server = %address, "{event}");
        }
    }
}

/// A connection whose protocol the server will refuse in its own words: the bytes are not looked
/// at.
async fn splice(shared: &Shared, mut client: Socket, mut server: Socket, heard: &[u8]) {
    if let Err(error) = client.write_all(heard).await {
        return tracing::debug!(%error, "a connection of another protocol broke");
    }
    let copying = tokio::io::copy_bidirectional(&mut client, &mut server);
    if let Some(Err(error)) = shared.stopping.or(copying).await {
        tracing::debug!(%error, "a connection of another protocol broke");
    }
    drop(server);
    close(client, None).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a task takes while its session is idle: a future is as large as the largest of its moments.
    #[test]
    fn an_idle_session_is_small() {
        fn size<A, B, C, D, F>(_: impl Fn(A, B, C, D) -> F) -> usize {
            size_of::<F>()
        }
        let size = size(serve);
        assert!(size < 640, "{size}");
    }
}
