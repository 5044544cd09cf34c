//! How encryption between a client and the proxy begins, and what else may come in its place.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::{fs, thread};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConnection, StreamOwned};

use crate::shell::one_query;
use crate::shell::process::Process;
use crate::support::version::version;
use crate::support::wire::{
    Wire, cancel_request, lines, packet, query, ssl_request, startup, startup_version, terminate,
};
use crate::support::{PATIENCE, wait_until};

use super::{client_tls, file, proxy, server_tls, trusting};

const GSSENC_REQUEST: u32 = 80_877_104;
const ALPN: &[&[u8]] = &[b"postgresql"];

#[test]
fn a_request_is_answered_and_the_handshake_follows() {
    let proxy = proxy(&client_tls("require", "proxy"));
    let mut stream = connect(proxy.address());
    stream.write_all(&packet(GSSENC_REQUEST, b"")).unwrap();
    assert_eq!(byte(&mut stream), Some(b'N'));
    stream.write_all(&ssl_request()).unwrap();
    assert_eq!(byte(&mut stream), Some(b'S'));
    let reply = one_query(encrypt(stream, &[], None), "SELECT 'through'");
    assert!(reply.contains("through"), "{reply}");
}

#[test]
fn a_handshake_without_a_request_needs_alpn() {
    let proxy = proxy(&client_tls("allow", "proxy"));
    let reply = one_query(encrypt(connect(proxy.address()), ALPN, None), "SELECT 'through'");
    assert!(reply.contains("through"), "{reply}");

    let mut without = encrypt(connect(proxy.address()), &[], None);
    // The server closes such a connection without a word as well.
    let mut rest = Vec::new();
    let ended = without.write_all(&startup(&[])).and_then(|()| without.read_to_end(&mut rest));
    assert!(rest.is_empty(), "{ended:?} {}", rest.escape_ascii());
}

#[test]
fn encryption_is_asked_for_once() {
    let proxy = proxy(&client_tls("allow", "proxy"));
    for request in [ssl_request(), packet(GSSENC_REQUEST, b"")] {
        let mut stream = encrypt(connect(proxy.address()), ALPN, None);
        stream.write_all(&request).unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        let reply = reply.escape_ascii().to_string();
        assert!(reply.contains("C0A000") && reply.contains("FATAL"), "{reply}");
    }
}

/// CVE-2021-23214: what stands in plain text behind the request must never be taken for what the
/// client has said.
#[test]
fn plain_text_behind_the_request_spoils_the_handshake() {
    let proxy = proxy(&client_tls("allow", "proxy"));
    let mut stream = connect(proxy.address());
    let injected = [ssl_request(), startup(&[]), query("SELECT 'injected'"), terminate()].concat();
    stream.write_all(&injected).unwrap();
    let mut reply = Vec::new();
    // The end may be a reset: the handshake leaves the rest unread.
    let _ = stream.read_to_end(&mut reply);
    assert_eq!(reply.first(), Some(&b'S'));
    assert!(reply.len() < 16 && !reply.escape_ascii().to_string().contains("injected"));
    proxy.output.wait_for("TLS handshake failed", 1);
}

#[test]
fn a_client_without_encryption_is_told_so() {
    let proxy = proxy(&client_tls("require", "proxy"));
    let mut wire = Wire::open(proxy.address());
    wire.send(&startup(&[]));
    let reply = lines(&wire.rest().0);
    assert!(reply.contains("C28000") && reply.contains("sslmode=require"), "{reply}");
}

/// As with the server, where `hostssl` says nothing of them.
#[test]
fn a_unix_socket_needs_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let upstream = super::server().address().to_string();
    let proxy = Process::run(&client_tls("require", "proxy"), |command| {
        let listen = format!("127.0.0.1:0,unix:{}", path.display());
        command.args(["--listen", &listen, "--upstream", &upstream]);
    });
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(&ssl_request()).unwrap();
    assert_eq!(byte(&mut stream), Some(b'N'));
    assert!(one_query(stream, "SELECT 'through'").contains("through"));
    drop(proxy);
}

/// libpq before 17 cancels in plain text, whatever the session is. In protocol 3.2 keys are longer,
/// where the server has it.
#[test]
fn a_cancel_request_passes_with_and_without() {
    let config = client_tls("require", "proxy") + &server_tls("require");
    let proxy = proxy(&config);
    for (encrypted, protocol) in [(true, 0), (false, 0), (true, 2), (false, 2)] {
        let mut session = encrypt(connect(proxy.address()), ALPN, None);
        let hello = startup_version(3 << 16 | protocol, &[("user", "postgres")]);
        session.write_all(&hello).unwrap();
        let greeting = read_until(&mut session, b'Z');
        let key = greeting.iter().find(|(tag, _)| *tag == b'K').unwrap().1.clone();
        let secret = if protocol == 2 && version() >= 18 { 32 } else { 4 };
        assert_eq!(key.len(), 4 + secret);
        session.write_all(&query("SELECT pg_sleep(1000)")).unwrap();
        let address = proxy.address();
        wait_until("the query begins", || !stopped(&key));
        let canceller = thread::spawn(move || {
            // A cancel between two of its steps may have no effect.
            loop {
                let stream = connect(address);
                let request = cancel_request(&key);
                let closed = if encrypted {
                    let mut stream = encrypt(stream, ALPN, None);
                    stream.write_all(&request).unwrap();
                    stream.read_to_end(&mut Vec::new())
                } else {
                    (&stream).write_all(&request).unwrap();
                    (&stream).read_to_end(&mut Vec::new())
                };
                closed.unwrap();
                if stopped(&key) {
                    return;
                }
            }
        });
        let reply = read_until(&mut session, b'Z');
        let error = reply.iter().find(|(tag, _)| *tag == b'E').unwrap();
        assert!(error.1.escape_ascii().to_string().contains("C57014"), "{encrypted}");
        session.write_all(&terminate()).unwrap();
        canceller.join().unwrap();
    }
}

/// Whether the session's query is over.
fn stopped(key: &[u8]) -> bool {
    let pid = i32::from_be_bytes(*key.first_chunk().unwrap());
    let sql = format!(
        "SELECT count(*) AS busy FROM pg_stat_activity WHERE pid = {pid} AND state = 'active'"
    );
    let mut wire = Wire::connect(super::server().address(), &startup(&[]));
    lines(&wire.query(&sql)).contains("\"\\x00\\x01\\x00\\x00\\x00\\x010\"")
}

#[test]
fn clients_show_certificates_where_they_have_to() {
    let with = |word: &str| {
        let ca = format!("ca = '{}'\nclient_certificate = '{word}'\n", file("root.crt").display());
        proxy(&(client_tls("require", "proxy") + &ca))
    };
    let (optional, required) = (with("optional"), with("require"));
    let get_in = |proxy: &Process, identity: Option<&str>| -> bool {
        let mut stream = encrypt(connect(proxy.address()), ALPN, identity);
        let hello = [startup(&[]), query("SELECT 'through'"), terminate()].concat();
        let mut reply = Vec::new();
        let asked = stream.write_all(&hello).and_then(|()| stream.read_to_end(&mut reply));
        asked.is_ok() && reply.escape_ascii().to_string().contains("through")
    };
    assert!(get_in(&optional, None));
    assert!(get_in(&optional, Some("cert")));
    assert!(!get_in(&optional, Some("stranger")));
    assert!(!get_in(&required, None));
    assert!(get_in(&required, Some("cert")));
    assert!(!get_in(&required, Some("stranger")));
    required.output.wait_for("TLS handshake failed", 2);
}

#[test]
fn a_listed_duplicate_is_absorbed_over_tls() {
    let rule = "[[rule]]\nid = 'r'\nconstraint = 'absorbed_over_tls_pkey'\n";
    let config = client_tls("require", "proxy") + &server_tls("verify-full") + rule;
    let proxy = proxy(&config);
    let mut direct = Wire::connect(super::server().address(), &startup(&[]));
    direct.query("CREATE TABLE absorbed_over_tls (id int PRIMARY KEY)");
    for tag in ["INSERT 0 1", "INSERT 0 0"] {
        let stream = encrypt(connect(proxy.address()), ALPN, None);
        let reply = one_query(stream, "INSERT INTO absorbed_over_tls VALUES (1)");
        assert!(reply.contains(tag), "{reply}");
    }
}

/// More than every buffer on the way holds, in both directions at once, to a client that reads only
/// when it has written all.
#[test]
fn much_passes_both_ways() {
    let config = client_tls("require", "proxy") + &server_tls("require");
    let proxy = proxy(&config);
    let mut stream = encrypt(connect(proxy.address()), ALPN, None);
    let value = "v".repeat(1 << 20);
    let text = format!("SELECT length('{value}'), repeat('w', 1 << 24)");
    stream.write_all(&[startup(&[]), query(&text), terminate()].concat()).unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    assert!(reply.len() > 1 << 24, "{}", reply.len());
    assert!(reply.escape_ascii().to_string().contains("1048576"));
}

pub(super) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Speaks TLS from here on, with whoever has the proxy's name and root.
pub(super) fn encrypt(
    stream: TcpStream,
    alpn: &[&[u8]],
    identity: Option<&str>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let builder = trusting(&fs::read(file("root.crt")).unwrap());
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let read = |kind| fs::read(file(&format!("{name}.{kind}"))).unwrap();
            let certificate = CertificateDer::from_pem_slice(&read("crt")).unwrap();
            let key = PrivateKeyDer::from_pem_slice(&read("key")).unwrap();
            builder.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    config.alpn_protocols = alpn.iter().map(|it| it.to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
}

fn byte(stream: &mut impl Read) -> Option<u8> {
    let mut byte = [0];
    stream.read_exact(&mut byte).ok().map(|()| byte[0])
}

/// The messages up to one with this tag.
fn read_until(stream: &mut impl Read, tag: u8) -> Vec<(u8, Vec<u8>)> {
    let mut messages = Vec::new();
    loop {
        let mut header = [0; 5];
        stream.read_exact(&mut header).unwrap();
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        let mut body = vec![0; length as usize - 4];
        stream.read_exact(&mut body).unwrap();
        messages.push((header[0], body));
        if header[0] == tag {
            return messages;
        }
    }
}
