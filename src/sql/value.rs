//! One value of VALUES, where the text tells what it is.

use super::Value;
use super::tokens::{Kind, Token};

/// Reads a parameter, a number or a string, with a cast or without.
pub(super) fn read(tokens: &[Token<'_>]) -> Value {
    match tokens {
        [token] => read_one(token),
        [token, cast, of] if cast.is("::") && of.kind == Kind::Word => read_one(token),
        [sign, number] if sign.text == b"-" && number.kind == Kind::Number => {
            // White space between them is no part of it.
            let together = sign.end() == number.start;
            if together { Value::Literal(sign.start..number.end()) } else { Value::Other }
        }
        _ => Value::Other,
    }
}

fn read_one(token: &Token<'_>) -> Value {
    let text = token.text;
    match token.kind {
        Kind::Parameter => {
            let number = text.get(1..).and_then(|it| str::from_utf8(it).ok()?.parse().ok());
            number.map_or(Value::Other, Value::Parameter)
        }
        Kind::Number => Value::Literal(token.start..token.end()),
        Kind::String if is_plain_string(text) => Value::Literal(token.start + 1..token.end() - 1),
        _ => Value::Other,
    }
}

/// Whether a string stands for what is between its quotes.
fn is_plain_string(text: &[u8]) -> bool {
    let inner = text.strip_prefix(b"'").and_then(|text| text.strip_suffix(b"'"));
    inner.is_some_and(|inner| memchr::memchr2(b'\'', b'\\', inner).is_none())
}
