//! The messages that the proxy itself originates, encoded by pgwire.

use std::iter;

use bytes::{BufMut, Bytes, BytesMut};
use pgwire::messages::Message;
use pgwire::messages::data::NoData;
use pgwire::messages::extendedquery::{
    Bind, Close, CloseComplete, Execute, Flush, Parse, Sync, TARGET_TYPE_BYTE_STATEMENT,
};
use pgwire::messages::response::{CommandComplete, ErrorResponse};

use super::backend::{SqlState, authentication};
use super::frame::HEADER;

/// The OID of the type `bytea[]`.
const BYTEA_ARRAY: u32 = 1001;

/// A CommandComplete with this command tag.
#[must_use]
pub fn command_complete(tag: &str) -> Bytes {
    encode(&CommandComplete::new(tag.to_owned()))
}

/// A CloseComplete.
#[must_use]
pub fn close_complete() -> Bytes {
    encode(&CloseComplete::new())
}

/// A NoData.
#[must_use]
pub fn no_data() -> Bytes {
    encode(&NoData::new())
}

/// A Terminate.
#[must_use]
pub fn terminate() -> Bytes {
    frame(b'X', &[])
}

/// A Sync.
#[must_use]
pub fn sync() -> Bytes {
    encode(&Sync::new())
}

/// An ErrorResponse of severity FATAL: the session is over.
#[must_use]
pub fn fatal(code: SqlState, message: &str) -> Bytes {
    let fields = [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', &code.to_string()), (b'M', message)];
    let owned = fields.into_iter().map(|(field, text)| (field, text.replace('\0', "")));
    encode(&ErrorResponse::new(owned.collect()))
}

/// An AuthenticationSASL that offers these mechanisms.
#[must_use]
pub fn sasl_mechanisms(mechanisms: &[&[u8]]) -> Bytes {
    let list = mechanisms.iter().flat_map(|it| [*it, b"\0"]);
    let code = authentication::SASL.to_be_bytes();
    let body: Vec<_> = iter::once(&code[..]).chain(list).chain(iter::once(&b"\0"[..])).collect();
    frame(b'R', &body)
}

/// An Authentication message: its code, and what stands behind that.
#[must_use]
pub fn authentication(code: i32, data: &[u8]) -> Bytes {
    frame(b'R', &[&code.to_be_bytes(), data])
}

/// A SASLInitialResponse.
#[must_use]
pub fn sasl_initial_response(mechanism: &str, data: &[u8]) -> Bytes {
    // A message of SCRAM's has some hundred bytes.
    let length = i32::try_from(data.len()).unwrap_or(i32::MAX);
    frame(b'p', &[mechanism.as_bytes(), b"\0", &length.to_be_bytes(), data])
}

/// A SASLResponse or a PasswordMessage, which has a zero byte at its end.
#[must_use]
pub fn password(data: &[u8]) -> Bytes {
    frame(b'p', &[data])
}

/// A message as it came.
#[must_use]
pub fn message(tag: u8, body: &[u8]) -> Bytes {
    frame(tag, &[body])
}

/// A Flush.
#[must_use]
pub fn flush() -> Bytes {
    encode(&Flush::new())
}

/// A Query; its text is in the client's encoding.
#[must_use]
pub fn query(text: &[u8]) -> Bytes {
    frame(b'Q', &[text, b"\0"])
}

/// A Parse; its text is in the client's encoding, and `types` is what a client's Parse has behind
/// its text.
#[must_use]
pub fn parse(name: &[u8], text: &[u8], types: &[u8]) -> Bytes {
    frame(b'P', &[name, b"\0", text, b"\0", types])
}

/// A Bind; `values` is what a client's Bind has behind its two names.
#[must_use]
pub fn bind(portal: &[u8], name: &[u8], values: &[u8]) -> Bytes {
    frame(b'B', &[portal, b"\0", name, b"\0", values])
}

/// An Execute.
#[must_use]
pub fn execute(portal: &[u8], max_rows: i32) -> Bytes {
    frame(b'E', &[portal, b"\0", &max_rows.to_be_bytes()])
}

/// A Close of a prepared statement.
#[must_use]
pub fn close_statement(name: &[u8]) -> Bytes {
    frame(b'C', &[b"S", name, b"\0"])
}

/// A Close of a portal.
#[must_use]
pub fn close_portal(portal: &[u8]) -> Bytes {
    frame(b'C', &[b"P", portal, b"\0"])
}

/// How many CloseCompletes answer a [`command`].
pub const COMMAND_CLOSES: u8 = 2;

/// One command, without a Sync, in a named statement and portal of the same name that are gone at
/// its end, so that the client's unnamed ones are not touched.
///
/// One that fails leaves its statement behind. Every parameter is an array of `bytea`, in text
/// format; so are the results.
#[must_use]
pub fn command(name: &str, text: &str, arrays: &[String]) -> Bytes {
    let portal = name.as_bytes();
    let name = Some(name.to_owned());
    let types = vec![BYTEA_ARRAY; arrays.len()];
    let values = arrays.iter().map(|array| Some(Bytes::copy_from_slice(array.as_bytes())));
    let close = Close::new(TARGET_TYPE_BYTE_STATEMENT, name.clone());
    let bind = Bind::new(name.clone(), name.clone(), Vec::new(), values.collect(), Vec::new());
    let mut out = BytesMut::new();
    append(&mut out, &Parse::new(name.clone(), text.to_owned(), types));
    append(&mut out, &bind);
    append(&mut out, &Execute::new(name, 0));
    out.extend_from_slice(&close_portal(portal));
    append(&mut out, &close);
    out.freeze()
}

/// A message around bytes that are the client's own: pgwire knows only UTF-8.
fn frame(tag: u8, body: &[&[u8]]) -> Bytes {
    let length: usize = body.iter().map(|part| part.len()).sum();
    let mut out = BytesMut::with_capacity(HEADER + length);
    out.put_u8(tag);
    // What is longer than the inspection limit, let alone than a message can be, is never rebuilt.
    out.put_u32(u32::try_from(length + 4).unwrap_or(u32::MAX));
    for part in body {
        out.extend_from_slice(part);
    }
    out.freeze()
}

fn encode(message: &impl Message) -> Bytes {
    let mut out = BytesMut::new();
    append(&mut out, message);
    out.freeze()
}

fn append(out: &mut BytesMut, message: &impl Message) {
    // Encoding fails only beyond a gigabyte or for a malformed message; ours are a few kilobytes.
    #[expect(clippy::expect_used, reason = "messages of our own making are within every limit")]
    message.encode(out).expect("a message of our own making encodes");
}
