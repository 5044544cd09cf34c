//! What an INSERT that runs again has in addition: a conflict target, and what is done about it.

use bytes::{BufMut, Bytes, BytesMut};

use crate::rules::{Column, Constraint, OnConflict, Returning, Rule};
use crate::sql::{self, Columns, Insert, Rows};

use super::Session;
use super::catalog::{Catalog, Index};
use super::recovery::{self, Reason};

/// What a conflict does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doing<'a> {
    Nothing,
    /// These columns get the values that were to be inserted.
    Update(Vec<&'a str>),
    /// The row that is there is returned: a column of it is set to itself.
    Touch(&'a str),
    /// The same, where the server can do so without a new version of the row.
    Select,
}

impl Session {
    /// The clause for the statement in `text`, with a space on either side.
    ///
    /// It names the constraint that was hit, so that any other still shows its error; where each
    /// unique or exclusion constraint of the table is absorbed, it names none.
    pub(super) fn clause(
        &self,
        (text, insert): (&[u8], &Insert),
        rule: &Rule,
        catalog: &Catalog,
        index: &Index,
    ) -> Result<Bytes, Reason> {
        let at_root = recovery::is_target(insert, &index.root);
        let index = if at_root { catalog.index(&index.root) } else { Some(index) };
        let index = index.ok_or(Reason::NoConflictTarget)?;
        let doing = self.doing(insert, rule, index)?;
        let target = if doing.is_nothing() && self.absorbs_all(catalog, index) {
            ""
        } else {
            index.conflict_target.as_deref().ok_or(Reason::NoConflictTarget)?
        };
        let clause = doing.clause(target, text, insert);
        let readable = clause.is_ascii() || self.syntax.encoding == sql::Encoding::Utf8;
        if readable { Ok(clause.freeze()) } else { Err(Reason::NoConflictTarget) }
    }

    /// What a conflict does by this rule.
    pub(super) fn doing<'a>(
        &self,
        insert: &'a Insert,
        rule: &'a Rule,
        index: &'a Index,
    ) -> Result<Doing<'a>, Reason> {
        let set = columns_to_set(rule, insert, index)?.filter(|set| !set.is_empty());
        Ok(match set {
            Some(set) => Doing::Update(set),
            None if !insert.returning || rule.returning != Returning::Existing => Doing::Nothing,
            None if self.server_version >= DO_SELECT => Doing::Select,
            None => Doing::Touch(column_to_touch(index).ok_or(Reason::NoConflictTarget)?),
        })
    }

    /// Whether any conflict at all on the index's table would do nothing.
    pub(super) fn absorbs_all(&self, catalog: &Catalog, index: &Index) -> bool {
        let others = || catalog.siblings(&index.root).filter(|it| **it != index.root);
        let absorbed = |other: &Constraint| {
            let rule = self.rules.find(other, &self.origin);
            // What excludes is no unique index, and has no such target.
            let unique = |it: &Index| it.immediate && it.conflict_target.is_some();
            self.absorbs(other)
                && rule.is_some_and(|rule| rule.on_conflict == OnConflict::Nothing)
                && catalog.index(other).is_some_and(unique)
        };
        !index.partitioned && others().count() > 0 && others().all(absorbed)
    }
}

impl Doing<'_> {
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }

    /// The whole clause for a statement in `text`, with a space on either side.
    pub(super) fn clause(&self, target: &str, text: &[u8], insert: &Insert) -> BytesMut {
        let mut clause = BytesMut::from(&b" ON CONFLICT "[..]);
        if !target.is_empty() {
            clause.put_slice(target.as_bytes());
            clause.put_u8(b' ');
        }
        clause.put_slice(b"DO ");
        self.write(text, insert, &mut clause);
        clause.put_u8(b' ');
        clause
    }

    /// What follows DO.
    fn write(&self, text: &[u8], insert: &Insert, out: &mut BytesMut) {
        match self {
            Self::Nothing => out.put_slice(b"NOTHING"),
            Self::Select => out.put_slice(b"SELECT"),
            Self::Touch(column) => {
                out.put_slice(format!("UPDATE SET {} = ", quoted(column)).as_bytes());
                out.put_slice(&name_of_target(text, insert));
                out.put_slice(format!(".{}", quoted(column)).as_bytes());
            }
            Self::Update(columns) => {
                let set = |column: &&str| format!("{0} = EXCLUDED.{0}", quoted(column));
                let set: Vec<_> = columns.iter().map(set).collect();
                out.put_slice(format!("UPDATE SET {}", set.join(", ")).as_bytes());
            }
        }
    }
}

/// The columns that a conflict gives new values, if the rule says that it does.
fn columns_to_set<'a>(
    rule: &'a Rule,
    insert: &'a Insert,
    index: &'a Index,
) -> Result<Option<Vec<&'a str>>, Reason> {
    let in_key = |name: &str| index.table_columns.iter().any(|it| it.in_key && it.name == name);
    let columns = match (&rule.on_conflict, &insert.columns) {
        (OnConflict::Nothing, _) => return Ok(None),
        (OnConflict::Update(columns), _) => columns.iter().map(Column::as_str).collect(),
        (OnConflict::UpdateAll, Columns::Named(names)) => {
            names.iter().map(String::as_str).filter(|name| !in_key(name)).collect()
        }
        (OnConflict::UpdateAll, Columns::Implied) => {
            // How many of them get a value is known of VALUES alone.
            let row = insert.first_row.as_ref().filter(|_| insert.rows != Rows::Query);
            let width = row.ok_or(Reason::NoConflictTarget)?.len();
            let given = index.table_columns.iter().take(width);
            given.filter(|it| !it.in_key).map(|it| it.name.as_str()).collect()
        }
        (OnConflict::UpdateAll, Columns::Unsure) => return Err(Reason::NoConflictTarget),
    };
    Ok(Some(columns))
}

/// A column that can be set to itself, of the key if possible.
fn column_to_touch(index: &Index) -> Option<&str> {
    let settable = || index.table_columns.iter().filter(|it| it.settable);
    let found = settable().find(|it| it.in_key).or_else(|| settable().next());
    found.map(|it| it.name.as_str())
}

/// What the statement calls its table: the alias as the text has it, or the table's name.
fn name_of_target<'a>(text: &'a [u8], insert: &Insert) -> std::borrow::Cow<'a, [u8]> {
    match insert.alias.clone().and_then(|range| text.get(range)) {
        Some(alias) => alias.into(),
        None => quoted(&insert.table).into_bytes().into(),
    }
}

/// A name as an identifier that no keyword or folding changes.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The first major version that knows `ON CONFLICT DO SELECT`.
const DO_SELECT: u32 = 19;

#[cfg(test)]
mod tests;
