//! What the server's catalog says of the listed unique indexes.
//!
//! An ErrorResponse names a constraint, but not whether it is deferrable, whether it belongs to a
//! partition, or whether a view or a rule stands between the statement and the table. So the
//! session asks once per database and the answer is shared, until the shell finds it too old and
//! clears it. A constraint that the answer does not know is not absorbed.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;

use crate::rules::{Constraint, Ruleset};
use crate::sql::Encoding;
use crate::wire::{backend, build};

/// One unique index that a rule lists, or a partition of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The index that a rule lists: itself, or the partitioned index at the root.
    pub root: Constraint,
    /// Names of its columns, comma-separated; for logs.
    pub columns: String,
    /// Checked at once: neither deferrable, nor invalid or being built.
    pub immediate: bool,
    /// No view, foreign table or rule is behind the table's name, in any schema.
    pub plain: bool,
}

/// The answer to one lookup: every listed index of a database by the name an error gives it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    indexes: HashMap<Constraint, Index>,
}

impl Catalog {
    /// What is known of the index that an error names.
    #[must_use]
    pub fn index(&self, constraint: &Constraint) -> Option<&Index> {
        self.indexes.get(constraint)
    }

    /// Adds one DataRow of the lookup; `None` when it is not of the lookup's form.
    pub(super) fn add(&mut self, body: &[u8]) -> Option<()> {
        let row = backend::data_row(body)?;
        let [schema, table, name, root_schema, root_table, root_name, immediate, plain, columns] =
            <[_; 9]>::try_from(row).ok()?;
        let text = |value: Option<&[u8]>| String::from_utf8(value?.to_vec()).ok();
        let constraint = |schema, table, name| {
            Some(Constraint { schema: text(schema)?, table: text(table)?, name: text(name)? })
        };
        let index = Index {
            root: constraint(root_schema, root_table, root_name)?,
            columns: text(columns)?,
            immediate: immediate? == b"t",
            plain: plain? == b"t",
        };
        self.indexes.insert(constraint(schema, table, name)?, index);
        Some(())
    }
}

impl FromIterator<(Constraint, Index)> for Catalog {
    fn from_iter<T: IntoIterator<Item = (Constraint, Index)>>(indexes: T) -> Self {
        Self { indexes: indexes.into_iter().collect() }
    }
}

/// The catalog of one database, shared by its sessions.
///
/// An answer that is too old asks for a new one, and serves until that has come or it is too old
/// once more: a statement that is under way could not ask any more.
#[derive(Debug, Default)]
pub struct SharedCatalog {
    fresh: ArcSwapOption<Catalog>,
    old: ArcSwapOption<Catalog>,
}

impl SharedCatalog {
    /// What was last learnt, if it has not been cleared since.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Catalog>> {
        self.fresh.load_full().or_else(|| self.old.load_full())
    }

    /// Whether a lookup is due.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.fresh.load().is_none()
    }

    /// Keeps a lookup's answer for all sessions.
    pub fn store(&self, catalog: Catalog) {
        self.fresh.store(Some(Arc::new(catalog)));
    }

    /// What is known is old from now on, so that the next session that needs it asks again; what
    /// was old is forgotten.
    pub fn expire(&self) {
        self.old.store(self.fresh.load_full());
        self.fresh.store(None);
    }
}

/// The lookup for a set of rules, from Parse to Sync.
///
/// The server reads it in the client's encoding: outside UTF-8 only ASCII names can be asked for.
#[must_use]
pub fn lookup(rules: &Ruleset, encoding: Encoding) -> Bytes {
    let (names, patterns) = rules.constraint_names();
    let readable = |name: &&str| encoding == Encoding::Utf8 || name.is_ascii();
    let arrays = [
        array(names.into_iter().filter(readable)),
        array(patterns.iter().map(String::as_str).filter(readable)),
    ];
    build::one_query("pgabsorb_lookup", LOOKUP, &arrays)
}

/// An array's [text form](https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO).
fn array<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let quote = |item: &str| format!("\"{}\"", item.replace('\\', r"\\").replace('"', r#"\""#));
    let items: Vec<_> = items.map(quote).collect();
    format!("{{{}}}", items.join(","))
}

/// Every name is qualified, operators too, so that no search_path can change what is asked.
const LOOKUP: &str = r#"
WITH RECURSIVE listed (root, leaf) AS (
    SELECT c.oid, c.oid
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_index i ON i.indexrelid OPERATOR(pg_catalog.=) c.oid
    WHERE i.indisunique AND NOT c.relispartition
      AND (c.relname::pg_catalog.text OPERATOR(pg_catalog.=) ANY ($1)
        OR c.relname::pg_catalog.text OPERATOR(pg_catalog.~~) ANY ($2))
    UNION ALL
    SELECT l.root, h.inhrelid
    FROM listed l
    JOIN pg_catalog.pg_inherits h ON h.inhparent OPERATOR(pg_catalog.=) l.leaf
)
SELECT n.nspname, t.relname, c.relname, rn.nspname, rt.relname, rc.relname,
    i.indimmediate AND i.indisvalid AND i.indisready AND i.indislive,
    NOT EXISTS (
        SELECT FROM pg_catalog.pg_class o
        WHERE (o.relname OPERATOR(pg_catalog.=) t.relname OR o.relname OPERATOR(pg_catalog.=) rt.relname)
          AND (o.relhasrules OR o.relkind OPERATOR(pg_catalog.=) ANY ('{v,f}'::pg_catalog."char"[]))),
    (SELECT pg_catalog.string_agg(a.attname::pg_catalog.text, ', ' ORDER BY a.attnum)
     FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.=) l.leaf)
FROM listed l
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) l.leaf
JOIN pg_catalog.pg_index i ON i.indexrelid OPERATOR(pg_catalog.=) l.leaf
JOIN pg_catalog.pg_class t ON t.oid OPERATOR(pg_catalog.=) i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.relnamespace
JOIN pg_catalog.pg_class rc ON rc.oid OPERATOR(pg_catalog.=) l.root
JOIN pg_catalog.pg_index ri ON ri.indexrelid OPERATOR(pg_catalog.=) l.root
JOIN pg_catalog.pg_class rt ON rt.oid OPERATOR(pg_catalog.=) ri.indrelid
JOIN pg_catalog.pg_namespace rn ON rn.oid OPERATOR(pg_catalog.=) rt.relnamespace
"#;

#[cfg(test)]
mod tests;
