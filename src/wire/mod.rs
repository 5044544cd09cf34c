//! The wire room: what the bytes of the PostgreSQL frontend/backend protocol say.
//!
//! It knows messages and their fields, and nothing of rules, SQL, sessions or sockets. Whatever a
//! peer sends is read through a checked walk over one length-checked frame: a field that is not
//! there is a `None`, never a panic. Bytes that are not changed are never re-encoded.
//!
//! The formats are those of the manual's chapter [Message
//! Formats](https://www.postgresql.org/docs/current/protocol-message-formats.html).

pub mod backend;
pub mod build;
pub mod frame;
pub mod frontend;
pub mod startup;
pub mod target;

/// Takes a zero-terminated string off the front of `body`, without its terminator.
fn take_str<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    // Most names are empty: nothing is to be looked for.
    let end = if body.first() == Some(&0) { 0 } else { memchr::memchr(0, body)? };
    let (text, rest) = body.split_at_checked(end)?;
    *body = rest.get(1..)?;
    Some(text)
}

/// Takes one byte off the front of `body`.
fn take_u8(body: &mut &[u8]) -> Option<u8> {
    let (first, rest) = body.split_first()?;
    *body = rest;
    Some(*first)
}

/// Takes a big-endian `Int16` off the front of `body`.
fn take_i16(body: &mut &[u8]) -> Option<i16> {
    let (bytes, rest) = body.split_first_chunk()?;
    *body = rest;
    Some(i16::from_be_bytes(*bytes))
}

/// Takes a big-endian `Int32` off the front of `body`.
fn take_i32(body: &mut &[u8]) -> Option<i32> {
    let (bytes, rest) = body.split_first_chunk()?;
    *body = rest;
    Some(i32::from_be_bytes(*bytes))
}

/// Takes `count` bytes off the front of `body`.
fn take_bytes<'a>(body: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (bytes, rest) = body.split_at_checked(count)?;
    *body = rest;
    Some(bytes)
}
