use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;

use tokio::runtime::{Builder, Runtime};

use crate::config::{Address, KeyValues, Limits};
use crate::proxy::access::Access;
use crate::proxy::connection::Connection;
use crate::proxy::log::SessionLog;
use crate::proxy::memory::Account;
use crate::proxy::pulse::{Duty, Phase as Proxys, Pulse};
use crate::proxy::ruling::Follower;
use crate::proxy::socket::{Detached, Socket};
use crate::proxy::worker::Departure;
use crate::proxy::{LostLines, Proxy, Settings};
use crate::rules::{Origin, Ruleset};
use crate::session::login::ChannelBinding;
use crate::session::{Session, Setup};
use crate::wire::build::message;
use crate::wire::startup::StartupParameters;
use crate::wire::target::TargetSessionAttrs;

use super::*;

const NOTICE: [u8; 11] = *b"N\0\0\0\x0aM1234\0";

/// A proxy that serves nobody, whose parts the sessions need.
fn proxy() -> Proxy {
    let here = |port| Address::Tcp { host: Ipv4Addr::LOCALHOST.to_string(), port };
    let settings = Settings {
        listen: vec![here(0)],
        inherited: Vec::new(),
        reuse_port: false,
        upstream: vec![here(1)],
        target_session_attrs: TargetSessionAttrs::Any,
        access: Access::default(),
        admin: None,
        admin_reload: false,
        fingerprint: String::new(),
        limits: Limits::default(),
        rules: Ruleset::default(),
        key_values: KeyValues::default(),
        lost_lines: LostLines::default(),
    };
    Proxy::bind(settings).unwrap()
}

/// A session whose server has let its client in, with the other ends of its sockets: the client's and
/// the server's.
fn session(proxy: &Proxy) -> (Box<Established>, UnixStream, UnixStream) {
    let shared = &proxy.shared;
    let ruling = shared.rulings.current();
    let setup = Setup {
        origin: Origin::default(),
        rules: Arc::clone(&ruling.rules),
        catalog: ruling.catalogs.of(0, b"d"),
        inspect: 1 << 20,
        memory: 1 << 24,
        channel_binding: ChannelBinding::default(),
        target: TargetSessionAttrs::Any,
    };
    let parameters = StartupParameters {
        version: 0x0003_0000,
        user: b"u".to_vec(),
        database: b"d".to_vec(),
        replication: false,
    };
    let pair = || {
        let (here, there) = UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        (Socket::Unwatched(Some(Detached::Unix(here))), there)
    };
    let ((to_client, client), (to_server, server)) = (pair(), pair());
    let present = shared.metrics.lifetimes.session();
    let session = Established {
        connection: Connection::new(
            Session::new(setup),
            Follower::new(&shared.rulings, 0, &parameters),
            to_client,
            to_server,
            message(b'Z', b"I").to_vec(),
            Account::new(&shared.memory),
        ),
        log: SessionLog::new(shared, present, "unix".to_owned()),
        permit: shared.places.session().unwrap(),
        of_address: shared.places.of_address("unix").unwrap(),
        departure: Departure::of_nobody(),
    };
    (Box::new(session), client, server)
}

fn hall(runtime: &Runtime, scratch: usize) -> (Hall, Orders) {
    let poll = mio::Poll::new().unwrap();
    let waker = Arc::new(mio::Waker::new(poll.registry(), ORDERS).unwrap());
    let (sender, orders) = mpsc::channel();
    let hall = Hall {
        poll,
        orders,
        runtime: runtime.handle().clone(),
        sessions: Slab::new(),
        queue: VecDeque::new(),
        scratch: vec![0; scratch],
        again: Arc::default(),
        phase: Phase::Runs,
    };
    (hall, Orders { sender, waker })
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// All turns that are due without another word of the kernel's; whose they were.
fn turns(hall: &mut Hall) -> Vec<usize> {
    let waker = Waker::from(Arc::clone(&hall.again));
    let mut turns = Vec::new();
    while let Some(key) = hall.queue.pop_front() {
        turns.push(key);
        hall.turn(key, &mut Context::from_waker(&waker));
    }
    turns
}

#[test]
fn who_has_more_to_do_than_a_turn_allows_goes_on_behind_the_others() {
    let (proxy, runtime) = (proxy(), runtime());
    let (mut hall, orders) = hall(&runtime, 16);
    let (session_of_much, mut client, mut server) = session(&proxy);
    let (session_of_little, _client, _server) = session(&proxy);
    let notices = NOTICE.repeat(200);
    server.write_all(&notices).unwrap();
    for session in [session_of_much, session_of_little] {
        orders.take(session).unwrap();
    }
    hall.hear();
    let turns = turns(&mut hall);
    assert!(turns.starts_with(&[0, 1, 0, 0]), "{turns:?}");
    let mut told = vec![0; 6 + notices.len()];
    client.read_exact(&mut told).unwrap();
    assert_eq!(told, [&message(b'Z', b"I")[..], &notices].concat());
}

#[test]
fn a_drain_ends_who_is_there_at_rest_and_whoever_comes() {
    let (proxy, runtime) = (proxy(), runtime());
    let (mut hall, orders) = hall(&runtime, 64);
    let (first, _client, mut server) = session(&proxy);
    orders.take(first).unwrap();
    hall.hear();
    turns(&mut hall);
    assert_eq!(hall.sessions.len(), 1);
    let (second, _client, _server) = session(&proxy);
    let (mut newest, _client, _server) = session(&proxy);
    newest.connection.drain_after_one();
    orders.drain();
    orders.take(second).unwrap();
    orders.take(newest).unwrap();
    hall.hear();
    turns(&mut hall);
    assert_eq!(hall.sessions.len(), 1, "only who has just come may have a transaction");
    let mut goodbye = [0; 5];
    server.read_exact(&mut goodbye).unwrap();
    assert_eq!(goodbye, *b"X\0\0\0\x04");
}

#[test]
fn a_stop_ends_all_and_whoever_comes() {
    let (proxy, runtime) = (proxy(), runtime());
    let (mut hall, orders) = hall(&runtime, 64);
    let (first, mut client, _server) = session(&proxy);
    let (second, mut late, _server) = session(&proxy);
    orders.take(first).unwrap();
    orders.stop();
    orders.take(second).unwrap();
    hall.hear();
    assert!(hall.sessions.is_empty() && hall.phase == Phase::Stops);
    let told = thread::spawn(move || {
        [&mut client, &mut late].map(|client| {
            let mut told = Vec::new();
            client.read_to_end(&mut told).unwrap();
            told
        })
    });
    while !told.is_finished() {
        runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
    }
    for told in told.join().unwrap() {
        let told = told.escape_ascii().to_string();
        assert!(told.contains("C57P01") && told.contains("pgabsorb is stopping"), "{told}");
    }
}

#[test]
fn whom_no_relay_takes_comes_back() {
    let (proxy, runtime) = (proxy(), runtime());
    let (hall, orders) = hall(&runtime, 64);
    drop(hall);
    let (session, ..) = session(&proxy);
    assert!(orders.take(session).is_err());
}

#[test]
fn a_relay_answers_until_it_ends() {
    let runtime = runtime();
    let relay = Relay::start(0, runtime.handle().clone()).unwrap();
    let pulse = Pulse::default();
    pulse.watch(Duty::Serve, relay.orders());
    assert!(pulse.beats(Duration::from_secs(30), Proxys::Runs));
    relay.quit();
    assert!(!pulse.beats(Duration::from_secs(30), Proxys::Runs));
    assert!(pulse.beats(Duration::from_secs(30), Proxys::Stops));
}
