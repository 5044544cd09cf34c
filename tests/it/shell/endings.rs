//! How sessions end, from either side.

use super::fake::{self, Upstream};
use super::{fatal, has, proxy, session};
use crate::support::postgres::Database;
use crate::support::wire::{message, query, terminate};

#[test]
fn a_fatal_error_and_a_reset_behind_it_are_one_fatal_error() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy("");
    for _ in 0..5 {
        let (mut client, mut backend) = upstream.session(&proxy);
        client.send(&query("SELECT 1"));
        assert_eq!(backend.message(), b'Q');
        backend.send(&fake::fatal("57P01", "terminating connection"));
        backend.reset();
        let text = fatal(&mut client);
        assert!(text.contains("C57P01"), "{text}");
    }
}

#[test]
fn a_server_that_is_lost_at_rest_is_a_fatal_error() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy("");
    let (mut client, backend) = upstream.session(&proxy);
    backend.reset();
    let text = fatal(&mut client);
    assert!(text.contains("C08006") && text.contains("lost"), "{text}");
    proxy.output.wait_for("the server was lost", 1);
}

#[test]
fn a_server_that_closes_without_a_word_is_passed_on_as_it_is() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy("");
    let (mut client, backend) = upstream.session(&proxy);
    drop(backend);
    let (messages, rest) = client.rest();
    assert!(messages.is_empty() && rest.is_empty());
    // Nobody asked it to: whoever reads the log is told.
    proxy.output.wait_for("the server closed the connection unexpectedly", 1);
}

#[test]
fn nothing_is_pushed_into_a_message_that_the_server_did_not_finish() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy("");
    let row = message(b'D', &[b'x'; 500]);
    let notice = message(b'N', &[b'x'; 500]);
    for (cut, reset) in [(&row, false), (&row, true), (&notice, false), (&notice, true)] {
        for length in [3, 300] {
            let (mut client, mut backend) = upstream.session(&proxy);
            backend.send(&cut[..length]);
            if reset {
                // The reset may discard what the proxy has not read: let it pass first.
                if cut[0] == b'D' && length > 5 {
                    assert_eq!(client.byte(), Some(b'D'));
                }
                backend.reset();
            } else {
                drop(backend);
            }
            let (messages, mut rest) = client.rest();
            if reset && cut[0] == b'D' && length > 5 {
                rest.insert(0, b'D');
            }
            assert!(messages.is_empty(), "{messages:?}");
            assert_eq!(rest.escape_ascii().to_string(), cut[..length].escape_ascii().to_string());
        }
    }
}

#[test]
fn a_client_that_sends_no_more_still_gets_its_whole_answer() {
    let (database, proxy) = (Database::new(), proxy(""));
    let mut wire = session(&proxy, &database);
    wire.send(&query("SELECT pg_sleep(0.1), repeat('x', 5000000)"));
    wire.half_close();
    let (messages, rest) = wire.rest();
    assert!(rest.is_empty());
    let row = messages.iter().find(|message| message.tag == b'D').unwrap();
    assert!(row.body.len() > 5_000_000);
    assert_eq!(messages.last().unwrap().tag, b'Z');
}

#[test]
fn a_client_that_vanishes_takes_its_server_connection_with_it() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy("");
    let (client, backend) = upstream.session(&proxy);
    drop(client);
    backend.closed();
}

#[test]
fn a_session_that_terminates_leaves_its_place_at_once() {
    let database = Database::new();
    let proxy = proxy("limits.connections = 1");
    for round in 0..20 {
        let mut wire = session(&proxy, &database);
        assert!(has(&wire.query(&format!("SELECT 'round {round}'")), &format!("round {round}")));
        wire.send(&terminate());
        assert!(wire.rest().0.is_empty());
    }
}
