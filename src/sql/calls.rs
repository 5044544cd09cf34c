//! Whether the values of one row do no more than compute one row.
//!
//! PostgreSQL treats a lone VALUES row as a SELECT list, where a set-returning function multiplies
//! the row: `INSERT INTO t VALUES (generate_series(1, 3))` inserts three. So does an operator made
//! of one, `(composite).function`, and a subscript in the target's column list; casts, defaults,
//! domains and generated columns must not return sets. And a function of the user's may write:
//! what it wrote, in a sub-select too, is undone with the row, while the application would be told
//! that all is well.

use super::builtins::{NEWER, QUERY_WORDS, SCALAR_FUNCTIONS, SCALAR_OPERATORS};
use super::tokens::{Kind, Token};

/// The version of PostgreSQL that has all functions and operators that the tokens call, if they call
/// none but those of PostgreSQL that return one value; 0 if every version has them. `None` in doubt.
pub(super) fn compute_since(tokens: &[Token<'_>]) -> Option<u32> {
    let mut newest = 0;
    for (index, token) in tokens.iter().enumerate() {
        let before = tokens.get(..index).unwrap_or_default();
        let known = match token.kind {
            _ if token.is("(") => is_scalar_group(before),
            _ if token.is(".") => before.last().is_some_and(is_name),
            Kind::Operator => is_known(SCALAR_OPERATORS, token.text),
            _ => true,
        };
        if !known {
            return None;
        }
        let called = match token.kind {
            Kind::Operator => Some(token),
            _ if token.is("(") => before.last(),
            _ => None,
        };
        newest = newest.max(called.map_or(0, since));
    }
    Some(newest)
}

/// The version that a function or an operator of this name came with; 0 if every version has it.
fn since(called: &Token<'_>) -> u32 {
    let is_it = |name: &&str| called.text.eq_ignore_ascii_case(name.as_bytes());
    let found = NEWER.iter().find(|(_, names)| names.iter().any(is_it));
    found.map_or(0, |(version, _)| *version)
}

/// Whether a parenthesis with these tokens before it is no call, or one that returns one value.
fn is_scalar_group(before: &[Token<'_>]) -> bool {
    match before {
        [] => true,
        [.., cast, _] if cast.is("::") => true,
        [.., cast, _, dot, _] if cast.is("::") && dot.is(".") => true,
        [.., dot, _, dot2, _] if dot.is(".") && dot2.is(".") => false,
        [.., schema, dot, name] if dot.is(".") => {
            schema.is_word("PG_CATALOG") && is_scalar_name(name)
        }
        [.., last] if is_name(last) => is_scalar_name(last) || is_phrase(before),
        [.., last] => last.kind == Kind::Operator || last.is("(") || last.is(",") || last.is("["),
    }
}

fn is_scalar_name(token: &Token<'_>) -> bool {
    let name = token.text.to_ascii_lowercase();
    token.kind == Kind::Word && (is_known(SCALAR_FUNCTIONS, &name) || is_known(QUERY_WORDS, &name))
}

/// Whether the last word is a keyword that a function may be named after, in a place where only
/// the keyword can stand.
fn is_phrase(before: &[Token<'_>]) -> bool {
    let [.., first, last] = before else { return false };
    let operand = matches!(first.kind, Kind::String | Kind::Number | Kind::Parameter)
        || first.is(")")
        || first.is("]");
    let begun = |words: &[&str]| first.is_word_of(words);
    last.is_word_of(&["FILTER", "OVER"]) && first.is(")")
        || last.is_word("ILIKE") && operand
        || last.is_word("BY") && begun(&["ORDER", "GROUP", "PARTITION"])
        || last.is_word("MATERIALIZED") && begun(&["AS", "NOT"])
        || last.is_word("SECOND") && begun(&["INTERVAL", "TO"])
        || last.is_word("VARYING") && begun(&["CHARACTER", "CHAR", "NCHAR", "BIT"])
        || last.is_word("ZONE") && begun(&["TIME"])
}

fn is_name(token: &Token<'_>) -> bool {
    matches!(token.kind, Kind::Word | Kind::Quoted)
}

fn is_known(sorted: &[&str], name: &[u8]) -> bool {
    sorted.binary_search_by(|known| known.as_bytes().cmp(name)).is_ok()
}

/// Whether the tokens begin with a parenthesis and a query in it.
pub(super) fn begins_subselect(tokens: &[Token<'_>]) -> bool {
    match tokens {
        [_, values, row, ..] if values.is_word("VALUES") => row.is("("),
        [_, first, ..] => first.is_word_of(&["SELECT", "WITH", "TABLE"]),
        _ => false,
    }
}

/// How many tokens the parentheses at the beginning span.
pub(super) fn group_length(tokens: &[Token<'_>]) -> usize {
    let mut depth = 0_usize;
    let end = tokens.iter().position(|token| {
        depth += usize::from(token.is("("));
        depth = depth.saturating_sub(usize::from(token.is(")")));
        depth == 0
    });
    end.map_or(tokens.len(), |end| end + 1)
}
