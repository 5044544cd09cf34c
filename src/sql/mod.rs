//! What a statement text is: an INSERT, of which shape, into which table.
//!
//! Knows how PostgreSQL reads SQL. Must not know the wire, sessions, rules or the clock.
//!
//! The law here: being sure, or [`Unclassified`]. An INSERT that goes unrecognised shows its error
//! to the client, as it does today; a text wrongly taken for a harmless INSERT loses data.

mod builtins;
mod calls;
mod fingerprint;
mod glance;
mod insert;
mod memo;
mod tokens;
mod transaction;
mod value;

#[cfg(test)]
mod tests;

use std::ops::Range;

pub use fingerprint::fingerprint;
pub use glance::{
    Target, insert_target, is_plain, is_read_alike, keeps_settings, may_check_deferred, may_insert,
};
pub use memo::Memo;
pub use transaction::TransactionCommand;

use tokens::Token;

/// How the server will read a text: what [`ParameterStatus`] said last.
///
/// [`ParameterStatus`]: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syntax {
    /// Whether a backslash in a plain string is just a backslash.
    pub standard_conforming_strings: bool,
    /// What `client_encoding` says about bytes from 0x80 up.
    pub encoding: Encoding,
}

/// What matters of `client_encoding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8: names beyond ASCII can be read.
    Utf8,
    /// Every byte of a character beyond ASCII is 0x80 or more: SQL can be read, such names cannot.
    AsciiSafe,
    /// SJIS, BIG5, GBK, GB18030, UHC, JOHAB, `SHIFT_JIS_2004`, or unknown: a byte that looks like a
    /// quote may be half a character, so only plain ASCII can be read.
    Other,
}

impl Encoding {
    /// The encoding `client_encoding` names, as the server spells it in `ParameterStatus`.
    #[must_use]
    pub fn named(client_encoding: &[u8]) -> Self {
        let is = |name: &str| client_encoding.eq_ignore_ascii_case(name.as_bytes());
        if is("UTF8") {
            Self::Utf8
        } else if ASCII_SAFE.iter().any(|name| is(name)) {
            Self::AsciiSafe
        } else {
            Self::Other
        }
    }
}

/// A text, statement by statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Its statements; none in an empty text or one of comments only.
    pub statements: Vec<Part>,
}

/// One statement of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub statement: Statement,
    /// Its bytes: from the start of its first token to the end of its last, so without the
    /// semicolon and without the comments around it.
    pub range: Range<usize>,
}

/// What one statement is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// A top-level INSERT that modifies no table beside its target.
    Insert(Insert),
    /// What begins or ends a transaction block, or makes an aborted one live again.
    Transaction(TransactionCommand),
    /// SET CONSTRAINTS.
    SetConstraints,
    /// PREPARE, or DEALLOCATE of one statement.
    Renames {
        /// The name, as the server stores it.
        name: String,
        /// What PREPARE prepares, if it is an INSERT.
        prepares: Option<Insert>,
    },
    /// Anything else, or an INSERT whose WITH modifies data too.
    Other,
}

impl Statement {
    /// The INSERT that it is, or prepares.
    #[must_use]
    pub fn inserts(&self) -> Option<&Insert> {
        match self {
            Self::Insert(insert) => Some(insert),
            Self::Renames { prepares, .. } => prepares.as_ref(),
            _ => None,
        }
    }

    /// Whether deferred constraints are, or may be, checked while it runs.
    #[must_use]
    pub fn checks_deferred(&self) -> bool {
        match self {
            Self::Transaction(command) => command.checks_deferred(),
            Self::SetConstraints => true,
            Self::Insert(_) | Self::Renames { .. } | Self::Other => false,
        }
    }
}

/// An [`INSERT`](https://www.postgresql.org/docs/current/sql-insert.html).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Insert {
    /// The schema, if the text names it.
    pub schema: Option<String>,
    /// The target, as the catalog stores it: folded, without quotes, at most 63 bytes.
    pub table: String,
    /// Where the text gives the target another name, as it stands there: `AS` is before it.
    pub alias: Option<Range<usize>>,
    /// The columns that it names.
    pub columns: Columns,
    /// What it inserts, where the server has what it calls: see [`Self::rows_at`].
    pub rows: Rows,
    /// The version of PostgreSQL that has all functions and operators that its one row calls; 0 if
    /// every version has them. To an older server such a name can only be one of the user's.
    pub since: u32,
    /// The first row of VALUES.
    pub first_row: Option<Vec<Value>>,
    /// Whether it has an ON CONFLICT of its own.
    pub on_conflict: bool,
    /// Whether it has a RETURNING clause.
    pub returning: bool,
    /// Whether its rows come in an ORDER BY of its own.
    pub ordered: bool,
    /// Where in the whole text ` ON CONFLICT (...) DO NOTHING `, with a space on either side, makes
    /// it do nothing on a conflict. It means nothing if there is an ON CONFLICT already.
    pub conflict_at: usize,
}

impl Insert {
    /// What it inserts at a server of this major version.
    #[must_use]
    pub fn rows_at(&self, server_version: u32) -> Rows {
        match self.rows {
            Rows::One if server_version < self.since => Rows::Calls,
            rows => rows,
        }
    }
}

/// A value of VALUES, as far as the text alone tells what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A parameter, by its number, from 1.
    Parameter(usize),
    /// A number, or a string without escapes: where it stands in the text, without quotes.
    Literal(Range<usize>),
    /// Anything else.
    Other,
}

/// The column list of an INSERT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Columns {
    /// There is none: the table's own, from the first on.
    Implied,
    /// These, as the catalog stores them.
    Named(Vec<String>),
    /// A name depends on more than the text.
    Unsure,
}

/// What an INSERT inserts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Exactly one row, or none: DEFAULT VALUES, or VALUES with one row that is only computed.
    One,
    /// VALUES with one row that calls more than PostgreSQL's own scalar functions and operators:
    /// it may become several rows, as `VALUES (unnest($1))` does, or the call may write.
    ///
    /// A call counts as harmless when its name is a scalar function of PostgreSQL, an operator when
    /// its symbol is. What someone overloads upon such a name, for types of their own, is not told
    /// apart, nor what a view calls that a sub-select reads, nor `composite.function` from a column.
    Calls,
    /// VALUES with this many rows, which are several.
    Several(u32),
    /// A query.
    Query,
}

/// Why a text is not classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclassified {
    /// Beyond ASCII in an encoding whose characters may hold ASCII bytes.
    #[error("the client encoding may hide quotes in characters")]
    Encoding,
    /// A token, quote or comment that PostgreSQL may end elsewhere, or not accept at all.
    #[error("a token is not surely read as the server reads it")]
    Tokens,
    /// A closing parenthesis too many or too few, or a routine body with statements of its own.
    #[error("it is unsure where a statement ends")]
    Boundaries,
    /// Several statements of which one may change how strings are read.
    #[error("the text names standard_conforming_strings between its statements")]
    StringSyntax,
    /// An INSERT or WITH in a form this reader does not know.
    #[error("the form of the INSERT is unknown")]
    Form,
    /// A target whose name in the catalog depends on more than the text.
    #[error("the name of the target is unsure")]
    Target,
}

/// Tells what the statements of a text are.
///
/// Takes time and memory in proportion to the text, some 200 bytes for each of its tokens: bound
/// the text first.
pub fn classify(text: &[u8], syntax: Syntax) -> Result<Script, Unclassified> {
    script(text, &tokens::scan(text, syntax)?, syntax)
}

/// What [`classify`] and [`fingerprint`] say of a text, which is read once for both.
pub fn read(text: &[u8], syntax: Syntax) -> (Result<Script, Unclassified>, u64) {
    let tokens = tokens::scan(text, syntax);
    let fingerprint = fingerprint::shape(text, tokens.as_deref());
    (tokens.and_then(|tokens| script(text, &tokens, syntax)), fingerprint)
}

fn script(text: &[u8], tokens: &[Token<'_>], syntax: Syntax) -> Result<Script, Unclassified> {
    let parts = split(tokens)?;
    if parts.len() > 1 && names_string_syntax(text) {
        return Err(Unclassified::StringSyntax);
    }
    let statements = parts
        .into_iter()
        .map(|tokens| part(tokens, syntax.encoding))
        .collect::<Result<_, Unclassified>>()?;
    Ok(Script { statements })
}

fn part(tokens: &[Token<'_>], encoding: Encoding) -> Result<Part, Unclassified> {
    let start = tokens.first().map_or(0, |token| token.start);
    let end = tokens.last().map_or(0, Token::end);
    Ok(Part { statement: statement(tokens, encoding)?, range: start..end })
}

/// Cuts at each top-level `;`; empty statements do not count.
fn split<'t, 'a>(tokens: &'t [Token<'a>]) -> Result<Vec<&'t [Token<'a>]>, Unclassified> {
    // A routine body is one statement, whatever semicolons it holds.
    let mut pairs = tokens.iter().zip(tokens.iter().skip(1));
    if pairs.any(|(begin, atomic)| begin.is_word("BEGIN") && atomic.is_word("ATOMIC")) {
        return Err(Unclassified::Boundaries);
    }
    let mut depth = 0_usize;
    for token in tokens {
        if token.is("(") {
            depth += 1;
        } else if token.is(")") {
            depth = depth.checked_sub(1).ok_or(Unclassified::Boundaries)?;
        }
    }
    if depth != 0 {
        return Err(Unclassified::Boundaries);
    }
    let parts = tokens.split(|token| {
        depth += usize::from(token.is("("));
        depth -= usize::from(token.is(")"));
        depth == 0 && token.is(";")
    });
    Ok(parts.filter(|part| !part.is_empty()).collect())
}

/// Whether a text names the setting that changes where its later strings end.
///
/// PostgreSQL reads a whole Query before it runs any of it, so this cannot mislead it; it would, if
/// the statements were to be sent one by one.
fn names_string_syntax(text: &[u8]) -> bool {
    glance::holds(text, b"standard_conforming_strings")
}

fn statement(tokens: &[Token<'_>], encoding: Encoding) -> Result<Statement, Unclassified> {
    let Some((first, rest)) = tokens.split_first() else { return Ok(Statement::Other) };
    if let Some(command) = transaction::read(tokens) {
        return Ok(Statement::Transaction(command));
    }
    if first.is_word("SET") && rest.first().is_some_and(|token| token.is_word("CONSTRAINTS")) {
        return Ok(Statement::SetConstraints);
    }
    if let Some(name) = renamed(tokens, encoding) {
        return Ok(Statement::Renames { name, prepares: prepared(tokens, encoding) });
    }
    if first.is_word("INSERT")
        || first.is_word("WITH") && rest.iter().any(|token| token.is_word("INSERT"))
    {
        let insert = insert::read(tokens, encoding)?;
        return Ok(insert.map_or(Statement::Other, Statement::Insert));
    }
    Ok(Statement::Other)
}

/// The prepared statement that PREPARE makes, or DEALLOCATE drops, if it is one.
fn renamed(tokens: &[Token<'_>], encoding: Encoding) -> Option<String> {
    let name = match tokens {
        [verb, name, next, ..]
            if verb.is_word("PREPARE") && (next.is("(") || next.is_word("AS")) =>
        {
            name
        }
        [verb, name] if verb.is_word("DEALLOCATE") && !name.is_word("ALL") => name,
        [verb, noise, name] if verb.is_word("DEALLOCATE") && noise.is_word("PREPARE") => name,
        _ => return None,
    };
    // DEALLOCATE PREPARE ALL drops all of them too.
    insert::catalog_name(name, encoding).filter(|_| insert::is_name(name) && !name.is_word("ALL"))
}

/// The INSERT that PREPARE prepares, if it surely is one.
fn prepared(tokens: &[Token<'_>], encoding: Encoding) -> Option<Insert> {
    let (verb, rest) = tokens.split_first()?;
    let behind = rest.iter().position(|token| token.is_word("AS"))? + 1;
    let statement = rest.get(behind..).filter(|_| verb.is_word("PREPARE"))?;
    insert::read(statement, encoding).ok().flatten()
}

/// The [encodings] whose characters beyond ASCII have no byte below 0x80, UTF8 aside.
///
/// [encodings]: https://www.postgresql.org/docs/current/multibyte.html#MULTIBYTE-CHARSET-SUPPORTED
#[rustfmt::skip]
const ASCII_SAFE: [&str; 34] = [
    "SQL_ASCII", "EUC_JP", "EUC_CN", "EUC_KR", "EUC_TW", "EUC_JIS_2004", "MULE_INTERNAL",
    "LATIN1", "LATIN2", "LATIN3", "LATIN4", "LATIN5", "LATIN6", "LATIN7", "LATIN8", "LATIN9",
    "LATIN10", "ISO_8859_5", "ISO_8859_6", "ISO_8859_7", "ISO_8859_8", "KOI8R", "KOI8U", "WIN866",
    "WIN874", "WIN1250", "WIN1251", "WIN1252", "WIN1253", "WIN1254", "WIN1255", "WIN1256",
    "WIN1257", "WIN1258",
];
