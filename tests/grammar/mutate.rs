//! Statements that are almost those of the tables: a few tokens or bytes less, more or elsewhere.

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// One change to a text that is cut into pieces.
#[derive(Clone, Debug)]
enum Change {
    Delete(Index),
    Duplicate(Index),
    Swap(Index, Index),
    Insert(Index, &'static str),
    /// Puts it at the end.
    Append(&'static str),
    /// Puts it in the place of a name or a value.
    Replace(Index, &'static str),
    /// Puts a few pieces of another text there, from some piece on.
    Graft(Index, Index, Index, usize),
    /// Cuts so many characters out of one piece, and puts others there.
    Characters(Index, Index, usize, String),
    /// Puts another text behind it.
    Follow(Index),
}

/// One of the texts with a few changes, and whether strings conform to the standard.
pub fn statement(texts: Vec<String>) -> impl Strategy<Value = (String, bool)> {
    let changes = prop::collection::vec(change(), 1..4);
    (any::<Index>(), changes, prop::bool::weighted(0.8)).prop_map(
        move |(text, changes, conforming)| {
            let mut pieces = cut(text.get::<String>(&texts));
            for change in changes {
                change.apply(&mut pieces, &texts);
            }
            (pieces.concat(), conforming)
        },
    )
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    let insert = |tokens| (index(), select(tokens)).prop_map(|(at, it)| Change::Insert(at, it));
    prop_oneof![
        2 => index().prop_map(Change::Delete),
        1 => index().prop_map(Change::Duplicate),
        1 => (index(), index()).prop_map(|(one, other)| Change::Swap(one, other)),
        4 => insert(SPACES),
        1 => insert(VALUES),
        2 => insert(CLAUSES),
        2 => insert(MARKS),
        2 => select(CLAUSES).prop_map(Change::Append),
        4 => (index(), select(VALUES)).prop_map(|(at, it)| Change::Replace(at, it)),
        2 => (index(), index(), index(), 1_usize..12)
            .prop_map(|(at, text, from, length)| Change::Graft(at, text, from, length)),
        2 => (index(), index(), 0_usize..3, "['\"\\-/*;$()\\[\\],.\\\\\r\néE@eU&a1 ]{0,3}")
            .prop_map(|(at, from, length, junk)| Change::Characters(at, from, length, junk)),
        1 => index().prop_map(Change::Follow),
    ]
}

impl Change {
    fn apply(self, pieces: &mut Vec<String>, texts: &[String]) {
        let count = pieces.len();
        match self {
            _ if count == 0 => {}
            Self::Delete(at) => drop(pieces.remove(at.index(count))),
            Self::Duplicate(at) => {
                let at = at.index(count);
                pieces.insert(at, pieces[at].clone());
            }
            Self::Swap(one, other) => pieces.swap(one.index(count), other.index(count)),
            Self::Insert(at, token) => pieces.insert(at.index(count + 1), token.to_owned()),
            Self::Append(token) => pieces.push(token.to_owned()),
            Self::Replace(at, token) => {
                let mut things: Vec<_> = pieces.iter_mut().filter(|it| is_thing(it)).collect();
                if !things.is_empty() {
                    let at = at.index(things.len());
                    token.clone_into(things[at]);
                }
            }
            Self::Graft(at, text, from, length) => {
                let other = cut(text.get::<String>(texts));
                let from = from.index(other.len().max(1));
                let graft = other.into_iter().skip(from).take(length);
                let at = at.index(count + 1);
                pieces.splice(at..at, graft);
            }
            Self::Characters(at, from, length, junk) => {
                let piece = &mut pieces[at.index(count)];
                let characters: Vec<char> = piece.chars().collect();
                let from = from.index(characters.len() + 1);
                let behind = characters.iter().skip(from + length);
                *piece = characters[..from].iter().copied().chain(junk.chars()).collect();
                piece.extend(behind);
            }
            Self::Follow(text) => {
                pieces.push(";".to_owned());
                pieces.extend(cut(text.get::<String>(texts)));
            }
        }
    }
}

/// Whether a piece is a number, a string or a name, of which those of one letter will do.
fn is_thing(piece: &str) -> bool {
    let begins_thing = |c: char| c.is_ascii_digit() || matches!(c, '\'' | '"' | '$');
    piece.starts_with(begins_thing) || piece.chars().count() == 1 && piece.starts_with(is_word)
}

/// A text cut where a reader would: words and numbers, white space, quoted things, single marks.
fn cut(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let mut end = first.len_utf8();
        if is_word(first) {
            end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        } else if first.is_whitespace() {
            end = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
        } else if first == '\'' || first == '"' {
            end = rest[1..].find(first).map_or(end, |length| length + 2);
        }
        let (piece, more) = rest.split_at(end);
        pieces.push(piece.to_owned());
        rest = more;
    }
    pieces
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// What separates tokens, and what may seem to.
#[rustfmt::skip]
const SPACES: &[&str] = &[
    " ", "\t", "\r", "\n", "\u{b}", "\u{c}", "/**/", "/* ' /* ; */ \" */", "/*/ */", "/*--*/",
    "--\n", "-- returning a\n", " -- ' \r", "--/*\n", "--\\\n", "/* $$ */", "\u{a0}", "\u{85}",
    "\u{feff}", "\u{3000}", "\u{200b}",
];

/// What may be a value, a name, or a part of one.
#[rustfmt::skip]
const VALUES: &[&str] = &[
    "''", "'\\'", "'\\''", "E'\\''", "e'\\\\'", "'a''b'", "'a'\n'b'", "'a' -- c\n 'b\\'",
    "E'a'\n'b\\'c'", "E'a' --\n '\\''", "N'a'", "B'1'", "x'\\'", "b'\\' , ')'",
    "x'1f'", "U&'\\0041'", "u&'a' uescape '!'", "U&\"a\"", "\"a\"", "\"returning\"", "\"a\"\"b\"",
    "'returning'", "$$;$$", "$$'$$", "$a$ returning $a$", "$é$\"$é$", "$1", "-1", "+ 1", "1", "1.5",
    "1.", ".5", "1_000", "0x1F", "1e5", "a", "A", "é", "É", "世", "🐘", "a$1", "null", "default",
    "now()", "f(1)", "generate_series(1, 2)", "pg_catalog.now()", "s.now()", "(a).b", "a.b", "(1)",
    "((1))", "a[1]", "a[1:2]", "(select 1)", "array[1, 2]", "1::int", "1 @@@ 2", "1 operator(s.+) 2",
    "conflict", "returning", "values", "u", "insert", "delete", "\"on\"", "nothing", "do", "select",
    "exists (select f(1))", "1 between 2 and (3)", "case when a then f (1) end", "a in (1)",
];

/// What may follow another clause.
#[rustfmt::skip]
const CLAUSES: &[&str] = &[
    " returning ", " returning * ", " returning a as b ", " returning(a)", " as returning ",
    " as \"returning\" ", " returning 1 do ", " returning on ", " on conflict ",
    " on conflict do nothing ", " on conflict (a) do update set b = 1 ",
    " on conflict (a) where b do nothing ", " on conflict on constraint a do nothing ",
    " do nothing ", " as conflict ", " on ", " conflict ", " do ", " from u join v on conflict ",
    " join v on true ", " as x ", " as ", " x ", " values ", " values (1) ", " values (1), (2) ",
    ", (2)", ", 2", " default values ", " overriding user value ", " overriding ", " default ",
    " select 1 ", " select ", " table u ", " with x as (select 1) ", " from u ", " where a ",
    " with x as (delete from u returning a) ", " union select 2 ", " union values (f(1)) ",
    " order by 1 ", " limit 1 ", " for update ", " fetch first row only ", " insert ",
    " insert into t ", " update ", " delete ", " merge ", " into ", " begin ", " atomic ", " end ",
    " explain ", " prepare p as ", " deallocate ", " set constraints all immediate ", "; commit; ",
    " commit and chain ", " transaction ", " recursive ", " search breadth first by a set b ",
    " cycle a set b using c ", " standard_conforming_strings ", ";", ";;",
];

/// Single marks, and what begins or ends something longer.
#[rustfmt::skip]
const MARKS: &[&str] = &[
    "'", "\"", "\\", "\\'", "E'", "U&'", "U&", "$$", "$a$", "$é$", "$", "--", "/*", "*/", "//", "-",
    "+", "*", "@-", "@", "=-1", "<>", "=>", "::", ":=", ":", "?", "`", "~*", "{", "(", ")", "()", ",",
    ".", ".a", ".returning", "[", "]", "[1]", "&", "%", "#",
];
