//! Lengths that cannot be, or promise more than ever comes: the server's answer to its client's, the
//! proxy's to the server's, and no memory for a promise.

use std::fs;

use super::{RULES, TABLES, assert_absorbs, number, wait_for_rest};
use crate::shell::fake::{Backend, Upstream};
use crate::shell::process::Process;
use crate::shell::{fatal, proxy, session};
use crate::support::postgres::{Database, server};
use crate::support::wait_until;
use crate::support::wire::{Wire, lines, message, query, startup, startup_version};

/// Less than a length that counts itself.
const IMPOSSIBLE: [i32; 5] = [0, 3, -1, -5, i32::MIN];

/// What a client may promise before it costs anything, in KiB for each; see what the tests print.
const EACH: u64 = 40;

/// A message with a length of its own, and what comes of its body.
fn promise(tag: u8, length: i32, body: &[u8]) -> Vec<u8> {
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

#[test]
fn of_a_startup_packet_it_is_closed_logged_and_counted() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy(RULES);
    let lengths = IMPOSSIBLE.into_iter().chain([4, 7, 10_005, i32::MAX]);
    let mut count = 0;
    for length in lengths {
        let mut wire = Wire::open(proxy.address());
        wire.send(&[&length.to_be_bytes()[..], &[0, 3, 0, 0], b"user\0u\0\0"].concat());
        let (messages, rest) = wire.rest();
        assert!(messages.is_empty() && rest.is_empty(), "{length}: {messages:?}");
        count += 1;
    }
    assert!(upstream.is_left_alone());
    proxy.output.wait_for("invalid length of startup packet", count);
    let malformed = "pgabsorb_startups_failed_total{reason=\"malformed\"}";
    assert_eq!(number(&proxy, malformed), count as u64);
}

/// Through the proxy and without it, outside BEGIN and inside, behind a duplicate that is being
/// undone as well.
#[test]
fn of_a_clients_message_it_is_the_servers_to_refuse() {
    let database = Database::new();
    database.sql(TABLES);
    let proxy = proxy(RULES);
    let rest = proxy.descriptors();
    assert_absorbs(&mut session(&proxy, &database));
    let begins = [Vec::new(), query("BEGIN"), [query("BEGIN"), query("SELECT 1")].concat()];
    let mut count = 0;
    for tag in *b"QPBSXdpy" {
        for length in IMPOSSIBLE {
            for before in &begins {
                let broken = [before.clone(), promise(tag, length, b"SELECT 1\0")].concat();
                let answer = |address| {
                    let login = startup(&[("database", &database.name)]);
                    let mut wire = Wire::connect(address, &login);
                    wire.send(&broken);
                    let (messages, cut) = wire.rest();
                    assert!(cut.is_empty());
                    lines(&messages)
                };
                let direct = answer(server().address());
                assert_eq!(answer(proxy.address()), direct, "{}", broken.escape_ascii());
                count += 1;
            }
        }
    }
    // What waits for its savepoint is not run over.
    let mut wire = session(&proxy, &database);
    assert!(lines(&wire.query("BEGIN")).contains("BEGIN"));
    let duplicate = query("INSERT INTO t VALUES (0)");
    wire.send(&[duplicate, promise(b'Q', 3, b"")].concat());
    let (messages, _) = wire.rest();
    assert!(!lines(&messages).contains("INSERT 0 1"), "{messages:?}");
    wait_for_rest(&proxy, rest);
    let ended = "pgabsorb_sessions_ended_total{reason=\"client_violation\"}";
    assert_eq!(number(&proxy, ended), count + 1);
    proxy.output.wait_for("the client broke the protocol", usize::try_from(count).unwrap() + 1);
    assert_eq!(number(&proxy, "pgabsorb_sessions_ended_total{reason=\"server_closed\"}"), 0);
}

#[test]
fn of_a_servers_message_it_is_a_fatal_error_wherever_it_comes() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy(RULES);
    let rest = proxy.descriptors();
    let mut count = 0;
    for tag in *b"RZECDNSA1?" {
        for length in IMPOSSIBLE {
            for place in [Place::Login, Place::Rest, Place::Reply, Place::Own] {
                let (mut client, mut backend) = place.reach(&upstream, &proxy);
                backend.send(&promise(tag, length, b"I"));
                let text = fatal(&mut client);
                let said = format!("has the length {length}\n");
                assert!(text.contains("C08P01") && text.contains(&said), "{text}");
                backend.closed();
                count += 1;
            }
        }
    }
    wait_for_rest(&proxy, rest);
    let ended = "pgabsorb_sessions_ended_total{reason=\"protocol_violation\"}";
    assert_eq!(number(&proxy, ended), count);
    proxy.output.wait_for("the server broke the protocol", usize::try_from(count).unwrap());
}

/// Where a server is when it goes wrong.
#[derive(Clone, Copy)]
enum Place {
    Login,
    Rest,
    Reply,
    /// In the reply to the catalog lookup.
    Own,
}

impl Place {
    fn reach(self, upstream: &Upstream, proxy: &Process) -> (Wire, Backend) {
        if matches!(self, Self::Login) {
            let mut client = Wire::open(proxy.address());
            client.send(&startup(&[]));
            let mut backend = upstream.accept();
            backend.packet();
            return (client, backend);
        }
        let (mut client, mut backend) = upstream.session(proxy);
        let sql = match self {
            Self::Reply => "SELECT 1",
            Self::Own => "INSERT INTO t VALUES (0)",
            Self::Login | Self::Rest => return (client, backend),
        };
        client.send(&query(sql));
        // The lookup has a Sync of its own.
        let last = if matches!(self, Self::Own) { b'S' } else { b'Q' };
        while backend.message() != last {}
        (client, backend)
    }
}

/// Messages that are looked at, messages that pass, shorter and longer than `[limits] inspect`.
#[test]
fn what_is_only_promised_takes_no_memory() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy(RULES);
    let (mut first, mut backend) = upstream.session(&proxy);
    first.send(&query("SELECT 1"));
    assert_eq!(backend.message(), b'Q');
    let before = proxy.memory();
    let mut sessions = Vec::new();
    for length in [i32::MAX, 1 << 30, 1 << 20] {
        for tag in *b"QPBdFp" {
            let (mut client, backend) = upstream.session(&proxy);
            client.send(&promise(tag, length, b"x"));
            sessions.push((client, backend));
        }
        for tag in *b"ZEDTNSd" {
            let (client, mut backend) = upstream.session(&proxy);
            backend.send(&promise(tag, length, b"x"));
            sessions.push((client, backend));
        }
    }
    let read = "pgabsorb_bytes_total{direction=\"from_server\"}";
    let greeting = 28 * (sessions.len() as u64 + 1);
    let promised = 3 * 7 * 6;
    wait_until("all is read", || number(&proxy, read) == greeting + promised);
    let sent = "pgabsorb_bytes_total{direction=\"from_client\"}";
    let asked = query("SELECT 1").len() as u64 + 3 * 6 * 6;
    wait_until("all is read", || number(&proxy, sent) == asked);
    let after = proxy.memory();
    println!("{} promises: {before} KiB, then {after}", sessions.len());
    assert!(after < before + EACH * sessions.len() as u64, "{before} KiB, then {after}");
    // The first goes on.
    backend.send(&[message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat());
    assert_eq!(first.until(b'Z', 1).len(), 2);
}

// === Where the proxy makes sure of clients ===

/// A proxy with one user, whose password is secret.
fn with_users(upstream: &Upstream) -> (Process, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("users");
    fs::write(&path, "\"u\" \"secret\"\n").unwrap();
    let auth = format!("[auth]\nmode = 'scram'\nusers = '{}'\n", path.display());
    (upstream.proxy(&format!("{RULES}{auth}")), directory)
}

#[test]
fn of_an_answer_at_the_login_it_is_a_fatal_error() {
    let upstream = Upstream::bind();
    let (proxy, _users) = with_users(&upstream);
    let lengths = IMPOSSIBLE.into_iter().chain([65_540, i32::MAX]);
    let mut count = 0;
    for length in lengths {
        let mut client = Wire::open(proxy.address());
        client.send(&startup_version(0x0003_0000, &[("user", "u")]));
        assert_eq!(client.message().map(|it| it.tag), Some(b'R'));
        client.send(&promise(b'p', length, b"x"));
        let text = fatal(&mut client);
        assert!(text.contains("C08P01") && text.contains(&format!("length {length}")), "{text}");
        count += 1;
    }
    assert!(upstream.is_left_alone());
    proxy.output.wait_for("invalid message length", count);
    let refused = "pgabsorb_sessions_refused_total{reason=\"not_authenticated\"}";
    assert_eq!(number(&proxy, refused), count as u64);
}

#[test]
fn of_a_servers_word_at_the_proxys_login_it_is_one_too() {
    let upstream = Upstream::bind();
    let (proxy, _users) = with_users(&upstream);
    let port = proxy.address().port();
    let lengths = IMPOSSIBLE.into_iter().chain([(1 << 20) + 5, i32::MAX]);
    let mut count = 0;
    for length in lengths {
        let login = std::thread::spawn(move || {
            let text = format!("host=127.0.0.1 port={port} user=u password=secret");
            let error = postgres::Client::connect(&text, postgres::NoTls).err().unwrap();
            let error = error.as_db_error().expect("a word of the proxy's");
            (error.code().code().to_owned(), error.message().to_owned())
        });
        let mut backend = upstream.accept();
        backend.packet();
        backend.send(&promise(b'R', length, b"\0\0"));
        let (code, said) = login.join().unwrap();
        assert_eq!(code, "08P01", "{said}");
        assert!(said.contains(&format!("length {length}")), "{said}");
        backend.closed();
        count += 1;
    }
    let refused = "pgabsorb_sessions_refused_total{reason=\"protocol_violation\"}";
    assert_eq!(number(&proxy, refused), count);
}
