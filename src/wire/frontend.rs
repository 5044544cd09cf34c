//! What a client sends: views of the messages whose fields the session needs.

use super::frame::{Frame, HEADER};
use super::{take_bytes, take_i16, take_i32, take_str, take_u8};

/// A frontend message, decoded as far as the session looks.
///
/// Fields are as the client wrote them; a message too short for its own fields becomes
/// [`FrontendMessage::Malformed`], and the server will say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrontendMessage<'a> {
    /// `Q`: a simple query. The text is `None` when it is longer than the inspection limit.
    Query(Option<&'a [u8]>),
    /// `P`: the statement's name and its text, `None` when longer than the inspection limit.
    Parse {
        /// The prepared statement's name; empty for the unnamed one.
        name: &'a [u8],
        /// The query text.
        text: Option<&'a [u8]>,
        /// What stands behind it: the parameters' types, as a count and OIDs.
        types: &'a [u8],
    },
    /// `B`: makes a portal out of a prepared statement.
    Bind {
        /// The portal's name; empty for the unnamed one.
        portal: &'a [u8],
        /// The prepared statement's name.
        statement: &'a [u8],
        /// What stands behind the names, as far as it is in hand: parameters and formats.
        values: &'a [u8],
    },
    /// `D`: asks for the description of a statement or portal.
    Describe(Target<'a>),
    /// `E`: runs a portal.
    Execute {
        /// The portal's name.
        portal: &'a [u8],
        /// How many rows to return at most; 0 for all.
        max_rows: i32,
    },
    /// `C`: closes a statement or portal.
    Close(Target<'a>),
    /// `S`: ends an extended-query segment.
    Sync,
    /// `F`: a function call by object ID.
    FunctionCall,
    /// `c` or `f`: the end of `COPY ... FROM STDIN` data.
    CopyEnd,
    /// A message whose fields could not be read.
    Malformed(u8),
    /// Any other message: Flush, Terminate, CopyData, passwords, unknown tags.
    Other(u8),
}

/// Reads the body of a SASLInitialResponse: the mechanism that the client has chosen, and its first
/// message, `None` if it sent none.
#[must_use]
pub fn sasl_initial_response(mut body: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let mechanism = take_str(&mut body)?;
    let length = take_i32(&mut body)?;
    let data = usize::try_from(length).ok().filter(|length| *length == body.len()).map(|_| body);
    Some((mechanism, data))
}

/// A parameter of a Bind, by its number from 1, if it is in text format and not NULL; `values` is
/// what stands behind the Bind's two names.
#[must_use]
pub fn text_parameter(mut values: &[u8], number: usize) -> Option<&[u8]> {
    let formats = usize::try_from(take_i16(&mut values)?).unwrap_or_default();
    let mut formats = take_bytes(&mut values, 2 * formats)?.chunks_exact(2);
    let index = number.checked_sub(1)?;
    let format = match formats.len() {
        0 => TEXT,
        1 => formats.next()?,
        _ => formats.nth(index)?,
    };
    let count = usize::try_from(take_i16(&mut values)?).ok()?;
    let mut parameters = (0..count).map(|_| match take_i32(&mut values)? {
        -1 => Some(None),
        length => take_bytes(&mut values, usize::try_from(length).ok()?).map(Some),
    });
    parameters.nth(index)??.filter(|_| format == TEXT)
}

/// The code of the text format.
const TEXT: &[u8] = &[0, 0];

/// What a Describe or a Close is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// `S`: a prepared statement.
    Statement(&'a [u8]),
    /// `P`: a portal.
    Portal(&'a [u8]),
}

impl<'a> FrontendMessage<'a> {
    /// Reads a frame that came from a client.
    #[must_use]
    pub fn read(frame: &Frame<'a>) -> Self {
        Self::fields(frame).unwrap_or(Self::Malformed(frame.tag))
    }

    /// The same for who does not care for names, texts and values: they are empty, and not looked
    /// for, so that where they are malformed only the server knows.
    #[must_use]
    pub fn nameless(frame: &Frame<'a>) -> Self {
        let nothing: &[u8] = b"";
        let text = frame.whole.then_some(nothing);
        match (frame.tag, frame.body().first()) {
            (b'Q', _) => Self::Query(text),
            (b'P', _) => Self::Parse { name: nothing, text, types: nothing },
            (b'B', _) => Self::Bind { portal: nothing, statement: nothing, values: nothing },
            (b'E', _) => Self::Execute { portal: nothing, max_rows: 0 },
            (b'D', Some(b'S')) => Self::Describe(Target::Statement(nothing)),
            (b'D', Some(b'P')) => Self::Describe(Target::Portal(nothing)),
            (b'C', Some(b'S')) => Self::Close(Target::Statement(nothing)),
            (b'C', Some(b'P')) => Self::Close(Target::Portal(nothing)),
            _ => Self::read(frame),
        }
    }

    fn fields(frame: &Frame<'a>) -> Option<Self> {
        let mut body = frame.body();
        Some(match frame.tag {
            b'Q' if !frame.whole => Self::Query(None),
            b'Q' => Self::Query(Some(take_str(&mut body)?)),
            b'P' => {
                let name = take_str(&mut body)?;
                let text = if frame.whole { Some(take_str(&mut body)?) } else { None };
                Self::Parse { name, text, types: body }
            }
            b'B' => {
                let portal = take_str(&mut body)?;
                Self::Bind { portal, statement: take_str(&mut body)?, values: body }
            }
            b'D' => Self::Describe(target(&mut body)?),
            b'E' => Self::Execute { portal: take_str(&mut body)?, max_rows: take_i32(&mut body)? },
            b'C' => Self::Close(target(&mut body)?),
            // The server refuses a Flush with a body, and then skips what follows up to Sync.
            b'H' if frame.bytes.len() > HEADER || !frame.whole => return None,
            b'S' => Self::Sync,
            b'F' => Self::FunctionCall,
            b'c' | b'f' => Self::CopyEnd,
            other => Self::Other(other),
        })
    }
}

/// Whether a message's fields matter, and so must be waited for.
#[must_use]
pub fn is_read(tag: u8) -> bool {
    matches!(tag, b'Q' | b'P' | b'B' | b'D' | b'E' | b'C')
}

/// Whether it should have no fields, and matters.
#[must_use]
pub fn is_bare(tag: u8) -> bool {
    matches!(tag, b'S' | b'H' | b'X')
}

fn target<'a>(body: &mut &'a [u8]) -> Option<Target<'a>> {
    match take_u8(body)? {
        b'S' => Some(Target::Statement(take_str(body)?)),
        b'P' => Some(Target::Portal(take_str(body)?)),
        _ => None,
    }
}
