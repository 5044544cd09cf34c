//! What a server sends: the fields of an ErrorResponse, a status, a parameter, a row.

use bytes::BytesMut;

use super::frame::{Frame, HEADER};
use super::{take_bytes, take_i16, take_i32, take_str, take_u8};

/// The five characters of a SQLSTATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SqlState(pub [u8; 5]);

impl SqlState {
    /// `unique_violation`.
    pub const UNIQUE_VIOLATION: Self = Self(*b"23505");
    /// `cardinality_violation`.
    pub const CARDINALITY: Self = Self(*b"21000");
    /// `cannot_connect_now`.
    pub const CANNOT_CONNECT_NOW: Self = Self(*b"57P03");
    /// `in_failed_sql_transaction`.
    pub const FAILED_TRANSACTION: Self = Self(*b"25P02");
}

impl std::fmt::Display for SqlState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// The transaction status of a ReadyForQuery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// `I`: outside a transaction block.
    Idle,
    /// `T`: inside a transaction block.
    Transaction,
    /// `E`: inside a failed transaction block, which only a rollback ends.
    Failed,
}

impl TransactionStatus {
    /// Reads the body of a ReadyForQuery.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        match body {
            b"I" => Some(Self::Idle),
            b"T" => Some(Self::Transaction),
            b"E" => Some(Self::Failed),
            _ => None,
        }
    }

    /// The name for logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Transaction => "transaction",
            Self::Failed => "failed",
        }
    }
}

/// The fields of an ErrorResponse or NoticeResponse; any of them may be missing.
///
/// See the manual's [Error and Notice Message
/// Fields](https://www.postgresql.org/docs/current/protocol-error-fields.html). Their text is in
/// the client's encoding.
#[derive(Clone, Copy, Debug)]
pub struct ErrorFields<'a> {
    body: &'a [u8],
}

impl<'a> ErrorFields<'a> {
    /// The fields in the body of a whole ErrorResponse.
    #[must_use]
    pub fn new(body: &'a [u8]) -> Self {
        Self { body }
    }

    /// The severity: `V`, which is never translated, or `S` from servers before 9.6.
    #[must_use]
    pub fn severity(&self) -> Option<&'a [u8]> {
        self.field(b'V').or_else(|| self.field(b'S'))
    }

    /// `C`: the SQLSTATE.
    #[must_use]
    pub fn sqlstate(&self) -> Option<SqlState> {
        self.field(b'C')?.try_into().ok().map(SqlState)
    }

    /// `M`: the message.
    #[must_use]
    pub fn message(&self) -> Option<&'a [u8]> {
        self.field(b'M')
    }

    /// `s`: the schema's name.
    #[must_use]
    pub fn schema(&self) -> Option<&'a [u8]> {
        self.field(b's')
    }

    /// `t`: the table's name.
    #[must_use]
    pub fn table(&self) -> Option<&'a [u8]> {
        self.field(b't')
    }

    /// `n`: the constraint's name, which for a unique index is the index's.
    #[must_use]
    pub fn constraint(&self) -> Option<&'a [u8]> {
        self.field(b'n')
    }

    /// `D`: the detail, which here holds the duplicate key's values.
    #[must_use]
    pub fn detail(&self) -> Option<&'a [u8]> {
        self.field(b'D')
    }

    /// `W`: the context: the functions, triggers and COPY lines that the error came through.
    #[must_use]
    pub fn context(&self) -> Option<&'a [u8]> {
        self.field(b'W')
    }

    /// `R`: the source-code routine that reported the error.
    #[must_use]
    pub fn routine(&self) -> Option<&'a [u8]> {
        self.field(b'R')
    }

    /// Whether there is an end, nothing behind it, and no field twice.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let mut rest = self.body;
        let mut seen = [false; 256];
        loop {
            let Some(code) = take_u8(&mut rest) else { return false };
            if code == 0 {
                return rest.is_empty();
            }
            let is_again =
                seen.get_mut(usize::from(code)).is_none_or(|it| std::mem::replace(it, true));
            if is_again || take_str(&mut rest).is_none() {
                return false;
            }
        }
    }

    fn field(&self, wanted: u8) -> Option<&'a [u8]> {
        let mut rest = self.body;
        loop {
            match take_u8(&mut rest)? {
                0 => return None,
                code if code == wanted => return take_str(&mut rest),
                _ => take_str(&mut rest)?,
            };
        }
    }
}

/// Reads the body of a ParameterStatus: a name and its value.
#[must_use]
pub fn parameter_status(mut body: &[u8]) -> Option<(&[u8], &[u8])> {
    Some((take_str(&mut body)?, take_str(&mut body)?))
}

/// The major version in what the server says of `server_version`: 15 of `15.18`, 19 of `19beta1`;
/// 0 if there is none.
#[must_use]
pub fn major_version(server_version: &[u8]) -> u32 {
    let digits = server_version.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |sum, digit| sum.saturating_mul(10).saturating_add(u32::from(digit - b'0')))
}

/// Reads the process ID out of the body of a BackendKeyData.
#[must_use]
pub fn backend_pid(mut body: &[u8]) -> Option<i32> {
    take_i32(&mut body)
}

/// Reads the body of a CommandComplete: the command tag.
#[must_use]
pub fn command_tag(mut body: &[u8]) -> Option<&[u8]> {
    take_str(&mut body)
}

/// The rows that the CommandComplete at the front of `messages` says were inserted.
#[must_use]
pub fn inserted_rows(messages: &[u8]) -> Option<u32> {
    let tag = command_tag(messages.strip_prefix(b"C")?.get(4..)?)?;
    let rows = tag.strip_prefix(b"INSERT ")?.rsplit(|byte| *byte == b' ').next()?;
    std::str::from_utf8(rows).ok()?.parse().ok()
}

/// An ErrorResponse or NoticeResponse with its position (`P`, in characters from 1) moved; `None`
/// if it has none, or stays where it is.
#[must_use]
pub fn moved(frame: &Frame<'_>, to: impl FnOnce(usize) -> usize) -> Option<BytesMut> {
    let position = ErrorFields::new(frame.body()).field(b'P')?;
    let from = std::str::from_utf8(position).ok()?.parse().ok()?;
    let moved = Some(to(from)).filter(|moved| *moved != from)?;
    let start = position.as_ptr().addr() - frame.bytes.as_ptr().addr();
    let (before, rest) = frame.bytes.split_at_checked(start)?;
    let after = rest.get(position.len()..)?;
    let mut out = BytesMut::from(before);
    out.extend_from_slice(moved.to_string().as_bytes());
    out.extend_from_slice(after);
    let length = u32::try_from(out.len() - 1).ok()?;
    out.get_mut(1..HEADER)?.copy_from_slice(&length.to_be_bytes());
    Some(out)
}

/// Reads the body of a DataRow: its columns, `None` for NULL.
#[must_use]
pub fn data_row(mut body: &[u8]) -> Option<Vec<Option<&[u8]>>> {
    let count = take_i16(&mut body)?;
    let mut columns = Vec::new();
    for _ in 0..count {
        let length = take_i32(&mut body)?;
        columns.push(match length {
            -1 => None,
            length => Some(take_bytes(&mut body, usize::try_from(length).ok()?)?),
        });
    }
    Some(columns)
}

/// Reads the body of an AuthenticationSASL: the mechanisms that the server offers. `None` for any
/// other request to authenticate.
#[must_use]
pub fn sasl_mechanisms(mut body: &[u8]) -> Option<Vec<&[u8]>> {
    (take_i32(&mut body)? == authentication::SASL).then_some(())?;
    let mut mechanisms = Vec::new();
    loop {
        match take_str(&mut body)? {
            [] => return Some(mechanisms),
            mechanism => mechanisms.push(mechanism),
        }
    }
}

/// Reads the body of an Authentication message: its code, and what stands behind it.
#[must_use]
pub fn authentication_request(mut body: &[u8]) -> Option<(i32, &[u8])> {
    Some((take_i32(&mut body)?, body))
}

/// The codes of Authentication messages, of the [message
/// formats](https://www.postgresql.org/docs/current/protocol-message-formats.html).
pub mod authentication {
    /// The login is done.
    pub const OK: i32 = 0;
    /// The password in plain text.
    pub const CLEARTEXT_PASSWORD: i32 = 3;
    /// The password by MD5; four bytes of salt follow.
    pub const MD5_PASSWORD: i32 = 5;
    /// One of the SASL mechanisms that follow.
    pub const SASL: i32 = 10;
    /// SASL goes on, with what follows.
    pub const SASL_CONTINUE: i32 = 11;
    /// SASL is done, with what follows.
    pub const SASL_FINAL: i32 = 12;
}

/// Whether a message's fields matter, and so must be waited for.
#[must_use]
pub fn is_read(tag: u8) -> bool {
    matches!(tag, b'E' | b'Z' | b'S' | b'K' | b'C')
}
