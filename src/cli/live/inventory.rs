//! All the indexes and constraints that a rule's names could mean, or could have meant.

use std::collections::HashMap;

use anyhow::Context as _;
use postgres::{Row, Transaction};

use crate::rules::{Constraint, Escaped};

/// What a database has.
#[derive(Debug)]
pub(in crate::cli) struct Inventory {
    items: Vec<Item>,
    /// Where the index of that object ID is.
    by_index: HashMap<u32, usize>,
}

/// An index, or a constraint that has none.
#[derive(Debug)]
pub(in crate::cli) struct Item {
    pub(in crate::cli) constraint: Constraint,
    pub(in crate::cli) kind: Kind,
    /// The object ID of the table.
    pub(in crate::cli) table: u32,
    /// The object ID of the index.
    pub(in crate::cli) index: Option<u32>,
    /// The index of which it is a partition's part.
    parent: Option<u32>,
    /// Checked at the end of the transaction, if a transaction asks for it.
    pub(in crate::cli) deferrable: bool,
    /// Complete, and in use.
    pub(in crate::cli) valid: bool,
    /// Its key, as the server writes it.
    pub(in crate::cli) key: Vec<String>,
    /// The predicate of a partial index.
    pub(in crate::cli) predicate: Option<String>,
}

/// What an [`Item`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Kind {
    PrimaryKey,
    Unique,
    UniqueIndex,
    Exclusion,
    Check,
    ForeignKey,
    /// An index that is not unique.
    Index,
}

impl Kind {
    fn read(word: &str) -> anyhow::Result<Self> {
        Ok(match word {
            "p" => Self::PrimaryKey,
            "u" => Self::Unique,
            "unique" => Self::UniqueIndex,
            "x" => Self::Exclusion,
            "c" => Self::Check,
            "f" => Self::ForeignKey,
            "plain" => Self::Index,
            other => anyhow::bail!("the catalog has a constraint of the unknown kind {other}"),
        })
    }

    /// What it is called.
    pub(in crate::cli) fn noun(self) -> &'static str {
        match self {
            Self::PrimaryKey => "primary key",
            Self::Unique => "unique constraint",
            Self::UniqueIndex => "unique index",
            Self::Exclusion => "exclusion constraint",
            Self::Check => "check constraint",
            Self::ForeignKey => "foreign key",
            Self::Index => "index that is not unique",
        }
    }

    /// Whether its violation is a duplicate key.
    pub(in crate::cli) fn is_unique(self) -> bool {
        matches!(self, Self::PrimaryKey | Self::Unique | Self::UniqueIndex)
    }
}

impl Inventory {
    pub(in crate::cli) fn of(transaction: &mut Transaction<'_>) -> anyhow::Result<Self> {
        let rows = transaction
            .query(INVENTORY, &[])
            .context("cannot read the indexes and constraints of the database")?;
        let items = rows.iter().map(Item::read).collect::<anyhow::Result<Vec<_>>>()?;
        let indexes = items.iter().enumerate();
        let by_index = indexes.filter_map(|(at, item)| Some((item.index?, at))).collect();
        Ok(Self { items, by_index })
    }

    pub(in crate::cli) fn items(&self) -> &[Item] {
        &self.items
    }

    /// The unique indexes that a rule can list: those of partitions are their root's.
    pub(in crate::cli) fn listable(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.kind.is_unique() && item.parent.is_none())
    }

    /// The partitioned index at the root, of a partition's.
    pub(in crate::cli) fn root(&self, item: &Item) -> Option<&Item> {
        let mut at = self.items.get(*self.by_index.get(&item.parent?)?)?;
        while let Some(parent) = at.parent.and_then(|parent| self.by_index.get(&parent)) {
            at = self.items.get(*parent)?;
        }
        Some(at)
    }

    /// The index of a partition that has none of its own, of which this one is the root.
    pub(in crate::cli) fn leaf<'a>(&'a self, of: &'a Item) -> Option<&'a Item> {
        let mut at = of;
        while let Some(part) =
            self.items.iter().find(|it| it.parent.is_some() && it.parent == at.index)
        {
            at = part;
        }
        (at.parent.is_some()).then_some(at)
    }

    /// The other unique and exclusion indexes of the same table.
    pub(in crate::cli) fn siblings<'a>(&'a self, of: &'a Item) -> impl Iterator<Item = &'a Item> {
        let guards = |kind: Kind| kind.is_unique() || kind == Kind::Exclusion;
        let same = move |it: &&Item| it.table == of.table && it.index != of.index;
        self.items.iter().filter(move |it| guards(it.kind)).filter(same)
    }
}

impl Item {
    /// Its table, for people to read.
    pub(in crate::cli) fn table_name(&self) -> String {
        format!("{}.{}", Escaped(&self.constraint.schema), Escaped(&self.constraint.table))
    }

    fn read(row: &Row) -> anyhow::Result<Self> {
        Ok(Self {
            constraint: Constraint {
                schema: row.try_get(0)?,
                table: row.try_get(1)?,
                name: row.try_get(2)?,
            },
            kind: Kind::read(row.try_get(3)?)?,
            table: row.try_get(4)?,
            index: row.try_get(5)?,
            parent: row.try_get(6)?,
            deferrable: row.try_get(7)?,
            valid: row.try_get(8)?,
            key: row.try_get(9)?,
            predicate: row.try_get(10)?,
        })
    }
}

/// Temporary tables are a session's own, and TOAST tables nobody's.
const INVENTORY: &str = r#"
SELECT n.nspname::pg_catalog.text, t.relname::pg_catalog.text, c.relname::pg_catalog.text,
    COALESCE(o.contype::pg_catalog.text, CASE WHEN i.indisunique THEN 'unique' ELSE 'plain' END),
    t.oid, c.oid, h.inhparent, NOT i.indimmediate,
    i.indisvalid AND i.indisready AND i.indislive,
    ARRAY(SELECT pg_catalog.pg_get_indexdef(c.oid, k.number, true)
        FROM pg_catalog.generate_series(1, COALESCE(
            (pg_catalog.to_jsonb(i) OPERATOR(pg_catalog.->>) 'indnkeyatts')::pg_catalog.int4,
            i.indnatts)) AS k (number)
        ORDER BY k.number),
    pg_catalog.pg_get_expr(i.indpred, i.indrelid, true)
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid
JOIN pg_catalog.pg_class t ON t.oid OPERATOR(pg_catalog.=) i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.relnamespace
LEFT JOIN pg_catalog.pg_inherits h ON h.inhrelid OPERATOR(pg_catalog.=) c.oid
LEFT JOIN pg_catalog.pg_constraint o ON o.conindid OPERATOR(pg_catalog.=) c.oid
    AND o.contype OPERATOR(pg_catalog.=) ANY ('{p,u,x}'::pg_catalog."char"[])
WHERE t.relkind OPERATOR(pg_catalog.<>) 't' AND t.relpersistence OPERATOR(pg_catalog.<>) 't'
  AND NOT n.nspname OPERATOR(pg_catalog.=) ANY ('{pg_catalog,information_schema}'::pg_catalog.name[])
UNION ALL
SELECT n.nspname::pg_catalog.text, t.relname::pg_catalog.text, o.conname::pg_catalog.text,
    o.contype::pg_catalog.text, t.oid, NULL, NULL, o.condeferrable, o.convalidated, '{}', NULL
FROM pg_catalog.pg_constraint o
JOIN pg_catalog.pg_class t ON t.oid OPERATOR(pg_catalog.=) o.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.relnamespace
WHERE o.contype OPERATOR(pg_catalog.=) ANY ('{c,f}'::pg_catalog."char"[])
  AND t.relpersistence OPERATOR(pg_catalog.<>) 't'
  AND NOT n.nspname OPERATOR(pg_catalog.=) ANY ('{pg_catalog,information_schema}'::pg_catalog.name[])
ORDER BY 1, 2, 3
"#;
