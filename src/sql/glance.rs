//! What a text is at a glance: looks at bytes, for what is asked of every text there is.
//!
//! Each look is sure in one of its answers and in doubt in the other. A text that is ASCII up to some
//! place is the same up to there in every client encoding, and a semicolon is always the byte `;`.

use super::Syntax;
use super::insert::catalog_name;
use super::tokens::{Kind, Token};

/// Whether a text can hold an INSERT at all: a scan for the word, true in doubt.
#[must_use]
pub fn may_insert(text: &[u8]) -> bool {
    holds(text, b"insert")
}

/// Whether a text may begin with COMMIT, END, PREPARE or SET: true in doubt.
///
/// Text that begins with a comment or a semicolon is in doubt.
#[must_use]
pub fn may_check_deferred(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let length = text.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(text.len());
    match text.get(..length) {
        None | Some([]) => !text.is_empty() && !text.starts_with(b"("),
        Some(word) => is_one_of(word, &CHECKING),
    }
}

/// Whether a text surely is at most one statement, which neither begins nor ends a transaction
/// block, nor rolls anything back, nor changes what the name of a prepared statement means.
///
/// Text that begins with anything but a word is in doubt, as is a semicolon before the end.
#[must_use]
pub fn is_plain(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let Some((word, rest)) = split_word(text) else { return text.is_empty() };
    if is_one_of(word, &NOT_PLAIN) {
        return false;
    }
    let behind = memchr::memchr(b';', rest).and_then(|end| rest.get(end + 1..));
    behind.is_none_or(|behind| behind.trim_ascii_start().is_empty())
}

/// Whether every [`Syntax`] reads a text alike: they differ in what a backslash is, and in bytes
/// beyond ASCII.
#[must_use]
pub fn is_read_alike(text: &[u8]) -> bool {
    text.is_ascii() && memchr::memchr(b'\\', text).is_none()
}

/// Whether one statement surely changes nothing that what an INSERT means depends on: no setting,
/// no role, no privilege, no table's definition, and no transaction's isolation level.
///
/// What a function does that the statement calls is not seen, `set_config` aside.
#[must_use]
pub fn keeps_settings(statement: &[u8]) -> bool {
    let Some((word, rest)) = split_word(statement.trim_ascii_start()) else {
        return statement.is_empty();
    };
    if word.eq_ignore_ascii_case(b"SET") {
        return sets_no_matter(rest);
    }
    let queries = ["EXPLAIN", "SELECT", "TABLE", "VALUES", "WITH"];
    let makes = is_one_of(word, &queries) && (makes_table(rest) || holds(rest, b"create"));
    let isolates = is_one_of(word, &["BEGIN", "START"]) && holds(rest, b"isolation");
    is_one_of(word, &KEEPING) && !makes && !isolates && !holds(rest, b"set_config")
}

/// Whether what follows SET is a parameter that no INSERT depends on.
fn sets_no_matter(text: &[u8]) -> bool {
    let next = |text| skip_space(text).and_then(split_word);
    match next(text) {
        Some((word, rest)) if is_one_of(word, &["SESSION", "LOCAL"]) => {
            next(rest).is_some_and(|(name, _)| is_one_of(name, &NO_MATTER))
        }
        Some((name, _)) => is_one_of(name, &NO_MATTER),
        None => false,
    }
}

/// The table that a text of one statement inserts into, as far as a glance tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// It is an INSERT into the table of this name, which is as the catalog stores it, unless it is
    /// nothing the server takes.
    Table(String),
    /// It begins neither with INSERT nor with WITH.
    None,
    /// What it inserts into takes more than a glance.
    Unsure,
}

/// Looks for the target of the one statement in a text.
///
/// Sees `INSERT INTO [[database.]schema.]table` with ASCII names and without comments, where no
/// ON CONFLICT can follow.
#[must_use]
pub fn insert_target(text: &[u8], syntax: Syntax) -> Target {
    let text = text.trim_ascii_start();
    match split_word(text) {
        _ if holds(text, b"conflict") => Target::Unsure,
        Some((word, rest)) if word.eq_ignore_ascii_case(b"INSERT") => {
            let name = into(rest).and_then(last_name);
            name.and_then(|name| catalog_name(&name, syntax.encoding))
                .map_or(Target::Unsure, Target::Table)
        }
        Some((word, _)) if !word.eq_ignore_ascii_case(b"WITH") => Target::None,
        _ => Target::Unsure,
    }
}

/// What follows INTO and white space.
fn into(text: &[u8]) -> Option<&[u8]> {
    let (word, rest) = split_word(skip_space(text)?)?;
    if word.eq_ignore_ascii_case(b"INTO") { skip_space(rest) } else { None }
}

/// The table's name of `[[database.]schema.]table`, if what follows shows that the name ends there.
fn last_name(mut text: &[u8]) -> Option<Token<'_>> {
    for _ in 0..LONGEST_PATH {
        let (name, rest) = split_name(text)?;
        match rest.first()? {
            b'.' => text = rest.get(1..)?,
            b'(' => return Some(name),
            _ => {
                // A dot or a comment behind the white space may go on with the name.
                let next = *skip_space(rest)?.first()?;
                return (next == b'(' || next.is_ascii_alphabetic()).then_some(name);
            }
        }
    }
    None
}

/// An ASCII identifier, and what follows it.
fn split_name(text: &[u8]) -> Option<(Token<'_>, &[u8])> {
    let (kind, (name, rest)) = match text.strip_prefix(b"\"") {
        None => (Kind::Word, split_word(text)?),
        Some(inner) => {
            let length = memchr::memchr(b'"', inner)?;
            let (name, rest) = text.split_at_checked(length + 2)?;
            // Two quotes stand for one in the name.
            let simple = length > 0 && !rest.starts_with(b"\"");
            (Kind::Quoted, simple.then_some((name, rest))?)
        }
    };
    name.is_ascii().then_some((Token { kind, text: name, start: 0 }, rest))
}

/// The word a text begins with, and what follows it.
fn split_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = text.first()?;
    if !first.is_ascii_alphabetic() && *first != b'_' {
        return None;
    }
    let in_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..);
    text.split_at_checked(text.iter().position(|byte| !in_word(byte)).unwrap_or(text.len()))
}

/// What follows the white space that a text must begin with.
fn skip_space(text: &[u8]) -> Option<&[u8]> {
    text.first()?.is_ascii_whitespace().then(|| text.trim_ascii_start())
}

/// Whether an INTO may make a table, as that of SELECT does: any but that of INSERT and MERGE.
fn makes_table(text: &[u8]) -> bool {
    occurrences(text, b"into").any(|at| {
        let before = text.get(..at).unwrap_or_default().trim_ascii_end();
        let start = before.len().saturating_sub(b"insert".len());
        let word = before.get(start..).unwrap_or_default().to_ascii_lowercase();
        !word.ends_with(b"insert") && !word.ends_with(b"merge")
    })
}

/// Whether a text holds a word, in capitals or not. `word` is in small letters.
pub(super) fn holds(text: &[u8], word: &[u8]) -> bool {
    occurrences(text, word).next().is_some()
}

/// Where a text holds a word, in capitals or not. `word` is in small letters, and not empty.
fn occurrences<'a>(text: &'a [u8], word: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let first = word.first().copied().unwrap_or_default();
    memchr::memchr2_iter(first, first.to_ascii_uppercase(), text).filter(move |start| {
        text.get(*start..start + word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word))
    })
}

fn is_one_of(word: &[u8], words: &[&str]) -> bool {
    words.iter().any(|one| word.eq_ignore_ascii_case(one.as_bytes()))
}

/// First words of statements that check deferred constraints.
const CHECKING: [&str; 4] = ["COMMIT", "END", "PREPARE", "SET"];

/// First words of statements that may begin, end or roll back a transaction (CALL and DO: in what
/// they run), or make or drop prepared statements.
const NOT_PLAIN: [&str; 11] = [
    "ABORT",
    "BEGIN",
    "CALL",
    "COMMIT",
    "DEALLOCATE",
    "DISCARD",
    "DO",
    "END",
    "PREPARE",
    "ROLLBACK",
    "START",
];

/// First words of statements that keep what an INSERT depends on. ROLLBACK may bring back what was
/// before, as may the end of any transaction.
#[rustfmt::skip]
const KEEPING: [&str; 31] = [
    "ABORT", "ANALYZE", "BEGIN", "CHECKPOINT", "CLOSE", "COMMIT", "COPY", "DEALLOCATE", "DECLARE",
    "DELETE", "END", "EXPLAIN", "FETCH", "INSERT", "LISTEN", "LOCK", "MERGE", "MOVE", "NOTIFY", "PREPARE",
    "RELEASE", "ROLLBACK", "SAVEPOINT", "SELECT", "SHOW", "START", "TABLE", "UNLISTEN", "UPDATE",
    "VALUES", "WITH",
];

/// Parameters, as SET names them, that drivers set and that no INSERT depends on.
#[rustfmt::skip]
const NO_MATTER: [&str; 12] = [
    "APPLICATION_NAME", "CLIENT_MIN_MESSAGES", "CONSTRAINTS", "DATESTYLE", "EXTRA_FLOAT_DIGITS",
    "IDLE_IN_TRANSACTION_SESSION_TIMEOUT", "INTERVALSTYLE", "LOCK_TIMEOUT", "STATEMENT_TIMEOUT",
    "SYNCHRONOUS_COMMIT", "TIME", "TIMEZONE",
];

/// Database, schema and table.
const LONGEST_PATH: usize = 3;

#[cfg(test)]
mod tests;
