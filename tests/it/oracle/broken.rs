//! Messages that no driver should send.

use super::*;
use crate::support::wire::{bind, message, parse, pbe, query, sync};

#[test]
fn broken_messages_pass_unchanged() {
    compare("broken", &scenarios());
}

fn scenarios() -> Vec<Scenario> {
    let after = |name, broken: Vec<u8>| flow(name, &[broken, query("SELECT 1")]);
    let synced = |name, broken: Vec<u8>| {
        flow(name, &[broken, pbe("SELECT 2", &[]), sync(), query("SELECT 1")])
    };
    let ends = |name, bytes: Vec<u8>| steps(name, vec![Startup(&[]), Await(b'Z', 1), Send(bytes)]);
    vec![
        after("a query without its end", message(b'Q', b"SELECT 1")),
        after("a query with more behind it", message(b'Q', b"SELECT 1\0more\0")),
        after("a query with no text at all", message(b'Q', b"")),
        synced("a parse without its end", message(b'P', b"name")),
        synced("a parse with a negative count", message(b'P', b"\0SELECT 1\0\xff\xff")),
        synced("a parse that promises types", message(b'P', b"\0SELECT 1\0\0\x05\0\0")),
        synced("a bind cut short", message(b'B', b"\0\0\0\x01")),
        synced(
            "a bind of a statement with too much",
            [parse("", "SELECT 1"), message(b'B', b"\0\0\0\0\0\0\0\0more")].concat(),
        ),
        synced(
            "a bind with an odd format",
            [parse("", "SELECT 1"), message(b'B', b"\0\0\0\0\0\0\0\x01\0\x07")].concat(),
        ),
        synced(
            "a value of negative length",
            [parse("", "SELECT $1"), message(b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0")].concat(),
        ),
        synced(
            "a null value",
            [parse("", "SELECT $1"), message(b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xff\0\0")].concat(),
        ),
        synced(
            "an execute without a count",
            [parse("", "SELECT 1"), bind("", "", &[]), message(b'E', b"\0\0\0")].concat(),
        ),
        synced("a describe of nothing known", message(b'D', b"X\0")),
        synced("a close of nothing known", message(b'C', b"X\0")),
        synced("an empty describe", message(b'D', b"")),
        after("a sync with a body", message(b'S', b"body")),
        after("a flush with a body", message(b'H', b"body")),
        synced("a function call cut short", message(b'F', b"\0\0")),
        after("a password out of season", message(b'p', b"secret\0")),
        ends("an unknown type", message(b'y', b"")),
        ends("a type of zero", message(0, b"")),
        ends("a length below four", b"Q\0\0\0\x03".to_vec()),
        ends("a negative length", b"Q\xff\xff\xff\xff".to_vec()),
        // Before 14 all of it is waited for.
        steps(
            "a long sync",
            ended(vec![Startup(&[]), Await(b'Z', 1), Send(b"S\0\0\x75\x30".to_vec())]),
        ),
        steps(
            "half a message, then the end",
            vec![
                Startup(&[]),
                Await(b'Z', 1),
                Send([query("SELECT 1"), b"Q\0\0\0\x20SEL".to_vec()].concat()),
                HalfClose,
            ],
        ),
    ]
}
