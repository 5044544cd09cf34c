//! What of a table matters to an INSERT that runs again, or that is rewritten.

use anyhow::Context as _;
use postgres::Transaction;

/// One table, as the user who has connected sees it.
#[derive(Debug)]
pub(in crate::cli) struct Table {
    /// `pg_class.relkind`.
    kind: String,
    /// Rows, as the planner estimates; `None` if nothing is known.
    pub(in crate::cli) rows: Option<f64>,
    /// Tables that inherit from it, partitions or not.
    pub(in crate::cli) heirs: i64,
    /// Its name needs no schema, as the search_path is now.
    pub(in crate::cli) visible: bool,
    /// Row-level security.
    pub(in crate::cli) security: Security,
    /// Triggers that may leave out rows, its partitions' too.
    pub(in crate::cli) before_insert: Vec<String>,
    /// Triggers that an UPDATE of a row fires.
    pub(in crate::cli) on_update: Vec<String>,
    /// What may make the proxy take the table for no plain one: views, foreign tables, rules.
    pub(in crate::cli) not_plain: Vec<String>,
    /// Of INSERT, SELECT and UPDATE, what the user may do to none of its columns.
    pub(in crate::cli) lacks: Vec<String>,
}

/// Row-level security on a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Security {
    Off,
    /// There is some, but not for this user.
    Bypassed,
    /// It applies to this user.
    Active,
}

impl Table {
    pub(in crate::cli) fn of(transaction: &mut Transaction<'_>, oid: u32) -> anyhow::Result<Self> {
        let row = transaction
            .query_one(TABLE, &[&oid])
            .with_context(|| format!("cannot read what the table with the object ID {oid} is"))?;
        let rows: f64 = row.try_get(1)?;
        let security = match (row.try_get(4)?, row.try_get(5)?) {
            (_, true) => Security::Active,
            (true, false) => Security::Bypassed,
            (false, false) => Security::Off,
        };
        Ok(Self {
            kind: row.try_get(0)?,
            rows: (rows >= 0.0).then_some(rows),
            heirs: row.try_get(2)?,
            visible: row.try_get(3)?,
            security,
            before_insert: row.try_get(6)?,
            on_update: row.try_get(7)?,
            not_plain: row.try_get(8)?,
            lacks: row.try_get(9)?,
        })
    }

    pub(in crate::cli) fn is_partitioned(&self) -> bool {
        self.kind == "p"
    }

    /// A materialized view, which takes no INSERT at all.
    pub(in crate::cli) fn is_materialized(&self) -> bool {
        self.kind == "m"
    }

    pub(in crate::cli) fn lacks(&self, right: &str) -> bool {
        self.lacks.iter().any(|it| it == right)
    }
}

const TABLE: &str = r#"
WITH RECURSIVE parts (oid) AS (
    SELECT $1::pg_catalog.oid
    UNION ALL
    SELECT h.inhrelid
    FROM parts p
    JOIN pg_catalog.pg_inherits h ON h.inhparent OPERATOR(pg_catalog.=) p.oid
)
SELECT c.relkind::pg_catalog.text,
    CASE WHEN c.reltuples OPERATOR(pg_catalog.=) 0 AND c.relpages OPERATOR(pg_catalog.=) 0
        AND pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.<) 140000
        THEN -1 ELSE c.reltuples END::pg_catalog.float8,
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_inherits h
     WHERE h.inhparent OPERATOR(pg_catalog.=) c.oid),
    pg_catalog.pg_table_is_visible(c.oid), c.relrowsecurity,
    pg_catalog.row_security_active(c.oid),
    ARRAY(SELECT DISTINCT t.tgname::pg_catalog.text FROM pg_catalog.pg_trigger t
        WHERE t.tgrelid OPERATOR(pg_catalog.=) ANY (SELECT p.oid FROM parts p)
          AND (t.tgtype OPERATOR(pg_catalog.&) 7::pg_catalog.int2) OPERATOR(pg_catalog.=) 7
        ORDER BY 1),
    ARRAY(SELECT DISTINCT t.tgname::pg_catalog.text FROM pg_catalog.pg_trigger t
        WHERE t.tgrelid OPERATOR(pg_catalog.=) ANY (SELECT p.oid FROM parts p) AND NOT t.tgisinternal
          AND (t.tgtype OPERATOR(pg_catalog.&) 17::pg_catalog.int2) OPERATOR(pg_catalog.=) 17
        ORDER BY 1),
    ARRAY(SELECT pg_catalog.format('%s %I.%I',
            CASE o.relkind WHEN 'v' THEN 'the view' WHEN 'f' THEN 'the foreign table'
                ELSE 'rules on' END, n.nspname, o.relname)
        FROM pg_catalog.pg_class o
        JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) o.relnamespace
        WHERE o.relname OPERATOR(pg_catalog.=) c.relname
          AND (o.relhasrules OR o.relkind OPERATOR(pg_catalog.=) ANY ('{v,f}'::pg_catalog."char"[]))
        ORDER BY 1),
    ARRAY(SELECT r.name FROM pg_catalog.unnest('{INSERT,SELECT,UPDATE}'::pg_catalog.text[]) AS r (name)
        WHERE NOT pg_catalog.has_any_column_privilege(c.oid, r.name))
FROM pg_catalog.pg_class c
WHERE c.oid OPERATOR(pg_catalog.=) $1
"#;
