//! The messages that the proxy itself originates, encoded by pgwire.

use bytes::{Bytes, BytesMut};
use pgwire::messages::Message;
use pgwire::messages::data::NoData;
use pgwire::messages::extendedquery::{
    Bind, Close, CloseComplete, Execute, Parse, Sync, TARGET_TYPE_BYTE_STATEMENT,
};
use pgwire::messages::response::{CommandComplete, ErrorResponse};

use super::backend::SqlState;

/// The OID of the type `text[]`.
const TEXT_ARRAY: u32 = 1009;

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

/// One query, from Parse to Sync, in a named statement and portal that are gone at its end, so
/// that the client's unnamed ones are not touched.
///
/// Every parameter is an array of `text`, in text format; so are the results.
#[must_use]
pub fn one_query(name: &str, text: &str, arrays: &[String]) -> Bytes {
    let name = Some(name.to_owned());
    let types = vec![TEXT_ARRAY; arrays.len()];
    let values = arrays.iter().map(|array| Some(Bytes::copy_from_slice(array.as_bytes())));
    let bind = Bind::new(name.clone(), name.clone(), Vec::new(), values.collect(), Vec::new());
    let mut out = BytesMut::new();
    append(&mut out, &Parse::new(name.clone(), text.to_owned(), types));
    append(&mut out, &bind);
    append(&mut out, &Execute::new(name.clone(), 0));
    append(&mut out, &Close::new(TARGET_TYPE_BYTE_STATEMENT, name));
    append(&mut out, &Sync::new());
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
