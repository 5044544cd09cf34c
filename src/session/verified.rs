//! What this session has made sure of about the tables it rewrites INSERTs into.
//!
//! Which table a name means, and what may be done to it, is the session's own: its search_path, its
//! role, its isolation level, its temporary tables. So the server is asked, once for each name, and
//! again after anything that may have changed the answer.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::sql::Insert;
use crate::wire::{backend, build};

use super::catalog::{Catalog, byte_array, text};

/// A table's name as a statement has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Named {
    pub(super) schema: Option<String>,
    pub(super) table: String,
}

impl Named {
    pub(super) fn by(insert: &Insert) -> Self {
        Self { schema: insert.schema.clone(), table: insert.table.clone() }
    }
}

/// What a name stands for, and what of that matters to an ON CONFLICT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) schema: String,
    pub(super) table: String,
    /// Those that hold, as the answer has them.
    letters: Bytes,
    /// Its unique indexes that are valid, and checked at once.
    indexes: HashSet<String>,
}

/// A fact about a table, with the letter that stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Fact {
    /// An ordinary or partitioned table without rules.
    Plain = b'p',
    /// No row-level security applies.
    Open = b'o',
    /// The isolation level is READ COMMITTED.
    Committed = b'c',
    /// The key of each unique index may be read.
    ReadsKeys = b'k',
    /// All columns may be read and updated.
    Updates = b'u',
    /// No other relation has the name, in any schema.
    Only = b'1',
    /// No BEFORE trigger for rows can leave any out.
    Untriggered = b't',
}

impl Facts {
    /// Reads a DataRow of the answer.
    fn read(body: &[u8]) -> Option<Self> {
        let [schema, table, letters, indexes] =
            <[_; 4]>::try_from(backend::data_row(body)?).ok()?;
        let names = indexes.unwrap_or_default().split(|byte| *byte == b',');
        Some(Self {
            schema: text(schema)?,
            table: text(table)?,
            letters: Bytes::copy_from_slice(letters?),
            indexes: names.map(|name| text(Some(name))).collect::<Option<_>>()?,
        })
    }

    /// Whether it is so.
    pub(super) fn hold(&self, fact: Fact) -> bool {
        self.letters.contains(&(fact as u8))
    }

    /// Whether a unique index of the table is one that ON CONFLICT can name.
    pub(super) fn has_index(&self, name: &str) -> bool {
        self.indexes.contains(name)
    }
}

/// What the session knows of one name.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Known(Arc<Facts>),
    /// There is no such table, or its answer did not come.
    Unknown,
    /// The server has refused a rewritten statement: no other is tried.
    Refused,
}

/// The tables that the session has asked about.
#[derive(Debug, Default)]
pub(super) struct Verified {
    answers: HashMap<Named, Answer>,
    /// Whose answer has not come yet.
    asked: Option<Named>,
    /// What was known of the indexes when they were asked about.
    catalog: Option<Arc<Catalog>>,
    /// Whether something may have been changed that the end of the transaction changes back.
    changed: bool,
}

impl Verified {
    /// What is known of a name, if anything is, along with this catalog.
    pub(super) fn answer(&mut self, name: &Named, catalog: &Arc<Catalog>) -> Option<&Answer> {
        let same = self.catalog.as_ref().is_some_and(|known| Arc::ptr_eq(known, catalog));
        if !same {
            self.answers.clear();
            self.catalog = Some(Arc::clone(catalog));
        }
        self.answers.get(name)
    }

    /// The server is asked about a name: the messages, without a Sync.
    pub(super) fn ask(&mut self, name: Named) -> Bytes {
        let asks = question(name.schema.as_deref(), &name.table);
        self.asked = Some(name);
        asks
    }

    /// A DataRow of the answer.
    pub(super) fn row(&mut self, body: &[u8]) {
        if let (Some(name), Some(facts)) = (self.asked.take(), Facts::read(body)) {
            self.answers.insert(name, Answer::Known(Arc::new(facts)));
        }
    }

    /// The answer is complete, or does not come.
    pub(super) fn done(&mut self) {
        if let Some(name) = self.asked.take() {
            self.answers.insert(name, Answer::Unknown);
        }
    }

    /// The server has refused a rewritten statement.
    pub(super) fn refuse(&mut self, name: Named) {
        self.answers.insert(name, Answer::Refused);
    }

    /// What is known of a name does not count any more.
    pub(super) fn forget(&mut self, name: &Named) {
        self.answers.remove(name);
    }

    /// Something that the answers depend on may have changed, perhaps until the transaction ends.
    pub(super) fn change(&mut self) {
        self.answers.clear();
        self.changed = true;
    }

    /// Whether [`change_back`](Self::change_back) would make a difference.
    pub(super) fn may_change_back(&self) -> bool {
        self.changed && !self.answers.is_empty()
    }

    /// A transaction, or a part of it, may have ended: what was changed in it may be as it was.
    pub(super) fn change_back(&mut self) {
        if self.changed {
            self.answers.clear();
        }
    }

    /// No transaction is open any more.
    pub(super) fn ended(&mut self) {
        self.change_back();
        self.changed = false;
    }
}

/// The question for a table's name, with or without its schema: the messages, without a Sync.
#[must_use]
pub fn question(schema: Option<&str>, table: &str) -> Bytes {
    let names = byte_array(&[schema.unwrap_or_default(), table]);
    let command = build::command(NAME, QUESTION, &[names]);
    // One that failed has left its statement behind.
    [build::close_statement(NAME.as_bytes()), command].concat().into()
}

const NAME: &str = "pgabsorb_verify";

/// Every name is qualified, operators too. `$1` holds the schema, or nothing, and the table.
///
/// Of the answer, the third column holds the letters of [`Fact`].
const QUESTION: &str = r#"
WITH RECURSIVE named (oid, schema, name, kind, ruled) AS (
    SELECT c.oid, n.nspname, c.relname, c.relkind, c.relhasrules
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE c.relname OPERATOR(pg_catalog.=) pg_catalog.convert_from(($1)[2], 'UTF8')::pg_catalog.name
      AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f}'::pg_catalog."char"[])
), meant AS (
    SELECT * FROM named
    WHERE CASE WHEN ($1)[1] OPERATOR(pg_catalog.=) ''::pg_catalog.bytea
        THEN pg_catalog.pg_table_is_visible(oid)
        ELSE schema OPERATOR(pg_catalog.=) pg_catalog.convert_from(($1)[1], 'UTF8')::pg_catalog.name END
), parts (oid) AS (
    SELECT oid FROM meant
    UNION ALL
    SELECT h.inhrelid
    FROM parts p
    JOIN pg_catalog.pg_inherits h ON h.inhparent OPERATOR(pg_catalog.=) p.oid
), indexes AS (
    SELECT i.* FROM pg_catalog.pg_index i
    WHERE i.indisunique AND i.indrelid OPERATOR(pg_catalog.=) ANY (SELECT oid FROM meant)
)
SELECT pg_catalog.encode(pg_catalog.convert_to(m.schema::pg_catalog.text, 'UTF8'), 'hex'),
    pg_catalog.encode(pg_catalog.convert_to(m.name::pg_catalog.text, 'UTF8'), 'hex'),
    pg_catalog.concat(
        CASE WHEN m.kind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog."char"[]) AND NOT m.ruled THEN 'p' END,
        CASE WHEN NOT pg_catalog.row_security_active(m.oid) THEN 'o' END,
        CASE WHEN pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) ANY
            ('{read committed,read uncommitted}'::pg_catalog.text[]) THEN 'c' END,
        CASE WHEN pg_catalog.has_table_privilege(m.oid, 'SELECT') OR NOT EXISTS (
            SELECT FROM indexes i, pg_catalog.unnest(i.indkey::pg_catalog.int2[]) k (attnum)
            WHERE i.indpred IS NOT NULL OR CASE WHEN k.attnum OPERATOR(pg_catalog.>) 0
                THEN NOT pg_catalog.has_column_privilege(m.oid, k.attnum, 'SELECT') ELSE true END)
            THEN 'k' END,
        CASE WHEN pg_catalog.has_table_privilege(m.oid, 'SELECT')
            AND pg_catalog.has_table_privilege(m.oid, 'UPDATE') THEN 'u' END,
        CASE WHEN (SELECT pg_catalog.count(*) FROM named) OPERATOR(pg_catalog.=) 1 THEN '1' END,
        CASE WHEN NOT EXISTS (
            SELECT FROM pg_catalog.pg_trigger t
            WHERE t.tgrelid OPERATOR(pg_catalog.=) ANY (SELECT oid FROM parts)
              AND (t.tgtype OPERATOR(pg_catalog.&) 7::pg_catalog.int2) OPERATOR(pg_catalog.=) 7)
            THEN 't' END),
    (SELECT pg_catalog.string_agg(
        pg_catalog.encode(pg_catalog.convert_to(c.relname::pg_catalog.text, 'UTF8'), 'hex'), ',')
     FROM indexes i
     JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid
     WHERE i.indimmediate AND i.indisvalid AND i.indisready AND i.indislive)
FROM meant m
"#;
