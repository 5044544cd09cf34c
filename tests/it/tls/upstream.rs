//! Encryption between the proxy and the server: whom the proxy trusts, and what it makes of servers
//! that answer otherwise.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use pgabsorb::cli::throwaway::{Options, Throwaway};

use crate::shell::process::Process;
use crate::support::wire::{Wire, lines, startup};

use super::{file, server, server_tls};

const TLS_SEEN: &str = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

/// What one session sees of its server connection, or the FATAL that there is instead.
fn see(config: &str, upstream: &str) -> String {
    let proxy = Process::start(config, upstream);
    let mut wire = Wire::open(proxy.address());
    wire.send(&startup(&[]));
    let greeting = wire.until(b'Z', 1);
    if greeting.last().is_some_and(|message| message.tag == b'Z') {
        return lines(&wire.query(TLS_SEEN));
    }
    lines(&greeting)
}

fn at(host: &str) -> String {
    format!("{host}:{}", server().port())
}

fn ca(mode: &str, name: &str) -> String {
    format!("[server_tls]\nmode = '{mode}'\nca = '{}'\n", file(name).display())
}

#[test]
fn the_server_is_spoken_to_as_the_mode_says() {
    for mode in ["prefer", "require", "verify-ca", "verify-full"] {
        let seen = see(&server_tls(mode), &at("localhost"));
        assert!(seen.contains("TLSv1.3"), "{mode}: {seen}");
    }
    assert!(!see("[server_tls]\nmode = 'disable'", &at("localhost")).contains("TLS"));
    assert!(!see("", &at("localhost")).contains("TLS"));
}

#[test]
fn a_server_that_the_roots_do_not_know_is_refused() {
    for mode in ["verify-ca", "verify-full"] {
        let refused = see(&ca(mode, "other.crt"), &at("localhost"));
        assert!(refused.contains("C57P03") && refused.contains("UnknownIssuer"), "{refused}");
    }
}

#[test]
fn a_server_of_another_name_is_refused_where_names_count() {
    let config = |mode| ca(mode, "root.crt") + "name = 'db.internal'\n";
    let refused = see(&config("verify-full"), &at("localhost"));
    assert!(refused.contains("C57P03") && refused.contains("db.internal"), "{refused}");
    assert!(see(&config("verify-ca"), &at("localhost")).contains("TLSv1.3"));
    // An address is a name that a certificate may be for.
    assert!(see(&ca("verify-full", "root.crt"), &at("127.0.0.1")).contains("TLSv1.3"));
}

/// `openssl req -x509` makes a certificate that is its own root, and may sign others.
#[test]
fn a_server_that_is_its_own_root_is_known_by_its_certificate() {
    let (certificate, key) = (
        std::fs::read_to_string(file("own.crt")).unwrap(),
        std::fs::read_to_string(file("own.key")).unwrap(),
    );
    let options = Options::default()
        .setting("ssl", "on")
        .setting("ssl_cert_file", "../own.crt")
        .setting("ssl_key_file", "../own.key")
        .file("own.crt", &certificate)
        .file("own.key", &key);
    let own = Throwaway::start(&options).unwrap_or_else(|error| panic!("{error}"));
    let upstream = format!("localhost:{}", own.port());
    assert!(see(&ca("verify-full", "own.crt"), &upstream).contains("TLSv1.3"));
    let named = ca("verify-full", "own.crt") + "name = 'db.internal'\n";
    assert!(see(&named, &upstream).contains("C57P03"));
    assert!(see(&ca("verify-ca", "root.crt"), &upstream).contains("C57P03"));
}

#[test]
fn a_server_without_tls_is_for_those_who_only_prefer_it() {
    let plain = crate::support::postgres::server().address().to_string();
    assert!(!see("[server_tls]\nmode = 'prefer'", &plain).contains("C57P03"));
    let refused = see("[server_tls]\nmode = 'require'", &plain);
    assert!(refused.contains("C57P03") && refused.contains("does not support TLS"), "{refused}");
}

/// Nothing that a server says ahead of the handshake is anything but its answer (CVE-2021-23222),
/// and what it says of an error is not shown (CVE-2024-10977).
#[test]
fn what_an_attacker_says_before_the_handshake_comes_to_nothing() {
    let injected = b"SR\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
    let error = b"E\0\0\0\x1eSFATAL\0C28000\0Minjected\0\0";
    for answer in [&injected[..], error, b"X", b""] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answer = answer.to_vec();
        let attacker = thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            client.read_exact(&mut [0; 8]).unwrap();
            client.write_all(&answer).unwrap();
            drop(client);
        });
        let refused = see("[server_tls]\nmode = 'prefer'", &address);
        assert!(refused.contains("C57P03"), "{refused}");
        assert!(!refused.contains("injected"), "{refused}");
        attacker.join().unwrap();
    }
}
