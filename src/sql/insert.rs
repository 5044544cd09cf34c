//! A walk over one INSERT: WITH list, target, source of rows, ON CONFLICT, RETURNING.

use std::ops::Range;

use super::calls::compute_since;
use super::tokens::{Kind, Token};
use super::{Columns, Encoding, Insert, Rows, Unclassified, Value, value};

/// Reads a statement that begins with INSERT or WITH; `None` if it is no INSERT after all, or
/// modifies data in a WITH.
pub(super) fn read(
    tokens: &[Token<'_>],
    encoding: Encoding,
) -> Result<Option<Insert>, Unclassified> {
    let mut walk = Walk { rest: tokens, since: 0 };
    if walk.eat("WITH") {
        walk.skip_with_list().ok_or(Unclassified::Form)?;
    }
    let with_list = tokens.get(..tokens.len() - walk.rest.len()).unwrap_or_default();
    if !walk.eat("INSERT") || modifies_data(with_list) || modifies_data(walk.rest) {
        return Ok(None);
    }
    // Only a rule's or a routine's body may hold a semicolon.
    if !walk.eat("INTO") || tokens.iter().any(|token| token.is(";")) {
        return Err(Unclassified::Form);
    }
    let target = walk.target(encoding)?;
    let columns = walk.columns(encoding);
    let first_row = walk.first_row();
    let source = walk.source().ok_or(Unclassified::Form)?;
    let mut tail = walk.tail(source)?;
    if tail.rows == Rows::One {
        match compute_since(with_list) {
            Some(since) => walk.since = walk.since.max(since),
            None => tail.rows = Rows::Calls,
        }
    }
    let before_returning = tokens.get(..tokens.len() - tail.returning.len()).unwrap_or_default();
    Ok(Some(Insert {
        schema: target.schema,
        table: target.table,
        alias: target.alias,
        columns,
        rows: tail.rows,
        since: walk.since,
        first_row,
        on_conflict: tail.on_conflict,
        returning: !tail.returning.is_empty(),
        ordered: tail.ordered,
        conflict_at: before_returning.last().map_or(0, Token::end),
    }))
}

struct Target {
    schema: Option<String>,
    table: String,
    alias: Option<Range<usize>>,
}

struct Tail<'t, 'a> {
    rows: Rows,
    on_conflict: bool,
    ordered: bool,
    /// RETURNING and what follows it.
    returning: &'t [Token<'a>],
}

/// What is still to be read of a statement.
struct Walk<'t, 'a> {
    rest: &'t [Token<'a>],
    /// The version of PostgreSQL that has all functions of its one row.
    since: u32,
}

impl<'t, 'a> Walk<'t, 'a> {
    fn next(&mut self) -> Option<&'t Token<'a>> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn at(&self, test: impl Fn(&Token<'a>) -> bool) -> bool {
        self.rest.first().is_some_and(test)
    }

    /// Steps over the keyword, if it is next.
    fn eat(&mut self, keyword: &str) -> bool {
        let found = self.at(|token| token.is_word(keyword));
        if found {
            self.next();
        }
        found
    }

    /// Steps over the mark, if it is next.
    fn eat_mark(&mut self, mark: &str) -> bool {
        let found = self.at(|token| token.is(mark));
        if found {
            self.next();
        }
        found
    }

    /// Steps over a pair of parentheses, and returns what is between them.
    fn group(&mut self) -> Option<&'t [Token<'a>]> {
        if !self.eat_mark("(") {
            return None;
        }
        let inner = self.rest;
        let mut depth = 1_usize;
        while depth > 0 {
            let token = self.next()?;
            depth += usize::from(token.is("("));
            depth -= usize::from(token.is(")"));
        }
        inner.get(..inner.len() - self.rest.len() - 1)
    }

    /// Steps over the queries of a WITH. SEARCH and CYCLE are not known here.
    fn skip_with_list(&mut self) -> Option<()> {
        let recursive = self.eat("RECURSIVE");
        if recursive && self.at(|token| token.is("(") || token.is_word("AS")) {
            return None;
        }
        loop {
            self.next().filter(|token| is_name(token))?;
            if self.at(|token| token.is("(")) {
                self.group()?;
            }
            if !self.eat("AS") {
                return None;
            }
            if self.eat("NOT") && !self.at(|token| token.is_word("MATERIALIZED")) {
                return None;
            }
            self.eat("MATERIALIZED");
            self.group()?;
            if !self.eat_mark(",") {
                return (!self.at(|token| token.is_word_of(&["SEARCH", "CYCLE"]))).then_some(());
            }
        }
    }

    /// Reads `[[database.]schema.]table [AS alias]`.
    fn target(&mut self, encoding: Encoding) -> Result<Target, Unclassified> {
        let mut parts = vec![self.name(encoding)?];
        while self.eat_mark(".") {
            parts.push(self.name(encoding)?);
        }
        let mut alias = None;
        if self.eat("AS") {
            let name = self.next().filter(|token| is_name(token)).ok_or(Unclassified::Form)?;
            alias = Some(name.start..name.end());
        }
        let table = parts.pop().ok_or(Unclassified::Form)?;
        if parts.len() > 2 {
            return Err(Unclassified::Form);
        }
        Ok(Target { schema: parts.pop(), table, alias })
    }

    /// Looks at the column list, if there is one.
    fn columns(&self, encoding: Encoding) -> Columns {
        let mut ahead = Self { rest: self.rest, since: 0 };
        let more =
            |token: &Token<'_>| begins_query(token) || token.is_word_of(&["OVERRIDING", "DEFAULT"]);
        let Some(group) = ahead.group().filter(|_| ahead.at(more)) else { return Columns::Implied };
        // What follows the name is a part of the column, a field or a subscript; but `U` before
        // `&"..."` is no name.
        let name = |column: &[Token<'_>]| {
            let (first, part) = column.split_first().filter(|(first, _)| is_name(first))?;
            let whole = part.first().is_none_or(|token| token.is(".") || token.is("["));
            catalog_name(first, encoding).filter(|_| whole)
        };
        items(group).map(name).collect::<Option<_>>().map_or(Columns::Unsure, Columns::Named)
    }

    /// Looks at the first row of VALUES, which comes next or behind the column list.
    fn first_row(&self) -> Option<Vec<Value>> {
        let mut ahead = Self { rest: self.rest, since: 0 };
        if ahead.at(|token| token.is("(")) {
            ahead.group()?;
        }
        while !ahead.eat("VALUES") {
            // OVERRIDING ... VALUE is in between, or nothing is.
            ahead
                .next()
                .filter(|token| token.is_word_of(&["OVERRIDING", "SYSTEM", "USER", "VALUE"]))?;
        }
        Some(items(ahead.group()?).map(value::read).collect())
    }

    fn name(&mut self, encoding: Encoding) -> Result<String, Unclassified> {
        let token = self.next().filter(|token| is_name(token)).ok_or(Unclassified::Form)?;
        catalog_name(token, encoding).ok_or(Unclassified::Target)
    }

    /// Reads the column list, OVERRIDING, and the source up to where its shape is known.
    fn source(&mut self) -> Option<Rows> {
        let mut columns: &[Token<'_>] = &[];
        if self.at(|token| token.is("(")) {
            let group = self.group()?;
            let more = |token: &Token<'_>| begins_query(token) || token.is_word("OVERRIDING");
            if !self.at(more) {
                return group.first().filter(|token| begins_query(token)).map(|_| Rows::Query);
            }
            columns = group;
        }
        if self.eat("OVERRIDING") {
            let kind = self.next()?.is_word_of(&["SYSTEM", "USER"]);
            if !kind || !self.eat("VALUE") {
                return None;
            }
        }
        if self.eat("DEFAULT") {
            return self.eat("VALUES").then_some(Rows::One);
        }
        if self.eat("VALUES") {
            return self.values(columns);
        }
        self.at(begins_query).then_some(Rows::Query)
    }

    /// Counts the rows behind VALUES. A subscript in the column list can multiply them as well.
    fn values(&mut self, columns: &[Token<'_>]) -> Option<Rows> {
        let row = self.group()?;
        let mut count = 1;
        while self.eat_mark(",") {
            self.group()?;
            count += 1;
        }
        if count > 1 {
            return Some(Rows::Several(count));
        }
        let (Some(row), Some(columns)) = (compute_since(row), compute_since(columns)) else {
            return Some(Rows::Calls);
        };
        self.since = row.max(columns);
        Some(Rows::One)
    }

    /// Looks for ON CONFLICT and RETURNING, outside parentheses.
    fn tail(&mut self, source: Rows) -> Result<Tail<'t, 'a>, Unclassified> {
        let bare = source != Rows::Query && self.values_end()?;
        let rows = if bare { source } else { Rows::Query };
        let mut tail = Tail { rows, on_conflict: false, ordered: false, returning: &[] };
        let mut names_conflict = false;
        let mut previous: Option<&Token<'_>> = None;
        while let Some(token) = self.rest.first() {
            if token.is("(") {
                self.group().ok_or(Unclassified::Form)?;
                previous = None;
                continue;
            }
            let from_here = self.rest;
            self.next();
            if token.is_word("RETURNING") {
                // `AS returning` and `x.returning` are names: rare enough to leave alone.
                if previous.is_some_and(|before| before.is(".") || before.is_word("AS")) {
                    return Err(Unclassified::Form);
                }
                if tail.returning.is_empty() {
                    tail.returning = from_here;
                }
            }
            names_conflict |=
                token.is_word("CONFLICT") && previous.is_some_and(|before| before.is_word("ON"));
            tail.ordered |= tail.returning.is_empty()
                && token.is_word("BY")
                && previous.is_some_and(|before| before.is_word("ORDER"));
            // `x.do nothing` is a column and its name.
            tail.on_conflict |= token.is_word("DO")
                && self.at(|action| action.is_word_of(&["NOTHING", "UPDATE"]))
                && !previous.is_some_and(|before| before.is("."));
            previous = Some(token);
        }
        // `JOIN x ON conflict` names a column.
        if tail.on_conflict == names_conflict { Ok(tail) } else { Err(Unclassified::Form) }
    }

    /// Whether the rows of VALUES are all the source there is: an ORDER BY, LIMIT or UNION behind
    /// them makes a query of it.
    fn values_end(&self) -> Result<bool, Unclassified> {
        match self.rest {
            [on, conflict, ..] if on.is_word("ON") => {
                if conflict.is_word("CONFLICT") {
                    Ok(true)
                } else {
                    Err(Unclassified::Form)
                }
            }
            [first, ..] => Ok(first.is_word("RETURNING")),
            [] => Ok(true),
        }
    }
}

/// What commas outside parentheses and brackets divide.
fn items<'t, 'a>(list: &'t [Token<'a>]) -> impl Iterator<Item = &'t [Token<'a>]> {
    let mut depth = 0_usize;
    list.split(move |token| {
        depth += usize::from(token.is("(") || token.is("["));
        depth = depth.saturating_sub(usize::from(token.is(")") || token.is("]")));
        depth == 0 && token.is(",")
    })
}

pub(super) fn is_name(token: &Token<'_>) -> bool {
    matches!(token.kind, Kind::Word | Kind::Quoted)
}

fn begins_query(token: &Token<'_>) -> bool {
    token.is("(") || token.is_word_of(&["SELECT", "VALUES", "TABLE", "WITH"])
}

/// Whether a verb among the tokens may modify a table: the body of a WITH query, at any depth.
///
/// The words are no reserved ones: a comma or a dot beside them tells a column. FOR UPDATE, FOR NO
/// KEY UPDATE and ON CONFLICT DO UPDATE are not of that kind.
fn modifies_data(tokens: &[Token<'_>]) -> bool {
    let at = |index: usize| tokens.get(index);
    tokens.iter().enumerate().any(|(index, token)| {
        let before = index.checked_sub(1).and_then(at);
        let clause = token.is_word("UPDATE")
            && before.is_some_and(|before| {
                before.is_word_of(&["FOR", "DO"])
                    || before.is_word("KEY")
                        && index.checked_sub(2).and_then(at).is_some_and(|no| no.is_word("NO"))
            });
        let column = before.is_some_and(|before| before.is(",") || before.is("."))
            || at(index + 1).is_some_and(|after| after.is(",") || after.is(".") || after.is(")"));
        token.is_word_of(&["INSERT", "UPDATE", "DELETE", "MERGE"]) && !clause && !column
    })
}

/// The name as the catalog stores it, if the text alone tells.
///
/// Beyond ASCII the server's own encoding has a say: whether capitals fold (in single-byte ones,
/// by locale) and where 63 bytes end. Such a name passes only where neither matters.
pub(super) fn catalog_name(token: &Token<'_>, encoding: Encoding) -> Option<String> {
    if !token.text.is_ascii() && encoding != Encoding::Utf8 {
        return None;
    }
    let text = str::from_utf8(token.text).ok()?;
    let mut name = if token.kind == Kind::Quoted {
        text.get(1..text.len().checked_sub(1)?)?.replace("\"\"", "\"")
    } else {
        text.to_ascii_lowercase()
    };
    if name.is_ascii() {
        name.truncate(LONGEST_NAME);
    }
    let folds = token.kind == Kind::Word && name.chars().any(|c| !c.to_lowercase().eq([c]));
    (name.len() <= LONGEST_NAME && !folds).then_some(name)
}

/// `NAMEDATALEN - 1`, the bytes of a name that PostgreSQL keeps.
const LONGEST_NAME: usize = 63;
