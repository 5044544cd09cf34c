//! A text cut into tokens exactly where PostgreSQL cuts it, or not at all.
//!
//! `sqlparser` finds the tokens; each is then held against the rule of PostgreSQL's own scanner
//! ([`scan.l`]), because the two differ in dark corners: `@-- x` is one operator to the one and a
//! comment to the other, `$1RETURNING` one parameter or a parameter and a clause. Where they differ
//! the text is [`Unclassified::Tokens`], or the token is mended here (operators).
//!
//! [`scan.l`]: https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/parser/scan.l

use std::any::TypeId;
use std::borrow::Cow;

use sqlparser::dialect::{Dialect, PostgreSqlDialect};
use sqlparser::tokenizer::{Location, Token as Found, TokenWithSpan, Tokenizer, Whitespace};

use super::{Encoding, Syntax, Unclassified};

/// A token that means something: white space and comments are left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    /// The token as written, quotes and all.
    pub(super) text: &'a [u8],
    /// Where in the whole text it begins.
    pub(super) start: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword or an identifier without quotes.
    Word,
    /// An identifier in double quotes.
    Quoted,
    /// A string of any spelling, bit strings and dollar quotes among them.
    String,
    Number,
    Parameter,
    Operator,
    /// One of `( ) [ ] , ; . : :: :=`.
    Punctuation,
}

impl Token<'_> {
    /// Where in the whole text it has ended.
    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Whether this is the keyword, written without quotes. `keyword` is in capitals.
    pub(super) fn is_word(&self, keyword: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(keyword.as_bytes())
    }

    /// Whether this is one of the keywords.
    pub(super) fn is_word_of(&self, keywords: &[&str]) -> bool {
        self.kind == Kind::Word && keywords.iter().any(|keyword| self.is_word(keyword))
    }

    /// Whether this is the punctuation mark.
    pub(super) fn is(&self, mark: &str) -> bool {
        self.kind == Kind::Punctuation && self.text == mark.as_bytes()
    }
}

/// All tokens of a text.
pub(super) fn scan(text: &[u8], syntax: Syntax) -> Result<Vec<Token<'_>>, Unclassified> {
    let view = view(text, syntax.encoding)?;
    let dialect = PostgreSql { backslashes: !syntax.standard_conforming_strings };
    let found = Tokenizer::new(&dialect, &view)
        .with_unescape(false)
        .tokenize_with_location()
        .map_err(|_| Unclassified::Tokens)?;
    Reader { text, position: 0, lines: Lines::default(), tokens: Vec::with_capacity(found.len()) }
        .read(&found)
}

/// The text as one character per byte, so that the tokenizer's characters count bytes.
///
/// A byte from 0x80 up is part of an identifier to PostgreSQL, whatever it stands for, and becomes
/// one of U+0180..=U+01FF, letters all. (As Latin-1, 0x85 and 0xA0 would be white space.)
fn view(text: &[u8], encoding: Encoding) -> Result<Cow<'_, str>, Unclassified> {
    if text.contains(&0) {
        return Err(Unclassified::Tokens);
    }
    match str::from_utf8(text) {
        Ok(ascii) if text.is_ascii() => Ok(Cow::Borrowed(ascii)),
        _ if encoding == Encoding::Other => Err(Unclassified::Encoding),
        _ => Ok(Cow::Owned(text.iter().map(|&byte| letter(byte)).collect())),
    }
}

fn letter(byte: u8) -> char {
    let code = u32::from(byte);
    char::from_u32(if byte < 0x80 { code } else { 0x100 + code }).unwrap_or('\0')
}

/// PostgreSQL as the tokenizer knows it, with backslashes in plain strings when
/// `standard_conforming_strings` is off.
#[derive(Debug)]
struct PostgreSql {
    backslashes: bool,
}

impl Dialect for PostgreSql {
    /// `PostgreSqlDialect`: the tokenizer asks for that very type before it ends a comment at `\r`.
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }
    fn is_identifier_start(&self, ch: char) -> bool {
        PostgreSqlDialect {}.is_identifier_start(ch)
    }
    fn is_identifier_part(&self, ch: char) -> bool {
        PostgreSqlDialect {}.is_identifier_part(ch)
    }
    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '"'
    }
    fn is_custom_operator_part(&self, ch: char) -> bool {
        PostgreSqlDialect {}.is_custom_operator_part(ch)
    }
    fn supports_string_literal_backslash_escape(&self) -> bool {
        self.backslashes
    }
    fn supports_unicode_string_literal(&self) -> bool {
        true
    }
    fn supports_string_escape_constant(&self) -> bool {
        true
    }
    fn supports_nested_comments(&self) -> bool {
        true
    }
    fn supports_numeric_literal_underscores(&self) -> bool {
        true
    }
    /// Makes `?` an operator, not a placeholder that swallows digits.
    fn supports_geometric_types(&self) -> bool {
        true
    }
}

/// Where the lines of the text begin: the tokenizer gives a place as line and column.
struct Lines {
    line: u64,
    start: usize,
}

impl Default for Lines {
    fn default() -> Self {
        Self { line: 1, start: 0 }
    }
}

impl Lines {
    /// The byte a location stands for; locations must not go back to an earlier line.
    fn byte(&mut self, text: &[u8], at: Location) -> Option<usize> {
        while self.line < at.line {
            self.start += memchr::memchr(b'\n', text.get(self.start..)?)? + 1;
            self.line += 1;
        }
        self.start.checked_add(usize::try_from(at.column.checked_sub(1)?).ok()?)
    }
}

/// Turns what the tokenizer found into tokens that PostgreSQL would find too.
struct Reader<'a> {
    text: &'a [u8],
    position: usize,
    lines: Lines,
    tokens: Vec<Token<'a>>,
}

impl<'a> Reader<'a> {
    fn read(mut self, found: &[TokenWithSpan]) -> Result<Vec<Token<'a>>, Unclassified> {
        let mut found = found.iter().peekable();
        // An E'' string may go on in the next plain string, which then knows backslashes too.
        let mut after_escape_string = false;
        while let Some(token) = found.next() {
            let text = self.take(token)?;
            if let Found::Whitespace(space) = &token.token {
                self.check_space(space, text)?;
                continue;
            }
            if is_operator(text) {
                let start = self.position - text.len();
                while let Some(more) = found.next_if(|next| self.goes_on(next)) {
                    self.take(more)?;
                }
                self.push_operators(start)?;
                after_escape_string = false;
                continue;
            }
            let kind = self.kind(&token.token, text).ok_or(Unclassified::Tokens)?;
            if after_escape_string && kind == Kind::String {
                return Err(Unclassified::Tokens);
            }
            after_escape_string = matches!(token.token, Found::EscapedStringLiteral(_));
            self.tokens.push(Token { kind, text, start: self.position - text.len() });
        }
        if self.position == self.text.len() { Ok(self.tokens) } else { Err(Unclassified::Tokens) }
    }

    /// The bytes of the next token; tokens follow each other without a gap.
    fn take(&mut self, token: &TokenWithSpan) -> Result<&'a [u8], Unclassified> {
        let end = self.lines.byte(self.text, token.span.end).ok_or(Unclassified::Tokens)?;
        let bytes = self.text.get(self.position..end).filter(|bytes| !bytes.is_empty());
        self.position = end;
        bytes.ok_or(Unclassified::Tokens)
    }

    /// A line comment must end where PostgreSQL ends it.
    fn check_space(&self, space: &Whitespace, text: &[u8]) -> Result<(), Unclassified> {
        let whole = match space {
            Whitespace::SingleLineComment { .. } => {
                text.starts_with(b"--")
                    && memchr::memchr2(b'\n', b'\r', text).is_none()
                    && matches!(self.next_byte(), None | Some(b'\n' | b'\r'))
            }
            Whitespace::MultiLineComment(_) => text.starts_with(b"/*") && text.ends_with(b"*/"),
            _ => text.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)),
        };
        if whole { Ok(()) } else { Err(Unclassified::Tokens) }
    }

    /// Whether the next token belongs to a run of operator characters.
    fn goes_on(&self, next: &TokenWithSpan) -> bool {
        !matches!(next.token, Found::Whitespace(_))
            && self.next_byte().is_some_and(|byte| OPERATOR_BYTES.contains(&byte))
    }

    fn next_byte(&self) -> Option<u8> {
        self.text.get(self.position).copied()
    }

    /// The kind of a token, if PostgreSQL would have ended it in the same place.
    fn kind(&self, token: &Found, text: &[u8]) -> Option<Kind> {
        let next = self.next_byte();
        let glued = next.is_some_and(is_identifier_byte);
        let quoted = matches!(next, Some(b'\'' | b'"'));
        let (kind, same) = match token {
            Found::Word(word) if word.quote_style.is_some() => {
                (Kind::Quoted, text.len() > 2 && text.starts_with(b"\"") && text.ends_with(b"\""))
            }
            Found::Word(_) => (Kind::Word, is_identifier(text) && !glued),
            Found::SingleQuotedString(_) => (Kind::String, text.starts_with(b"'")),
            Found::EscapedStringLiteral(_)
            | Found::NationalStringLiteral(_)
            | Found::UnicodeStringLiteral(_) => (Kind::String, true),
            // The tokenizer knows `''` in both and `\'` in X'', PostgreSQL knows neither.
            Found::SingleQuotedByteStringLiteral(_) => (Kind::String, is_bit_string(text)),
            Found::HexStringLiteral(_) if text.get(1) == Some(&b'\'') => {
                (Kind::String, is_bit_string(text))
            }
            Found::HexStringLiteral(_) | Found::Number(..) => {
                (Kind::Number, is_number(text) && !glued && !quoted)
            }
            Found::Placeholder(_) => (Kind::Parameter, is_parameter(text) && !glued),
            Found::DollarQuotedString(_) => (Kind::String, is_dollar_quoted(text)),
            _ => (Kind::Punctuation, is_punctuation(text)),
        };
        same.then_some(kind)
    }

    /// Cuts a run of operator characters as PostgreSQL does: `=-1` is `=` and `-`, `@-1` is `@-`.
    fn push_operators(&mut self, mut start: usize) -> Result<(), Unclassified> {
        let mut run = self.text.get(start..self.position).unwrap_or_default();
        let with_next = self.text.get(start..self.text.len().min(self.position + 1));
        if with_next.is_some_and(hides_comment) {
            return Err(Unclassified::Tokens);
        }
        while !run.is_empty() {
            let (operator, rest) = run.split_at(operator_length(run));
            self.tokens.push(Token { kind: Kind::Operator, text: operator, start });
            start += operator.len();
            run = rest;
        }
        Ok(())
    }
}

fn is_operator(text: &[u8]) -> bool {
    text.iter().all(|byte| OPERATOR_BYTES.contains(byte))
}

/// Whether a comment begins inside a run of operator characters, or with its last one.
fn hides_comment(run: &[u8]) -> bool {
    run.windows(2).any(|pair| pair == b"--" || pair == b"/*")
}

/// How much of a run is its first operator: a trailing sign belongs to it only when it holds one of
/// the characters that SQL itself does not use for operators.
fn operator_length(run: &[u8]) -> usize {
    let unsigned = run.iter().rposition(|byte| !b"+-".contains(byte)).map_or(1, |last| last + 1);
    let before_sign = run.get(..run.len().saturating_sub(1)).unwrap_or_default();
    if before_sign.iter().any(|byte| b"~!@#^&|`?%".contains(byte)) { run.len() } else { unsigned }
}

fn is_identifier(text: &[u8]) -> bool {
    text.first().is_some_and(|&first| first != b'$' && !first.is_ascii_digit())
        && text.iter().copied().all(is_identifier_byte)
}

fn is_identifier_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

fn is_number(text: &[u8]) -> bool {
    text.starts_with(b"0x")
        || text
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'_' | b'e' | b'E' | b'+' | b'-'))
}

/// Whether the text is `B'...'` or `X'...'` with nothing to escape.
fn is_bit_string(text: &[u8]) -> bool {
    let inner = text.get(2..text.len().saturating_sub(1)).unwrap_or_default();
    memchr::memchr2(b'\'', b'\\', inner).is_none()
}

fn is_parameter(text: &[u8]) -> bool {
    text.strip_prefix(b"$")
        .is_some_and(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
}

/// Whether the text is `$tag$...$tag$` with a tag PostgreSQL takes, closed at its first return.
fn is_dollar_quoted(text: &[u8]) -> bool {
    let tag = text.iter().skip(1).position(|&byte| byte == b'$');
    let Some((delimiter, body)) = tag.and_then(|length| text.split_at_checked(length + 2)) else {
        return false;
    };
    !delimiter.get(1).is_some_and(u8::is_ascii_digit)
        && memchr::memmem::find(body, delimiter) == body.len().checked_sub(delimiter.len())
}

fn is_punctuation(text: &[u8]) -> bool {
    matches!(text, b"(" | b")" | b"[" | b"]" | b"," | b";" | b"." | b":" | b"::" | b":=")
}

const OPERATOR_BYTES: &[u8] = b"~!@#^&|`?+-*/%<>=";
