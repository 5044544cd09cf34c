//! What the server's catalog says of the listed unique indexes.
//!
//! An ErrorResponse names a constraint, but not whether it is deferrable, whether it belongs to a
//! partition, or whether a view or a rule stands between the statement and the table. So
//! sessions ask, and share the answer until the shell has expired it twice. A constraint that the
//! answer does not know is not absorbed.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use foldhash::fast::RandomState;

use crate::rules::{Constraint, Ruleset};
use crate::wire::{backend, build};

/// One unique or exclusion index of a table of which a rule lists an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The index that a rule can list: itself, or the partitioned index at the root.
    pub root: Constraint,
    /// Names of its columns, comma-separated; for logs.
    pub columns: String,
    /// Checked at once: neither deferrable, nor invalid or being built.
    pub immediate: bool,
    /// No view, foreign table or rule is behind the table's name, in any schema.
    pub plain: bool,
    /// The table is a partition, or has some.
    pub partitioned: bool,
    /// The [conflict target](https://www.postgresql.org/docs/current/sql-insert.html#SQL-ON-CONFLICT)
    /// that stands for this index alone; `None` if none does.
    pub conflict_target: Option<String>,
    /// Its key as a conflict target has it, without parentheses; `None` if another has the same.
    pub key: Option<String>,
    /// The predicate of a partial index.
    pub predicate: Option<String>,
    /// The columns of its table, in their order.
    pub table_columns: Vec<TableColumn>,
}

/// A column of a table, as one of its indexes sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableColumn {
    /// Its name.
    pub name: String,
    /// Whether it is part of the index's key.
    pub in_key: bool,
    /// Whether an UPDATE may give it a value: it is neither generated nor an identity that is
    /// always generated.
    pub settable: bool,
}

impl TableColumn {
    /// Reads hexadecimal digits, then `k` and `s`, each if it is so.
    fn read(written: &[u8]) -> Option<Self> {
        let flags = written.iter().position(|byte| !byte.is_ascii_hexdigit());
        let (name, flags) = written.split_at_checked(flags.unwrap_or(written.len()))?;
        let has = |flag: u8| flags.contains(&flag);
        Some(Self { name: text(Some(name))?, in_key: has(b'k'), settable: has(b's') })
    }
}

/// The answer to one lookup: the unique and exclusion indexes of every table of which one is
/// listed, by the name an error gives them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    indexes: HashMap<Constraint, Index, RandomState>,
    /// The indexes at the root that an INSERT into a table of this name, in any schema, may hit.
    by_table: HashMap<String, Vec<Constraint>, RandomState>,
}

impl Catalog {
    /// What is known of the index that an error names.
    #[must_use]
    pub fn index(&self, constraint: &Constraint) -> Option<&Index> {
        self.indexes.get(constraint)
    }

    /// The indexes that an INSERT into a table of this name, in any schema, may hit.
    #[must_use]
    pub fn of_table(&self, table: &str) -> &[Constraint] {
        self.by_table.get(table).map_or(&[], Vec::as_slice)
    }

    /// Each index that a rule can list.
    pub(super) fn roots(&self) -> impl Iterator<Item = &Constraint> {
        self.by_table.values().flatten()
    }

    /// The indexes of one table.
    pub(super) fn siblings<'a>(
        &'a self,
        of: &'a Constraint,
    ) -> impl Iterator<Item = &'a Constraint> {
        let same = |it: &&Constraint| it.schema == of.schema && it.table == of.table;
        self.of_table(&of.table).iter().filter(same)
    }

    fn insert(&mut self, constraint: Constraint, index: Index) {
        for table in [&constraint.table, &index.root.table] {
            let roots = self.by_table.entry(table.clone()).or_default();
            if !roots.contains(&index.root) {
                roots.push(index.root.clone());
            }
        }
        self.indexes.insert(constraint, index);
    }

    /// Adds one DataRow of the lookup; `None` when it is not of the lookup's form.
    pub(super) fn add(&mut self, body: &[u8]) -> Option<()> {
        let row = backend::data_row(body)?;
        let [
            schema,
            table,
            name,
            root_schema,
            root_table,
            root_name,
            columns,
            target,
            key,
            predicate,
            table_columns,
            flags @ ..,
        ] = <[_; 14]>::try_from(row).ok()?;
        let constraint = |schema, table, name| {
            Some(Constraint { schema: text(schema)?, table: text(table)?, name: text(name)? })
        };
        let [immediate, plain, partitioned] = flags.map(|flag| flag.map(|value| value == b"t"));
        let index = Index {
            root: constraint(root_schema, root_table, root_name)?,
            columns: text(columns)?,
            immediate: immediate?,
            plain: plain?,
            partitioned: partitioned?,
            table_columns: table_columns?
                .split(|byte| *byte == b',')
                .map(TableColumn::read)
                .collect::<Option<_>>()?,
            conflict_target: some_text(target).ok()?,
            key: some_text(key).ok()?,
            predicate: some_text(predicate).ok()?,
        };
        self.insert(constraint(schema, table, name)?, index);
        Some(())
    }
}

/// A text of the lookup's answer, which comes in UTF-8 and in hexadecimal digits, whatever the
/// client's encoding is.
pub(super) fn text(hexadecimal: Option<&[u8]>) -> Option<String> {
    String::from_utf8(hex::decode(hexadecimal?).ok()?).ok()
}

/// The same of what may be NULL: `Err` for what cannot be read.
fn some_text(hexadecimal: Option<&[u8]>) -> Result<Option<String>, ()> {
    hexadecimal.map(|digits| text(Some(digits)).ok_or(())).transpose()
}

impl FromIterator<(Constraint, Index)> for Catalog {
    fn from_iter<T: IntoIterator<Item = (Constraint, Index)>>(indexes: T) -> Self {
        let mut catalog = Self::default();
        for (constraint, index) in indexes {
            catalog.insert(constraint, index);
        }
        catalog
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
    /// What was last learnt, unless it has expired twice since.
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

/// The lookup for a set of rules, without a Sync.
///
/// All it says is ASCII, so that the client's encoding makes no difference to it.
#[must_use]
pub fn lookup(rules: &Ruleset) -> Bytes {
    let (names, patterns) = rules.constraint_names();
    let patterns: Vec<_> = patterns.iter().map(String::as_str).collect();
    let arrays = [byte_array(&names), byte_array(&patterns)];
    let command = build::command(NAME, LOOKUP, &arrays);
    // One that failed has left its statement behind.
    [build::close_statement(NAME.as_bytes()), command].concat().into()
}

const NAME: &str = "pgabsorb_lookup";

/// The text form of an [array](https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO) of
/// `bytea`.
pub(super) fn byte_array(items: &[&str]) -> String {
    let items: Vec<_> = items.iter().map(|item| format!(r#""\\x{}""#, hex::encode(item))).collect();
    format!("{{{}}}", items.join(","))
}

/// Every name is qualified, operators too, so that no search_path can change what is asked.
///
/// What a conflict target names has to be qualified as well: for that `search_path` is set, until
/// the end of the transaction or the rollback to a savepoint before it. A constraint is named; for
/// an index that is none, its key and predicate are written out, unless those of another one are
/// the same. Reading a column's name takes no lock on its table; only the texts of expressions and
/// predicates do, which are asked for where there are any.
const LOOKUP: &str = r#"
WITH RECURSIVE listed (relation) AS (
    SELECT DISTINCT i.indrelid
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_index i ON i.indexrelid OPERATOR(pg_catalog.=) c.oid
    WHERE i.indisunique AND NOT c.relispartition
      AND (pg_catalog.convert_to(c.relname::pg_catalog.text, 'UTF8') OPERATOR(pg_catalog.=) ANY ($1)
        OR pg_catalog.convert_to(c.relname::pg_catalog.text, 'UTF8') OPERATOR(pg_catalog.~~) ANY ($2))
), guarding (root, leaf) AS (
    SELECT c.oid, c.oid
    FROM listed l
    JOIN pg_catalog.pg_index i ON i.indrelid OPERATOR(pg_catalog.=) l.relation
    JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid
    WHERE (i.indisunique OR i.indisexclusion) AND NOT c.relispartition
    UNION ALL
    SELECT g.root, h.inhrelid
    FROM guarding g
    JOIN pg_catalog.pg_inherits h ON h.inhparent OPERATOR(pg_catalog.=) g.leaf
), path (is_set) AS (
    SELECT pg_catalog.set_config('search_path', 'pg_catalog', true) IS NOT NULL
), keyed AS (
    SELECT i.*, count.keys, CASE WHEN (SELECT is_set FROM path) THEN (
        SELECT pg_catalog.array_agg(COALESCE(pg_catalog.quote_ident(c.attname),
            pg_catalog.pg_get_indexdef(i.indexrelid, a.attnum, false)) ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute a
        LEFT JOIN pg_catalog.pg_attribute c ON c.attrelid OPERATOR(pg_catalog.=) i.indrelid
          AND c.attnum OPERATOR(pg_catalog.=) i.indkey[a.attnum OPERATOR(pg_catalog.-) 1]
        WHERE a.attrelid OPERATOR(pg_catalog.=) i.indexrelid
          AND a.attnum OPERATOR(pg_catalog.<=) count.keys
        ) END AS key
    FROM pg_catalog.pg_index i
    CROSS JOIN LATERAL (SELECT COALESCE(
        (pg_catalog.to_jsonb(i) OPERATOR(pg_catalog.->>) 'indnkeyatts')::pg_catalog.int2, i.indnatts)) AS count (keys)
    WHERE i.indisunique AND i.indrelid OPERATOR(pg_catalog.=) ANY (SELECT x.indrelid
        FROM guarding g
        JOIN pg_catalog.pg_index x ON x.indexrelid OPERATOR(pg_catalog.=) g.leaf)
), target AS (
    SELECT k.indexrelid, pg_catalog.array_to_string(k.key, ', ') AS key,
        CASE WHEN (SELECT is_set FROM path) THEN pg_catalog.pg_get_expr(k.indpred, k.indrelid) END AS predicate
    FROM keyed k
    WHERE NOT EXISTS (
        SELECT FROM keyed other
        WHERE other.indrelid OPERATOR(pg_catalog.=) k.indrelid
          AND other.indexrelid OPERATOR(pg_catalog.<>) k.indexrelid
          AND other.key OPERATOR(pg_catalog.@>) k.key AND other.key OPERATOR(pg_catalog.<@) k.key)
), answer AS (
    SELECT n.nspname, t.relname, c.relname AS name,
        rn.nspname AS root_schema, rt.relname AS root_table, rc.relname AS root_name,
        (SELECT pg_catalog.string_agg(a.attname::pg_catalog.text, ', ' ORDER BY a.attnum)
         FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.=) g.leaf) AS columns,
        CASE WHEN o.conname IS NOT NULL THEN pg_catalog.format('ON CONSTRAINT %I', o.conname)
        WHEN d.key IS NOT NULL THEN pg_catalog.concat_ws(' WHERE ', pg_catalog.format('(%s)', d.key), d.predicate)
        END AS target, d.key, d.predicate,
        (SELECT pg_catalog.string_agg(pg_catalog.concat(
            pg_catalog.encode(pg_catalog.convert_to(a.attname::pg_catalog.text, 'UTF8'), 'hex'),
            CASE WHEN a.attnum OPERATOR(pg_catalog.=) ANY (
                (i.indkey::pg_catalog.int2[])[0 : k.keys OPERATOR(pg_catalog.-) 1]) THEN 'k' END,
            CASE WHEN a.attidentity OPERATOR(pg_catalog.<>) 'a' AND COALESCE(
                pg_catalog.to_jsonb(a) OPERATOR(pg_catalog.->>) 'attgenerated', '') OPERATOR(pg_catalog.=) ''
                THEN 's' END), ',' ORDER BY a.attnum)
         FROM pg_catalog.pg_attribute a
         WHERE a.attrelid OPERATOR(pg_catalog.=) i.indrelid
           AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped) AS table_columns,
        i.indimmediate AND i.indisvalid AND i.indisready AND i.indislive AS immediate,
        NOT EXISTS (
            SELECT FROM pg_catalog.pg_class o
            WHERE (o.relname OPERATOR(pg_catalog.=) t.relname OR o.relname OPERATOR(pg_catalog.=) rt.relname)
              AND (o.relhasrules OR o.relkind OPERATOR(pg_catalog.=) ANY ('{v,f}'::pg_catalog."char"[])))
            AS plain,
        t.relispartition OR t.relkind OPERATOR(pg_catalog.=) 'p' AS partitioned
    FROM guarding g
    JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) g.leaf
    JOIN pg_catalog.pg_index i ON i.indexrelid OPERATOR(pg_catalog.=) g.leaf
    JOIN pg_catalog.pg_class t ON t.oid OPERATOR(pg_catalog.=) i.indrelid
    JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.relnamespace
    JOIN pg_catalog.pg_class rc ON rc.oid OPERATOR(pg_catalog.=) g.root
    JOIN pg_catalog.pg_index ri ON ri.indexrelid OPERATOR(pg_catalog.=) g.root
    JOIN pg_catalog.pg_class rt ON rt.oid OPERATOR(pg_catalog.=) ri.indrelid
    JOIN pg_catalog.pg_namespace rn ON rn.oid OPERATOR(pg_catalog.=) rt.relnamespace
    LEFT JOIN keyed k ON k.indexrelid OPERATOR(pg_catalog.=) g.leaf
    LEFT JOIN target d ON d.indexrelid OPERATOR(pg_catalog.=) g.leaf
    LEFT JOIN pg_catalog.pg_constraint o ON o.conindid OPERATOR(pg_catalog.=) g.leaf
        AND o.contype OPERATOR(pg_catalog.=) ANY ('{p,u}'::pg_catalog."char"[])
)
SELECT pg_catalog.encode(pg_catalog.convert_to(a.nspname::pg_catalog.text, 'UTF8'), 'hex'),
    pg_catalog.encode(pg_catalog.convert_to(a.relname::pg_catalog.text, 'UTF8'), 'hex'),
    pg_catalog.encode(pg_catalog.convert_to(a.name::pg_catalog.text, 'UTF8'), 'hex'),
    pg_catalog.encode(pg_catalog.convert_to(a.root_schema::pg_catalog.text, 'UTF8'), 'hex'),
    pg_catalog.encode(pg_catalog.convert_to(a.root_table::pg_catalog.text, 'UTF8'), 'hex'),
    pg_catalog.encode(pg_catalog.convert_to(a.root_name::pg_catalog.text, 'UTF8'), 'hex'),
    pg_catalog.encode(pg_catalog.convert_to(a.columns, 'UTF8'), 'hex'),
    pg_catalog.encode(pg_catalog.convert_to(a.target, 'UTF8'), 'hex'),
    pg_catalog.encode(pg_catalog.convert_to(a.key, 'UTF8'), 'hex'),
    pg_catalog.encode(pg_catalog.convert_to(a.predicate, 'UTF8'), 'hex'),
    a.table_columns, a.immediate, a.plain, a.partitioned
FROM answer a
ORDER BY 1, 2, 3
"#;

#[cfg(test)]
mod tests;
