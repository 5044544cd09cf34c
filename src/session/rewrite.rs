//! INSERTs that get their ON CONFLICT before they are sent: which, and what it says.
//!
//! Where the server can be made to see to it, the clause holds for the very table that was asked
//! about and for no other of that name: its predicate names a column of that table.
//!
//! ```text
//!   INSERT INTO t VALUES ($1) ON CONFLICT (id) WHERE "public"."t".tableoid IS NULL DO NOTHING
//! ```
//!
//! An index without a predicate is found whatever stands there. Any doubt leaves the statement as it
//! is, and its error to be recovered from.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::rules::{Constraint, Rule, Ruleset};
use crate::sql::{Columns, Encoding, Insert, Rows, Value};
use crate::wire::backend::SqlState;
use crate::wire::build;

use super::asked::rows_requested;
use super::block::Block;
use super::catalog::{Catalog, Index};
use super::clause::quoted;
use super::conflict::told_rows;
use super::expected::{Command, Expected, Purpose};
use super::output::Note;
use super::recovery::refuses_returning;
use super::splice::Places;
use super::verified::{Answer, Fact, Facts, Named};
use super::{Lookup, Session};

/// Why an INSERT that a rule wants rewritten is sent as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Doubt {
    /// The catalog has not said what the table is, or does not know it.
    Unverified,
    /// The server has refused such a statement before.
    Refused(SqlState),
    /// A view, a foreign table, or a table with rules.
    NotPlainTable,
    /// Row-level security applies to the table.
    RowSecurity,
    /// The isolation level is not READ COMMITTED.
    Isolation,
    /// The user may not read the key, or not update the table.
    Privileges,
    /// The index is deferrable, or not valid.
    Index,
    /// No conflict target stands for the constraint, or for all that rules list.
    NoConflictTarget,
    /// Other tables have the name, and the server cannot be made to tell them apart.
    Ambiguous,
    /// The client is to be told of rows that a BEFORE trigger may leave out.
    Trigger,
    /// Positions in the server's errors could not be told.
    Encoding,
}

impl Doubt {
    /// The server's error, if it was one.
    #[must_use]
    pub fn sqlstate(self) -> Option<SqlState> {
        match self {
            Self::Refused(sqlstate) => Some(sqlstate),
            _ => None,
        }
    }

    /// The name for logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Refused(_) => "refused",
            Self::NotPlainTable => "not_plain_table",
            Self::RowSecurity => "row_security",
            Self::Isolation => "isolation",
            Self::Privileges => "privileges",
            Self::Index => "index",
            Self::NoConflictTarget => "no_conflict_target",
            Self::Ambiguous => "ambiguous",
            Self::Trigger => "trigger",
            Self::Encoding => "encoding",
        }
    }
}

/// What an INSERT has been given.
#[derive(Clone, Debug)]
pub(super) struct Rewritten {
    /// Where in the client's text.
    pub(super) at: usize,
    pub(super) clause: Bytes,
    /// The rules that were asked, and for which application.
    rules: Arc<Ruleset>,
    application_name: String,
    /// The table's name in the statement.
    pub(super) named: Named,
    /// The table.
    pub(super) facts: Arc<Facts>,
    /// The constraint that the clause names; none if it names none.
    pub(super) constraint: Option<Constraint>,
    /// Names of that constraint's columns.
    pub(super) columns: Option<String>,
    /// The values of that constraint's columns, if it is one row.
    pub(super) key: Option<Vec<Value>>,
    /// The `id` of the rule.
    pub(super) rule: String,
    /// Whether it can hit no constraint that is absorbed but those the clause is about.
    pub(super) covers: bool,
    pub(super) rows_requested: Option<u32>,
    /// The number of rows that the client is told in the place of the true one.
    pub(super) told_rows: Option<u32>,
}

impl Rewritten {
    /// The client's text with the clause.
    pub(super) fn text(&self, text: &[u8]) -> Bytes {
        let (before, behind) = text.split_at_checked(self.at).unwrap_or((text, b""));
        [before, &self.clause, behind].concat().into()
    }

    /// Where the characters of the client's text stand in that.
    pub(super) fn places(&self, text: &[u8]) -> Places {
        Places::around(text, self.at, &self.clause)
    }
}

/// What is to be done about an INSERT ahead of sending it.
#[derive(Debug)]
pub(super) enum Ahead {
    /// It goes as it is.
    AsItIs,
    Rewritten(Arc<Rewritten>),
    /// The server has to answer first what it has been sent.
    Wait,
    /// The server has to be asked first: the messages.
    Ask(Bytes),
}

/// Whether an error may be the clause's own doing: of the index, privileges, policies, what DO
/// UPDATE may not do twice, the isolation level, the name of the table in it.
pub(super) fn is_caused(sqlstate: SqlState) -> bool {
    CAUSED.contains(&&sqlstate.0)
}

/// `invalid_column_reference`, `undefined_object`, `object_not_in_prerequisite_state`,
/// `wrong_object_type`, `feature_not_supported`, `insufficient_privilege`,
/// `serialization_failure`, `cardinality_violation`, `undefined_table`.
const CAUSED: [&[u8; 5]; 9] =
    [b"42P10", b"42704", b"55000", b"42809", b"0A000", b"42501", b"40001", b"21000", b"42P01"];

impl Session {
    /// What is to be done about an INSERT of a text.
    pub(super) fn ahead(&mut self, text: &[u8], insert: &Insert) -> Ahead {
        if insert.on_conflict || !self.may_rewrite(&insert.table) {
            return Ahead::AsItIs;
        }
        let Some(catalog) = self.known_catalog() else { return self.look_up_ahead() };
        let named = Named::by(insert);
        if self.suspects(&named) {
            return Ahead::AsItIs;
        }
        let facts = match self.verified.answer(&named, &catalog) {
            None => return self.verify(named),
            Some(Answer::Known(facts)) => Arc::clone(facts),
            Some(Answer::Unknown | Answer::Refused) => return Ahead::AsItIs,
        };
        match self.rewritten(text, insert, &catalog, &facts) {
            Ok(Some(rewritten)) => Ahead::Rewritten(Arc::new(rewritten)),
            Ok(None) => Ahead::AsItIs,
            Err(doubt) => {
                self.doubt(&named, doubt);
                Ahead::AsItIs
            }
        }
    }

    /// Whether the table that a prepared statement was rewritten for is what its name means.
    pub(super) fn still_stands(&mut self, rewritten: &Rewritten) -> Result<bool, Ahead> {
        let same_rules = Arc::ptr_eq(&rewritten.rules, &self.rules)
            && rewritten.application_name == self.origin.application_name;
        if !same_rules || self.suspects(&rewritten.named) {
            return Ok(false);
        }
        let Some(catalog) = self.known_catalog() else { return Ok(true) };
        match self.verified.answer(&rewritten.named, &catalog) {
            None => match self.verify(rewritten.named.clone()) {
                // The block has failed, and refuses it whatever it is.
                Ahead::AsItIs => Ok(true),
                ahead => Err(ahead),
            },
            Some(Answer::Known(facts)) => Ok(*facts == rewritten.facts),
            Some(Answer::Unknown | Answer::Refused) => Ok(false),
        }
    }

    /// Whether a rule may want INSERTs rewritten into a table of this name.
    pub(super) fn may_rewrite(&self, table: &str) -> bool {
        if !self.rules.rewrites() {
            return false;
        }
        let wanted = |root| self.rules.find(root, &self.origin).is_some_and(Rule::rewrites);
        match self.known_catalog() {
            Some(catalog) => catalog.of_table(table).iter().any(wanted),
            None => true,
        }
    }

    fn rewritten(
        &self,
        text: &[u8],
        insert: &Insert,
        catalog: &Catalog,
        facts: &Arc<Facts>,
    ) -> Result<Option<Rewritten>, Doubt> {
        let roots = self.listed(catalog, facts, Rule::rewrites);
        let Some((root, rule)) = roots.first().copied() else { return Ok(None) };
        if refuses_returning(rule, insert) {
            return Ok(None);
        }
        judge(facts)?;
        let index = catalog.index(root).ok_or(Doubt::Index)?;
        let doing = self.doing(insert, rule, index).map_err(|_| Doubt::NoConflictTarget)?;
        if !doing.is_nothing() && !facts.hold(Fact::Updates) {
            return Err(Doubt::Privileges);
        }
        let told_rows = told_rows(rule, Some(insert), self.server_version);
        if told_rows.is_some() && !facts.hold(Fact::Untriggered) {
            return Err(Doubt::Trigger);
        }
        let others = self.listed(catalog, facts, |_| true).len() > 1;
        let all = others && doing.is_nothing() && self.absorbs_all(catalog, index);
        let same = |name: &str| facts.has_index(name);
        let indexes = if all { &roots[..] } else { roots.get(..1).unwrap_or_default() };
        if !indexes.iter().all(|(root, _)| same(&root.name)) {
            return Err(Doubt::Index);
        }
        if roots.len() > 1 && !all {
            return Err(Doubt::NoConflictTarget);
        }
        let target = if all { String::new() } else { self.target(insert, index, facts)? };
        if all && !is_sure(insert, facts) {
            return Err(Doubt::Ambiguous);
        }
        let clause = doing.clause(&target, text, insert);
        self.can_point(text, insert, &clause)?;
        Ok(Some(Rewritten {
            at: insert.conflict_at,
            clause: clause.freeze(),
            rules: Arc::clone(&self.rules),
            application_name: self.origin.application_name.clone(),
            named: Named::by(insert),
            facts: Arc::clone(facts),
            constraint: (!all).then(|| root.clone()),
            columns: (!all).then(|| index.columns.clone()),
            key: if all { None } else { key_values(insert, index, self.server_version) },
            rule: rule.id.as_str().to_owned(),
            covers: all || !others,
            rows_requested: rows_requested(insert, self.server_version),
            told_rows,
        }))
    }

    /// The constraints of a table that rules of some kind absorb, with the rules.
    fn listed<'a>(
        &'a self,
        catalog: &'a Catalog,
        facts: &Facts,
        kind: impl Fn(&Rule) -> bool,
    ) -> Vec<(&'a Constraint, &'a Rule)> {
        let roots = catalog.of_table(&facts.table).iter();
        let roots = roots.filter(|it| it.schema == facts.schema && it.table == facts.table);
        let absorbed = |root: &'a Constraint| {
            let rule = self.rules.find(root, &self.origin).filter(|_| self.absorbs(root))?;
            kind(rule).then_some((root, rule))
        };
        roots.filter_map(absorbed).collect()
    }

    /// A conflict target that stands for the index of this table alone.
    fn target(&self, insert: &Insert, index: &Index, facts: &Facts) -> Result<String, Doubt> {
        let key = index.key.as_ref().ok_or(Doubt::NoConflictTarget)?;
        if !facts.hold(Fact::ReadsKeys) {
            return Err(Doubt::Privileges);
        }
        let checks = insert.alias.is_none() && self.server_version >= QUALIFIED_TARGET;
        if !checks && !is_sure(insert, facts) {
            return Err(Doubt::Ambiguous);
        }
        let check = checks.then(|| {
            format!("{}.{}.tableoid IS NULL", quoted(&facts.schema), quoted(&facts.table))
        });
        let conditions: Vec<_> = index.predicate.iter().cloned().chain(check).collect();
        let wheres = if conditions.is_empty() { "" } else { " WHERE " };
        Ok(format!("({key}){wheres}{}", conditions.join(" AND ")))
    }

    /// Whether what is put in can be read, and a position behind it told from the client's.
    fn can_point(&self, text: &[u8], insert: &Insert, clause: &[u8]) -> Result<(), Doubt> {
        let utf8 = self.syntax.encoding == Encoding::Utf8;
        let behind = text.get(insert.conflict_at..).unwrap_or_default();
        let last = behind.iter().all(|byte| byte.is_ascii_whitespace() || *byte == b';');
        let counted = utf8 || text.is_ascii() || last;
        if counted && (utf8 || clause.is_ascii()) { Ok(()) } else { Err(Doubt::Encoding) }
    }

    // === Asking ===

    /// The catalog is asked before anything is decided, where that disturbs no transaction.
    fn look_up_ahead(&mut self) -> Ahead {
        if matches!(self.lookup, Lookup::Asked(_)) {
            return Ahead::Wait;
        }
        if !self.can_look_up() || self.ledger.block() != Block::None {
            return Ahead::AsItIs;
        }
        if !self.ledger.may_sync() {
            return if self.ledger.is_drained() { Ahead::AsItIs } else { Ahead::Wait };
        }
        let mut asks = BytesMut::from(&self.look_up()[..]);
        asks.extend_from_slice(&build::sync());
        self.ledger.sent(Expected::OwnSync);
        Ahead::Ask(asks.freeze())
    }

    /// The server is asked what a name means, in the client's own transaction if one is open.
    fn verify(&mut self, named: Named) -> Ahead {
        if !self.ledger.is_drained() {
            return Ahead::Wait;
        }
        if self.ledger.block() == Block::Failed || self.status.is_none() {
            return Ahead::AsItIs;
        }
        let between = self.ledger.may_sync();
        let mut asks = BytesMut::from(&self.verified.ask(named)[..]);
        let closes = build::COMMAND_CLOSES + 1;
        self.sent_own(Expected::Own(Command::new(Purpose::Verify, closes)));
        if between {
            asks.extend_from_slice(&build::sync());
            self.ledger.sent(Expected::OwnSync);
        } else {
            asks.extend_from_slice(&build::flush());
        }
        self.flushed = true;
        Ahead::Ask(asks.freeze())
    }

    /// Why a rule's wish was not met, once for each name and reason; whether this is the first time.
    pub(super) fn doubt(&mut self, named: &Named, doubt: Doubt) -> bool {
        let first = self.doubts.insert((named.clone(), doubt));
        if first {
            let table = named.table.clone();
            self.notes.push(Note::NotRewritten { table, doubt });
        }
        first
    }
}

/// Whether the table is one that an ON CONFLICT changes nothing else about.
fn judge(facts: &Facts) -> Result<(), Doubt> {
    if !facts.hold(Fact::Plain) {
        Err(Doubt::NotPlainTable)
    } else if !facts.hold(Fact::Open) {
        Err(Doubt::RowSecurity)
    } else if facts.hold(Fact::Committed) {
        Ok(())
    } else {
        Err(Doubt::Isolation)
    }
}

/// The values that the one row of a statement has for an index's columns, in their order.
fn key_values(insert: &Insert, index: &Index, server_version: u32) -> Option<Vec<Value>> {
    let one = insert.rows_at(server_version) == Rows::One;
    let row = insert.first_row.as_ref().filter(|_| one)?;
    let value = |column: &str| {
        let at = match &insert.columns {
            Columns::Implied => index.table_columns.iter().position(|it| it.name == column),
            Columns::Named(names) => names.iter().position(|name| name == column),
            Columns::Unsure => None,
        };
        row.get(at?).cloned()
    };
    index.columns.split(", ").map(value).collect()
}

/// Whether the statement can mean no other table, whatever the search_path is.
fn is_sure(insert: &Insert, facts: &Facts) -> bool {
    insert.schema.is_some() || facts.hold(Fact::Only)
}

/// The first major version on which a conflict target was seen to take the table's name with its
/// columns; older ones take the columns alone.
const QUALIFIED_TARGET: u32 = 15;
