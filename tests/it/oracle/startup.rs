//! The first packet, and connections that end there.

use super::*;
use crate::support::wire::{packet, query, ssl_request, startup_version, terminate};

#[test]
fn first_packets_pass_unchanged() {
    compare("startup", &scenarios());
}

fn scenarios() -> Vec<Scenario> {
    let user = ("user", "postgres");
    let at = |version, extra: &[(&str, &str)]| {
        Send(startup_version(version, &[&[user, ("database", "postgres")], extra].concat()))
    };
    let session = |name, first| {
        steps(name, vec![first, Await(b'Z', 1), Send([query("SELECT 1"), terminate()].concat())])
    };
    // 10004 bytes in all: the packet of an application_name that fills it up.
    let filled = |length: usize| {
        let empty = startup_version(0x0003_0000, &[user, ("application_name", "")]).len();
        startup_version(0x0003_0000, &[user, ("application_name", &"a".repeat(length - empty))])
    };
    vec![
        session(
            "parameters",
            Startup(&[
                ("application_name", "a"),
                ("client_encoding", "latin1"),
                ("options", "-c statement_timeout=77s -c search_path=pg_catalog"),
                ("TimeZone", "UTC"),
            ]),
        ),
        session("protocol 3.2", at(0x0003_0002, &[])),
        session("protocol 3.9999", at(0x0003_270f, &[])),
        session(
            "options of a newer protocol",
            at(0x0003_0000, &[("_pq_.one", "1"), ("_pq_.two", "2")]),
        ),
        session("no database", Send(startup_version(0x0003_0000, &[user]))),
        session("as long as allowed", Send(filled(10_004))),
        steps("too long", vec![Send(filled(10_005))]),
        steps("shorter than its own header", vec![Send(vec![0, 0, 0, 7, 0, 3, 0])]),
        steps("nothing but a version", vec![Send(packet(0x0003_0000, b""))]),
        steps("no terminator", vec![Send(packet(0x0003_0000, b"user\0postgres\0"))]),
        steps(
            "a length of two gigabytes",
            vec![Send([&[0x7f, 0xff, 0xff, 0xff][..], &[0; 9]].concat())],
        ),
        steps("not PostgreSQL", vec![Send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec())]),
        steps("protocol 4.0", vec![at(0x0004_0000, &[])]),
        steps("protocol 2.0", vec![at(0x0002_0000, &[])]),
        steps("no user", vec![Send(startup_version(0x0003_0000, &[("database", "postgres")]))]),
        steps("an unknown user", vec![Send(startup_version(0x0003_0000, &[("user", "nosuch")]))]),
        steps("an unknown database", vec![Send(wire::startup(&[("database", "nosuch")]))]),
        steps("an unknown parameter", vec![Startup(&[("no.such", "1"), ("nosuch", "1")])]),
        steps("a bad value", vec![Startup(&[("client_encoding", "klingon")])]),
        steps("connect and leave", vec![HalfClose]),
        steps("leave in the middle", vec![Send(vec![0, 0, 0, 40, 0, 3]), HalfClose]),
        steps("terminate at once", vec![Startup(&[]), Send(terminate())]),
        steps(
            "queries before the answer",
            vec![Startup(&[]), Send([query("SELECT 1"), query("SELECT 2"), terminate()].concat())],
        ),
        steps(
            "tls is asked for",
            vec![Send(ssl_request()), Byte, Startup(&[]), Await(b'Z', 1), Send(terminate())],
        ),
    ]
}
