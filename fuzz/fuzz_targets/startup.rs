//! The first packet of a connection: what it says is in it, and nothing is made up.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pgabsorb::wire::startup::{StartupPacket, StartupParameters};
use pgabsorb_fuzz::memory;

fuzz_target!(|data: &[u8]| {
    // The user's and the database's name, a value in small letters, and what a value is before.
    let read = memory::within(4 * data.len() + 256, || StartupPacket::read(data));
    assert_eq!(read, StartupPacket::read(data));
    let code = data.first_chunk().map(|code| i32::from_be_bytes(*code));
    match (code, read) {
        (None, read) => assert_eq!(read, None),
        (Some(80_877_102), read) => assert_eq!(read, Some(StartupPacket::Cancel)),
        (Some(80_877_103), read) => assert_eq!(read, Some(StartupPacket::SslRequest)),
        (Some(80_877_104), read) => assert_eq!(read, Some(StartupPacket::GssEncRequest)),
        (Some(version), Some(StartupPacket::Startup(parameters))) => {
            assert_eq!(parameters, expected(version, &data[4..]));
            assert_eq!(parameters.is_protocol_3(), version >> 16 == 3);
        }
        (code, read) => panic!("{code:?} is {read:?}"),
    }
});

/// The same, read in another way: of all the zero-terminated texts, in pairs.
fn expected(version: i32, body: &[u8]) -> StartupParameters {
    let mut texts: Vec<&[u8]> = body.split(|byte| *byte == 0).collect();
    // What no zero ends is none.
    texts.pop();
    let pairs = texts.chunks_exact(2).map(|pair| (pair[0], pair[1]));
    let pairs: Vec<_> = pairs.take_while(|(name, _)| !name.is_empty()).collect();
    let last = |wanted: &str| {
        let found = pairs.iter().rev().find(|(name, _)| *name == wanted.as_bytes());
        found.map(|(_, value)| value.to_vec())
    };
    let user = last("user").unwrap_or_default();
    let replication = last("replication").is_some_and(|value| !is_false(&value));
    let database = last("database").filter(|name| !name.is_empty());
    StartupParameters {
        version,
        database: database.unwrap_or_else(|| user.clone()),
        user,
        replication,
    }
}

/// The manual: unique prefixes of these words are accepted too, in capitals or not.
fn is_false(value: &[u8]) -> bool {
    let spellings = ["0", "f", "fa", "fal", "fals", "false", "n", "no", "of", "off"];
    spellings.iter().any(|it| value.eq_ignore_ascii_case(it.as_bytes()))
}
