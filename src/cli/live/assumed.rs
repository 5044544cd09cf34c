//! A catalog that nobody has looked at: the constraint is a plain unique one of an ordinary table,
//! and nothing about the table or the user is in the way.

use crate::rules::Constraint;
use crate::session::catalog::{Catalog, Index, TableColumn};
use crate::sql::{Columns, Insert};

use super::rehearsal::{Answers, Row};

/// What stands for the constraint's columns in the texts that come of it.
pub(in crate::cli) const KEY: &str = "<key>";

/// A server on which everything is as good as it can be.
pub(in crate::cli) struct Assumed<'a> {
    pub(in crate::cli) violates: &'a Constraint,
}

impl Answers for Assumed<'_> {
    /// What the session asks ahead of rewriting: whose name it is, and what holds of it. Of another
    /// table there is nothing to say.
    fn rows(&mut self, _question: &str, arrays: &[String]) -> anyhow::Result<Vec<Row>> {
        let Constraint { schema, table, name } = self.violates;
        let [schema, table, name] = [schema, table, name].map(hex::encode);
        let asked = arrays.iter().any(|array| array.contains(&format!(r"\\x{table}")));
        let row = [schema, table, FACTS.to_owned(), name].map(Some);
        Ok(if asked { vec![row.into()] } else { Vec::new() })
    }
}

/// All of the facts that matter; see `session/verified.rs`.
const FACTS: &str = "pocku1t";

/// The version that all of it is assumed of.
pub(in crate::cli) const VERSION: &str = "18.0";

/// What is assumed of a constraint that a statement violates.
pub(in crate::cli) fn catalog(violates: &Constraint, insert: Option<&Insert>) -> Catalog {
    let named = match insert.map(|insert| &insert.columns) {
        Some(Columns::Named(names)) => names.as_slice(),
        _ => &[],
    };
    let column = |name: &str, in_key| TableColumn { name: name.to_owned(), in_key, settable: true };
    let others = named.iter().map(|name| column(name, false));
    let index = Index {
        root: violates.clone(),
        columns: KEY.to_owned(),
        immediate: true,
        plain: true,
        partitioned: false,
        conflict_target: Some(format!("ON CONSTRAINT {}", violates.name)),
        key: Some(KEY.to_owned()),
        predicate: None,
        table_columns: std::iter::once(column(KEY, true)).chain(others).collect(),
    };
    Catalog::from_iter([(violates.clone(), index)])
}
