//! Sequences that fill a listed key, and whether one has fallen behind its column: after a restore,
//! or rows that came with their keys, the next number is one that is taken.

use anyhow::Context as _;
use postgres::{Row, Transaction};

/// A sequence that gives a key column its default.
#[derive(Debug)]
pub(in crate::cli) struct Sequence {
    /// Its name with its schema, quoted as SQL has it.
    pub(in crate::cli) name: String,
    /// The column, quoted.
    pub(in crate::cli) column: String,
    /// The table with its schema, quoted.
    table: String,
    increment: i64,
    /// The statement that sets it to the greatest value of its column.
    repair: String,
}

/// How a sequence stands.
#[derive(Debug)]
pub(in crate::cli) enum State {
    /// Its next number is free, as far as the column's greatest value says.
    Good,
    /// Its next number is one that rows have, or have passed.
    Behind { next: i128, reached: i128, repair: String },
    /// It could not be told, for this reason.
    Unread(String),
}

impl Sequence {
    /// The sequences that fill the key of an index: of serial and identity columns, and of defaults
    /// that are nothing but `nextval`.
    pub(in crate::cli) fn of_index(
        transaction: &mut Transaction<'_>,
        index: u32,
    ) -> anyhow::Result<Vec<Self>> {
        let rows = transaction
            .query(SEQUENCES, &[&index])
            .context("cannot read which sequences fill a key")?;
        rows.iter().map(Self::read).collect()
    }

    fn read(row: &Row) -> anyhow::Result<Self> {
        Ok(Self {
            name: row.try_get(0)?,
            column: row.try_get(1)?,
            table: row.try_get(2)?,
            increment: row.try_get(3)?,
            repair: row.try_get(4)?,
        })
    }

    /// Looks where the sequence and its column stand, within a bounded time.
    pub(in crate::cli) fn state(&self, transaction: &mut Transaction<'_>) -> anyhow::Result<State> {
        let mut inside = transaction.transaction()?;
        let found = self.read_state(&mut inside);
        inside.rollback()?;
        let (next, reached) = match found {
            Ok(found) => found,
            Err(error) => return Ok(State::Unread(error)),
        };
        let Some(reached) = reached else { return Ok(State::Good) };
        let behind = if self.increment > 0 { reached >= next } else { reached <= next };
        let repair = self.repair.clone();
        Ok(if behind { State::Behind { next, reached, repair } } else { State::Good })
    }

    /// The next number, and the furthest that is stored; or why that cannot be told.
    fn read_state(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<(i128, Option<i128>), String> {
        let furthest = if self.increment > 0 { "max" } else { "min" };
        let text = format!(
            "SELECT s.last_value::pg_catalog.text, s.is_called,
                (SELECT pg_catalog.{furthest}({}) FROM {})::pg_catalog.text
             FROM {} s",
            self.column, self.table, self.name
        );
        let told = |error: postgres::Error| match error.as_db_error() {
            Some(error) => error.message().to_owned(),
            None => error.to_string(),
        };
        transaction
            .batch_execute(&format!("SET LOCAL statement_timeout = '{PATIENCE}'"))
            .map_err(told)?;
        let row = transaction.query_one(&text, &[]).map_err(told)?;
        let (last, called): (String, bool) = (row.get(0), row.get(1));
        let reached: Option<String> = row.get(2);
        let number = |text: &str| {
            text.parse::<i128>().map_err(|_| format!("{text} is no whole number of its range"))
        };
        let next = number(&last)? + if called { i128::from(self.increment) } else { 0 };
        Ok((next, reached.as_deref().map(number).transpose()?))
    }
}

/// The greatest value of an indexed column is read at once; of another one it may take long.
const PATIENCE: &str = "5s";

/// What a column's default depends on, or, of an identity, what depends on the column.
const SEQUENCES: &str = r"
WITH key AS (
    SELECT i.indrelid AS relation, a.attnum, a.attname, a.atttypid
    FROM pg_catalog.pg_index i
    CROSS JOIN LATERAL (SELECT (i.indkey::pg_catalog.int2[])[0 : COALESCE(
        (pg_catalog.to_jsonb(i) OPERATOR(pg_catalog.->>) 'indnkeyatts')::pg_catalog.int4,
        i.indnatts) OPERATOR(pg_catalog.-) 1]) AS k (numbers)
    JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid
        AND a.attnum OPERATOR(pg_catalog.=) ANY (k.numbers)
    WHERE i.indexrelid OPERATOR(pg_catalog.=) $1
      AND a.atttypid OPERATOR(pg_catalog.=) ANY ('{int2,int4,int8,numeric}'::pg_catalog.regtype[])
), filled AS (
    SELECT k.*, d.objid AS sequence
    FROM key k
    JOIN pg_catalog.pg_depend d ON d.refobjid OPERATOR(pg_catalog.=) k.relation
        AND d.refobjsubid OPERATOR(pg_catalog.=) k.attnum
        AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
        AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
        AND d.deptype OPERATOR(pg_catalog.=) 'i'
    UNION
    SELECT k.*, d.refobjid
    FROM key k
    JOIN pg_catalog.pg_attrdef f ON f.adrelid OPERATOR(pg_catalog.=) k.relation
        AND f.adnum OPERATOR(pg_catalog.=) k.attnum
    JOIN pg_catalog.pg_depend d ON d.objid OPERATOR(pg_catalog.=) f.oid
        AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass
        AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
    WHERE pg_catalog.pg_get_expr(f.adbin, f.adrelid) OPERATOR(pg_catalog.~)
        $re$^nextval\('([^']|'')*'::regclass\)$$re$
)
SELECT pg_catalog.format('%I.%I', sn.nspname, s.relname), pg_catalog.format('%I', f.attname),
    pg_catalog.format('%I.%I', tn.nspname, t.relname), q.seqincrement,
    pg_catalog.format('SELECT pg_catalog.setval(%L, (SELECT pg_catalog.%s(%I)%s FROM %I.%I));',
        pg_catalog.format('%I.%I', sn.nspname, s.relname),
        CASE WHEN q.seqincrement OPERATOR(pg_catalog.>) 0 THEN 'max' ELSE 'min' END,
        f.attname,
        CASE WHEN f.atttypid OPERATOR(pg_catalog.=) 'numeric'::pg_catalog.regtype
            THEN '::pg_catalog.int8' END,
        tn.nspname, t.relname)
FROM filled f
JOIN pg_catalog.pg_class s ON s.oid OPERATOR(pg_catalog.=) f.sequence
JOIN pg_catalog.pg_namespace sn ON sn.oid OPERATOR(pg_catalog.=) s.relnamespace
JOIN pg_catalog.pg_sequence q ON q.seqrelid OPERATOR(pg_catalog.=) s.oid
JOIN pg_catalog.pg_class t ON t.oid OPERATOR(pg_catalog.=) f.relation
JOIN pg_catalog.pg_namespace tn ON tn.oid OPERATOR(pg_catalog.=) t.relnamespace
ORDER BY 1, 2
";
