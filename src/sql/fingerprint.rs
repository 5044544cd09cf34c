//! One number for all texts that differ only in their values.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::calls::{begins_subselect, group_length};
use super::tokens::{self, Kind, Token};
use super::{Syntax, Unclassified};

/// A number for the shape of a text, the same in every run and release.
///
/// Values and parameters, white space and comments, the case of keywords, the number of VALUES rows
/// and the length of an IN list do not count. Nothing of a value goes into the number. A text that
/// cannot be read is known by its first word alone, since what follows may be anything.
#[must_use]
pub fn fingerprint(text: &[u8], syntax: Syntax) -> u64 {
    shape(text, tokens::scan(text, syntax).as_deref())
}

/// The same of a text whose tokens have been looked for.
pub(super) fn shape(text: &[u8], tokens: Result<&[Token<'_>], &Unclassified>) -> u64 {
    let mut shape = Shape { hasher: SipHasher13::new_with_keys(0, 0) };
    match tokens {
        Ok(tokens) => shape.add_all(tokens),
        Err(_) => shape.add(UNREAD, &first_word(text)),
    }
    shape.hasher.finish()
}

struct Shape {
    hasher: SipHasher13,
}

impl Shape {
    fn add_all(&mut self, tokens: &[Token<'_>]) {
        let mut groups = Vec::new();
        let mut rest = tokens;
        let mut before: Option<&Token<'_>> = None;
        while let Some((token, mut after)) = rest.split_first() {
            if token.is("(") {
                groups.push(Group::opened(before, rest));
            } else if token.is(")") && groups.pop() == Some(Group::Row) {
                after = skip_rows(after);
            } else if token.is(",") && groups.last() == Some(&Group::List) {
                rest = skip_list(after);
                continue;
            }
            if !is_sign(before, token, after) {
                self.add_token(token);
            }
            before = Some(token);
            rest = after;
        }
    }

    fn add_token(&mut self, token: &Token<'_>) {
        match token.kind {
            Kind::String | Kind::Number | Kind::Parameter => self.add(VALUE, b""),
            Kind::Quoted => self.add(QUOTED, token.text),
            Kind::Word => self.add(PLAIN, &token.text.to_ascii_lowercase()),
            Kind::Operator | Kind::Punctuation => self.add(PLAIN, token.text),
        }
    }

    /// Adds a token with its kind before it and its length behind it, so that no two run together.
    fn add(&mut self, kind: u8, text: &[u8]) {
        self.hasher.write(&[kind]);
        self.hasher.write(text);
        self.hasher.write(&(text.len() as u64).to_le_bytes());
    }
}

/// What a pair of parentheses holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    /// The first row of VALUES; those behind it do not count.
    Row,
    /// The list of IN; what follows its first element does not count.
    List,
    Plain,
}

impl Group {
    /// `rest` begins with the opening parenthesis.
    fn opened(before: Option<&Token<'_>>, rest: &[Token<'_>]) -> Self {
        match before {
            Some(before) if before.is_word("VALUES") => Self::Row,
            Some(before) if before.is_word("IN") && !begins_subselect(rest) => Self::List,
            _ => Self::Plain,
        }
    }
}

/// Steps over `, (...)` as often as it comes.
fn skip_rows<'t, 'a>(mut tokens: &'t [Token<'a>]) -> &'t [Token<'a>] {
    while let [comma, row @ ..] = tokens {
        if !comma.is(",") || !row.first().is_some_and(|token| token.is("(")) {
            break;
        }
        tokens = row.get(group_length(row)..).unwrap_or_default();
    }
    tokens
}

/// Steps to the parenthesis that closes the group the tokens are in.
fn skip_list<'t, 'a>(mut tokens: &'t [Token<'a>]) -> &'t [Token<'a>] {
    while let Some(token) = tokens.first().filter(|token| !token.is(")")) {
        let step = if token.is("(") { group_length(tokens) } else { 1 };
        tokens = tokens.get(step..).unwrap_or_default();
    }
    tokens
}

/// Whether a token is the sign of a number, which counts as part of the number.
fn is_sign(before: Option<&Token<'_>>, token: &Token<'_>, after: &[Token<'_>]) -> bool {
    let unary = before.is_none_or(|before| {
        before.kind == Kind::Operator || before.is("(") || before.is(",") || before.is("[")
    });
    let number = after.first().is_some_and(|next| next.kind == Kind::Number);
    unary && number && token.kind == Kind::Operator && matches!(token.text, b"-" | b"+")
}

/// The letters a text begins with, in small letters; at most as many as a verb has.
fn first_word(text: &[u8]) -> Vec<u8> {
    let letters = text.trim_ascii_start().iter().take_while(|byte| byte.is_ascii_alphabetic());
    letters.take(LONGEST_VERB).map(u8::to_ascii_lowercase).collect()
}

const PLAIN: u8 = b'p';
const QUOTED: u8 = b'q';
const VALUE: u8 = b'v';
const UNREAD: u8 = b'u';

/// The length of `DEALLOCATE` and `CHECKPOINT`.
const LONGEST_VERB: usize = 10;
