//! Connections that come to nothing, and how the client learns why.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use pgabsorb::cli::throwaway::{Options, Throwaway};
use socket2::{Domain, Socket, Type};

use super::fake::{self, Upstream};
use super::process::{Process, client};
use super::{fatal, has, is_fatal, proxy, session};
use crate::support::postgres::{Database, server};
use crate::support::wire::{
    Wire, message, packet, query, ssl_request, startup, startup_version, terminate,
};
use crate::support::{PATIENCE, wait_until};

/// A port where nothing listens: it is taken, so that nobody else gets it, and not listened on.
pub fn dead_port() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

#[test]
fn a_server_that_is_not_there_is_a_fatal_error_that_makes_clients_try_the_next_host() {
    let (_held, nowhere) = dead_port();
    let proxy = Process::start("", &nowhere.to_string());
    for ask_for_tls in [false, true] {
        let mut wire = Wire::open(proxy.address());
        if ask_for_tls {
            wire.send(&ssl_request());
            assert_eq!(wire.byte(), Some(b'N'));
        }
        wire.send(&startup(&[]));
        let text = fatal(&mut wire);
        assert!(text.contains("C57P03") && text.contains(&nowhere.to_string()), "{text}");
    }

    let (host, port) = ("127.0.0.1", proxy.address().port().to_string());
    let (status, printed) = client("pg_isready", &["-h", host, "-p", &port]);
    assert_eq!(status, Some(1), "{printed}");
    assert!(printed.contains("rejecting connections"), "{printed}");

    let ports = format!("{port},{}", server().port());
    let (status, printed) =
        client("psql", &["-XAtc", "SELECT 6 * 7", "-h", "127.0.0.1,127.0.0.1", "-p", &ports]);
    assert_eq!((status, printed.trim()), (Some(0), "42"));
}

#[test]
fn a_server_that_does_not_answer_in_time_is_a_fatal_error_too() {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    // Once the queue of connections to accept is full, the kernel answers no more.
    let mut queue = Vec::new();
    while let Ok(queued) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        queue.push(queued);
    }
    let proxy = Process::start("limits.connect_timeout = '200ms'", &address.to_string());
    let began = Instant::now();
    let mut wire = Wire::open(proxy.address());
    wire.send(&startup(&[]));
    let text = fatal(&mut wire);
    assert!(text.contains("C57P03") && text.contains("within 200ms"), "{text}");
    assert!(began.elapsed() >= Duration::from_millis(200));
}

#[test]
fn a_full_proxy_refuses_sessions_but_not_cancels_until_one_leaves() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy("limits.connections = 1");
    let (mut first, mut backend) = upstream.session(&proxy);

    let mut second = Wire::open(proxy.address());
    second.send(&startup(&[]));
    let text = fatal(&mut second);
    assert!(text.contains("C53300") && text.contains("too many clients already"), "{text}");
    assert!(upstream.is_left_alone());

    let request = packet(80_877_102, &[7; 8]);
    let mut cancel = Wire::open(proxy.address());
    cancel.send(&request);
    let mut forwarded = upstream.accept();
    assert_eq!(forwarded.packet(), request);
    drop(forwarded);
    assert!(cancel.rest().0.is_empty());

    first.send(&terminate());
    assert_eq!(backend.message(), b'X');
    drop(backend);
    assert!(first.rest().0.is_empty());
    // Whoever has seen the end of a session finds its place free.
    upstream.session(&proxy);
}

#[test]
fn a_full_server_speaks_for_itself() {
    let options = Options::default()
        .setting("max_connections", "4")
        .setting("superuser_reserved_connections", "1")
        .setting("max_wal_senders", "0");
    let full = Throwaway::start(&options).unwrap();
    Wire::connect(full.address(), &startup(&[])).query("CREATE ROLE guest LOGIN");
    let proxy = Process::start("", &full.address().to_string());
    let guest = startup_version(0x0003_0000, &[("user", "guest"), ("database", "postgres")]);
    let mut guests = Vec::new();
    let refusal = loop {
        assert!(guests.len() < 4, "the server has no limit");
        let mut wire = Wire::open(proxy.address());
        wire.send(&guest);
        let reply = wire.until(b'Z', 1);
        if let Some(refusal) = reply.into_iter().find(is_fatal) {
            break refusal.to_string();
        }
        guests.push(wire);
    };
    assert!(refusal.contains("C53300") && refusal.contains("are reserved for"), "{refusal}");
}

#[test]
fn a_client_that_has_sent_a_megabyte_still_reads_why_it_was_refused() {
    let (_held, nowhere) = dead_port();
    let proxy = Process::start("", &nowhere.to_string());
    let mut wire = Wire::open(proxy.address());
    wire.send(&[startup(&[]), query(&"x".repeat(1 << 20))].concat());
    let text = fatal(&mut wire);
    assert!(text.contains("C57P03"), "{text}");
}

#[test]
fn a_client_that_has_sent_a_megabyte_still_reads_what_the_server_said_last() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy("");
    let (mut client, mut backend) = upstream.session(&proxy);
    client.send(&query(&"x".repeat(1 << 20)));
    backend.send(&fake::fatal("57P01", "going away"));
    // Dropped with input unread, the connection is reset.
    drop(backend);
    let text = fatal(&mut client);
    assert!(text.contains("C57P01") && text.contains("going away"), "{text}");
}

#[test]
fn a_second_request_for_encryption_is_refused_as_the_server_does() {
    let proxy = proxy("");
    let gssenc = packet(80_877_104, b"");
    for (first, second) in
        [(ssl_request(), ssl_request()), (gssenc.clone(), gssenc.clone()), (ssl_request(), gssenc)]
    {
        let mut wire = Wire::open(proxy.address());
        wire.send(&first);
        assert_eq!(wire.byte(), Some(b'N'));
        wire.send(&second);
        if first == second {
            let text = fatal(&mut wire);
            assert!(text.contains("C0A000 Munsupported frontend protocol 1234.56"), "{text}");
        } else {
            assert_eq!(wire.byte(), Some(b'N'));
            wire.send(&startup(&[]));
            assert!(!wire.until(b'Z', 1).iter().any(is_fatal));
        }
    }
}

#[test]
fn what_is_no_startup_packet_is_closed_without_a_word_and_without_the_server() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy("");
    let length = |length: u32| [&length.to_be_bytes()[..], &[0; 12]].concat();
    let too_long = startup(&[("application_name", &"a".repeat(10_005))]);
    let inputs = [
        length(0),
        length(4),
        length(7),
        length(10_005),
        length(i32::MAX as u32),
        length(u32::MAX),
        too_long,
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
    ];
    for input in inputs {
        let mut wire = Wire::open(proxy.address());
        wire.send(&input);
        let (messages, rest) = wire.rest();
        assert!(messages.is_empty() && rest.is_empty(), "{}", input.escape_ascii());
    }
    assert!(upstream.is_left_alone());
}

#[test]
fn a_client_that_says_nothing_is_closed_in_time_and_takes_no_place() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy("limits = { connections = 1, startup_timeout = '500ms' }");
    let began = Instant::now();
    let mut silent = Wire::open(proxy.address());
    let mut halting = Wire::open(proxy.address());
    halting.send(&startup(&[])[..9]);
    let (_client, _backend) = upstream.session(&proxy);
    for wire in [&mut silent, &mut halting] {
        let (messages, rest) = wire.rest();
        assert!(messages.is_empty() && rest.is_empty());
    }
    assert!(began.elapsed() >= Duration::from_millis(500));
    assert!(began.elapsed() < PATIENCE / 2);
}

#[test]
fn a_client_that_does_not_log_in_in_time_is_told_so_and_leaves_its_place() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy("limits.startup_timeout = '300ms'");
    let mut client = Wire::open(proxy.address());
    client.send(&startup(&[]));
    let mut backend = upstream.accept();
    backend.packet();
    let (mut other, mut others) = upstream.session(&proxy);
    assert!(fatal(&mut client).contains("C57014"));
    backend.closed();
    // A session that has begun is not concerned.
    other.send(&query("SELECT 1"));
    assert_eq!(others.message(), b'Q');
    others.send(&message(b'Z', b"I"));
    assert_eq!(other.until(b'Z', 1).len(), 1);
}

#[test]
fn a_proxy_that_runs_out_of_descriptors_serves_again_once_it_has_some() {
    let (_held, nowhere) = dead_port();
    let proxy = Process::start("", &nowhere.to_string());
    proxy.limit_descriptors(40);
    let crowd: Vec<_> = (0..60).map(|_| TcpStream::connect(proxy.address()).unwrap()).collect();
    proxy.output.wait_for("a client could not be accepted", 2);
    drop(crowd);
    let mut wire = Wire::open(proxy.address());
    wire.send(&startup(&[]));
    let text = fatal(&mut wire);
    assert!(text.contains("Connection refused"), "{text}");
}

#[test]
fn an_address_has_so_many_clients_and_no_more() {
    let database = Database::new();
    let proxy = proxy("limits.connections_per_address = 2");
    let first = session(&proxy, &database);
    let second = session(&proxy, &database);
    let text = fatal(&mut Wire::open(proxy.address()));
    assert!(text.contains("C53300") && text.contains("2 of this address"), "{text}");
    drop(second);
    wait_until("a place is given back", || {
        let mut wire = Wire::open(proxy.address());
        wire.send(&startup(&[]));
        has(&wire.until(b'Z', 1), "ReadyForQuery")
    });
    drop(first);
}

#[test]
fn so_many_may_be_on_their_way_to_a_login() {
    let database = Database::new();
    let proxy = proxy("limits.logins = 2");
    // Those that are logged in are not.
    let sessions: Vec<_> = (0..4).map(|_| session(&proxy, &database)).collect();
    let mut silent = Vec::new();
    // Whichever comes first gets the place.
    wait_until("both are taken", || {
        silent.push(Wire::open(proxy.address()));
        let mut wire = Wire::open(proxy.address());
        wire.send(&startup(&[]));
        has(&wire.until(b'Z', 1), "2 that are logging in")
    });
    drop(silent);
    wait_until("a place is given back", || {
        let mut wire = Wire::open(proxy.address());
        wire.send(&startup(&[]));
        has(&wire.until(b'Z', 1), "ReadyForQuery")
    });
    drop(sessions);
}
