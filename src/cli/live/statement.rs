//! INSERTs that stand for those of an application, and what the server says of one.

use postgres::Transaction;
use postgres::error::SqlState;

use crate::rules::Constraint;
use crate::session::catalog::Index;
use crate::session::quoted;

/// What an INSERT asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Shape {
    /// One row.
    One,
    /// More than one.
    Several,
    /// One, with RETURNING.
    Returning,
}

impl Shape {
    pub(in crate::cli) const ALL: [Self; 3] = [Self::One, Self::Several, Self::Returning];

    pub(in crate::cli) fn noun(self) -> &'static str {
        match self {
            Self::One => "a single row",
            Self::Several => "several rows or a query",
            Self::Returning => "RETURNING",
        }
    }
}

/// An INSERT into the table of a constraint.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Statement {
    pub(in crate::cli) text: String,
    /// The same, from the table's name on.
    behind_schema: String,
}

impl Statement {
    /// Of all columns that an application would name, as far as the index is known.
    pub(in crate::cli) fn new(of: &Constraint, index: Option<&Index>, shape: Shape) -> Self {
        let columns = index.map_or(&[][..], |index| &index.table_columns);
        let written = columns.iter().filter(|it| it.settable || it.in_key);
        let names: Vec<_> = written.map(|it| quoted(&it.name)).collect();
        let row = match vec!["DEFAULT"; names.len().max(1)].join(", ") {
            row if shape == Shape::Several => format!("({row}), ({row})"),
            row => format!("({row})"),
        };
        let list =
            if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
        let returning = if shape == Shape::Returning { " RETURNING 1" } else { "" };
        let behind_schema = format!("{}{list} VALUES {row}{returning}", quoted(&of.table));
        Self { text: format!("INSERT INTO {}.{behind_schema}", quoted(&of.schema)), behind_schema }
    }

    /// The same, with the table's name alone.
    pub(in crate::cli) fn without_schema(&self) -> Self {
        let behind_schema = self.behind_schema.clone();
        Self { text: format!("INSERT INTO {behind_schema}"), behind_schema }
    }

    /// What `changed` has more than the statement.
    pub(in crate::cli) fn clause<'a>(&self, changed: &'a str) -> &'a str {
        let same = self.text.bytes().zip(changed.bytes()).take_while(|(a, b)| a == b).count();
        let rest = self.text.len() - same;
        changed.get(same..changed.len().saturating_sub(rest)).unwrap_or(changed).trim()
    }
}

/// Why the server would not run a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Refusal {
    /// For a right that the user lacks.
    pub(in crate::cli) forbidden: bool,
    /// What the server says.
    pub(in crate::cli) message: String,
}

/// Whether the server would refuse a statement, as far as it can tell without running it.
pub(in crate::cli) fn refusal(
    transaction: &mut Transaction<'_>,
    text: &str,
) -> anyhow::Result<Option<Refusal>> {
    let mut inside = transaction.transaction()?;
    let explained = inside.simple_query(&format!("EXPLAIN {text}"));
    inside.rollback()?;
    let Err(error) = explained else { return Ok(None) };
    let Some(told) = error.as_db_error() else { return Err(error.into()) };
    Ok(Some(Refusal {
        forbidden: *told.code() == SqlState::INSUFFICIENT_PRIVILEGE,
        message: told.message().to_owned(),
    }))
}
