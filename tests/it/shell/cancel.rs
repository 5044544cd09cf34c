//! CancelRequests, which come on connections of their own.

use super::fake::Upstream;
use super::{has, proxy};
use crate::support::postgres::{Database, server};
use crate::support::wire::{Wire, cancel_request, query, ssl_request, startup};
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn a_cancel_request_cancels_also_after_a_request_for_encryption() {
    let (database, proxy) = (Database::new(), proxy(""));
    for ask_for_tls in [false, true] {
        let mut wire = Wire::open(proxy.address());
        wire.send(&startup(&[("database", &database.name)]));
        let welcome = wire.until(b'Z', 1);
        let key = &welcome.iter().find(|message| message.tag == b'K').unwrap().body;
        wire.send(&query("SELECT pg_sleep(60)"));
        wait_for_sleep(&database);
        let mut cancel = Wire::open(proxy.address());
        if ask_for_tls {
            cancel.send(&ssl_request());
            assert_eq!(cancel.byte(), Some(b'N'));
        }
        cancel.send(&cancel_request(key));
        assert!(cancel.rest().0.is_empty());
        assert!(has(&wire.until(b'Z', 1), "C57014"));
        assert!(has(&wire.query("SELECT 'goes on'"), "goes on"));
    }
}

#[test]
fn a_cancel_request_may_come_through_another_proxy_of_the_same_server() {
    let database = Database::new();
    let (one, other) = (proxy(""), proxy(""));
    let mut wire = Wire::open(one.address());
    wire.send(&startup(&[("database", &database.name)]));
    let welcome = wire.until(b'Z', 1);
    let key = &welcome.iter().find(|message| message.tag == b'K').unwrap().body;
    wire.send(&query("SELECT pg_sleep(60)"));
    wait_for_sleep(&database);
    let mut cancel = Wire::open(other.address());
    cancel.send(&cancel_request(key));
    assert!(cancel.rest().0.is_empty());
    assert!(has(&wire.until(b'Z', 1), "C57014"));
    assert!(has(&wire.query("SELECT 'goes on'"), "goes on"));
}

#[test]
fn a_cancel_request_with_the_wrong_key_does_nothing() {
    let (database, proxy) = (Database::new(), proxy(""));
    let mut wire = Wire::open(proxy.address());
    wire.send(&startup(&[("database", &database.name)]));
    let welcome = wire.until(b'Z', 1);
    let mut key = welcome.iter().find(|message| message.tag == b'K').unwrap().body.clone();
    *key.last_mut().unwrap() ^= 1;
    wire.send(&query("SELECT pg_sleep(0.3), 'undisturbed'"));
    wait_for_sleep(&database);
    let mut cancel = Wire::open(proxy.address());
    cancel.send(&cancel_request(&key));
    assert!(cancel.rest().0.is_empty());
    assert!(has(&wire.until(b'Z', 1), "undisturbed"));
}

#[test]
fn a_cancel_request_of_any_length_passes_verbatim_and_ends_after_the_server() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy("");
    for length in [8, 36, 260] {
        let key: Vec<_> = (0..=u8::MAX).cycle().skip(7).take(length).collect();
        let mut client = Wire::open(proxy.address());
        client.send(&startup(&[]));
        let mut backend = upstream.accept();
        backend.packet();
        backend.welcome(&key);
        let welcome = client.until(b'Z', 1);
        assert_eq!(welcome[1].body, key);

        let mut cancel = TcpStream::connect(proxy.address()).unwrap();
        std::io::Write::write_all(&mut cancel, &cancel_request(&key)).unwrap();
        let mut server = upstream.accept();
        assert_eq!(server.packet(), cancel_request(&key));
        // While the server takes its time, the client is kept waiting ...
        cancel.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let kept = cancel.read(&mut [0]).unwrap_err().kind();
        assert_eq!(kept, ErrorKind::WouldBlock);
        // ... and no longer.
        drop(server);
        cancel.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
        assert_eq!(cancel.read(&mut [0]).unwrap(), 0);
    }
}

/// Waits, at the server, until a session of this database is asleep.
pub fn wait_for_sleep(database: &Database) {
    let mut wire = Wire::connect(server().address(), &startup(&[]));
    let sleeper = format!(
        "SELECT 'asleep' FROM pg_stat_activity
         WHERE datname = '{}' AND wait_event = 'PgSleep'",
        database.name
    );
    crate::support::wait_until("the session sleeps", || has(&wire.query(&sleeper), "asleep"));
}
