//! Which duplicate-key errors are listed, and what is to become of them.
//!
//! Knows names and patterns. Knows nothing of the wire, of SQL or of the file the rules came from:
//! a [`Rule`] is made of parts that cannot be built wrong, so whoever holds one can trust it.

mod date;
mod glob;

use std::{collections::HashMap, fmt};

pub use date::{Date, DateError};
pub use glob::{ConstraintGlob, Glob, GlobError, NAME_BYTES};

/// The rules in file order, immutable, indexed by constraint name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    rules: Vec<Rule>,
    /// Exact constraint name to the rules that name it, in file order.
    by_name: HashMap<String, Vec<usize>>,
    /// The rules whose constraint is a pattern, in file order.
    by_pattern: Vec<usize>,
    /// Whether any wants an INSERT rewritten.
    rewrites: bool,
}

impl Ruleset {
    /// Indexes rules given in file order.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        let mut by_pattern = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            match rule.constraint.exact() {
                Some(name) => by_name.entry(name.to_owned()).or_default().push(index),
                None => by_pattern.push(index),
            }
        }
        let rewrites = rules.iter().any(Rule::rewrites);
        Self { rules, by_name, by_pattern, rewrites }
    }

    /// The rules as they are on a day: those that have expired, and would absorb, only observe.
    #[must_use]
    pub fn on(&self, today: Date) -> Self {
        self.clone().observing(|rule| rule.has_expired(today))
    }

    /// The rules, where those that are `meant`, and would absorb, only observe.
    #[must_use]
    pub fn observing(mut self, meant: impl Fn(&Rule) -> bool) -> Self {
        for rule in &mut self.rules {
            if rule.action == Action::Absorb && meant(rule) {
                rule.action = Action::Observe;
            }
        }
        self.rewrites = self.rules.iter().any(Rule::rewrites);
        self
    }

    /// Whether nothing at all is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether any rule wants an INSERT rewritten.
    #[must_use]
    pub fn rewrites(&self) -> bool {
        self.rewrites
    }

    /// The rules in file order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The first rule in file order that lists the constraint for this client.
    ///
    /// A constraint of the system catalogs is never listed, whatever the rules say.
    #[must_use]
    pub fn find(&self, constraint: &Constraint, origin: &Origin) -> Option<&Rule> {
        if constraint.schema == SYSTEM_SCHEMA {
            return None;
        }
        let lists = |rule: &Rule| rule.lists(constraint, origin);
        self.candidates(&constraint.name, lists).map(|(_, rule)| rule)
    }

    /// What a catalog lookup has to ask for: the exact constraint names, and the patterns as
    /// operands of SQL `LIKE` with its default escape, the backslash. Neither holds a name twice.
    pub fn constraint_names(&self) -> (Vec<&str>, Vec<String>) {
        let mut names: Vec<_> = self.by_name.keys().map(String::as_str).collect();
        names.sort_unstable();
        let patterns = self.by_pattern.iter().filter_map(|&index| self.rules.get(index));
        let mut likes: Vec<_> = patterns.map(|rule| rule.constraint.to_like()).collect();
        likes.sort_unstable();
        likes.dedup();
        (names, likes)
    }

    /// The rules that can never match since an earlier one lists all that they list, as pairs of
    /// positions in [`rules`](Self::rules): the rule, and the one before it.
    #[must_use]
    pub fn shadowed(&self) -> Vec<(usize, usize)> {
        let earlier = |(index, rule): (usize, &Rule)| {
            let (found, _) = self.candidates(rule.constraint.as_str(), |it| it.covers(rule))?;
            (found < index).then_some((index, found))
        };
        self.rules.iter().enumerate().filter_map(earlier).collect()
    }

    /// The first rule in file order that may list a name and that is `wanted`.
    fn candidates(&self, name: &str, wanted: impl Fn(&Rule) -> bool) -> Option<(usize, &Rule)> {
        let first = |indexes: &[usize]| {
            let rules = indexes.iter().filter_map(|&index| Some((index, self.rules.get(index)?)));
            rules.into_iter().find(|(_, rule)| wanted(rule))
        };
        let named = self.by_name.get(name).and_then(|indexes| first(indexes));
        let matched = first(&self.by_pattern);
        named.into_iter().chain(matched).min_by_key(|(index, _)| *index)
    }
}

/// One `[[rule]]`: which errors it lists, and what becomes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The label in the log.
    pub id: RuleId,
    /// The constraint or unique index, as the error names it.
    pub constraint: ConstraintGlob,
    /// The table's schema; any if absent.
    pub schema: Option<Glob>,
    /// The table; any if absent.
    pub table: Option<Glob>,
    /// The databases it applies to; all if empty.
    pub databases: Vec<Glob>,
    /// The users it applies to; all if empty.
    pub users: Vec<Glob>,
    /// The applications it applies to; all if empty.
    pub application_names: Vec<Glob>,
    /// What becomes of an error it lists.
    pub action: Action,
    /// When an INSERT gets its ON CONFLICT.
    pub strategy: Strategy,
    /// What a duplicate is made of that is absorbed.
    pub on_conflict: OnConflict,
    /// What an absorbed statement with RETURNING gives.
    pub returning: Returning,
    /// Which number of rows the client is told.
    pub affected_rows: AffectedRows,
    /// The last day on which it absorbs: past it, it only observes.
    pub expires: Option<Date>,
    /// Statements for which it may absorb in a minute: beyond them it only observes until the minute
    /// is over.
    pub max_absorbed_per_minute: Option<u32>,
    /// Who answers for the rule.
    pub owner: Option<String>,
    /// Why a duplicate is harmless here.
    pub reason: Option<String>,
}

impl Rule {
    /// A rule that absorbs the constraint's errors on any table, for any client.
    #[must_use]
    pub fn new(id: RuleId, constraint: ConstraintGlob) -> Self {
        Self {
            id,
            constraint,
            schema: None,
            table: None,
            databases: Vec::new(),
            users: Vec::new(),
            application_names: Vec::new(),
            action: Action::Absorb,
            strategy: Strategy::React,
            on_conflict: OnConflict::Nothing,
            returning: Returning::Empty,
            affected_rows: AffectedRows::Actual,
            expires: None,
            max_absorbed_per_minute: None,
            owner: None,
            reason: None,
        }
    }

    /// Whether its last day is over.
    #[must_use]
    pub fn has_expired(&self, today: Date) -> bool {
        self.expires.is_some_and(|last| last < today)
    }

    /// Whether an INSERT that may hit its constraint is rewritten.
    #[must_use]
    pub fn rewrites(&self) -> bool {
        self.action == Action::Absorb && self.strategy == Strategy::Rewrite
    }

    /// Whether the rule lists this constraint for this client.
    fn lists(&self, constraint: &Constraint, origin: &Origin) -> bool {
        self.constraint.matches(&constraint.name)
            && self.schema.as_ref().is_none_or(|it| it.matches(&constraint.schema))
            && self.table.as_ref().is_none_or(|it| it.matches(&constraint.table))
            && any_matches(&self.databases, &origin.database)
            && any_matches(&self.users, &origin.user)
            && any_matches(&self.application_names, &origin.application_name)
    }

    /// Whether the rule surely lists all that the other lists.
    fn covers(&self, other: &Self) -> bool {
        self.constraint.covers(&other.constraint)
            && covers_part(self.schema.as_ref(), other.schema.as_ref())
            && covers_part(self.table.as_ref(), other.table.as_ref())
            && covers_all(&self.databases, &other.databases)
            && covers_all(&self.users, &other.users)
            && covers_all(&self.application_names, &other.application_names)
    }
}

fn any_matches(globs: &[Glob], name: &str) -> bool {
    globs.is_empty() || globs.iter().any(|it| it.matches(name))
}

fn covers_part(wide: Option<&Glob>, narrow: Option<&Glob>) -> bool {
    wide.is_none_or(|wide| narrow.is_some_and(|narrow| wide.covers(narrow)))
}

fn covers_all(wide: &[Glob], narrow: &[Glob]) -> bool {
    let covered = |narrow: &Glob| wide.iter().any(|wide| wide.covers(narrow));
    wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(covered))
}

/// What becomes of an error that a rule lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The client sees success.
    Absorb,
    /// The client sees the error; what would have been absorbed is logged.
    Observe,
    /// The client sees the error, and so does the log, at error level.
    Alert,
}

impl Action {
    /// The word for it in the rules file and in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absorb => "absorb",
            Self::Observe => "observe",
            Self::Alert => "alert",
        }
    }
}

/// What an absorbed duplicate does to the row that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// `DO NOTHING`.
    #[default]
    Nothing,
    /// `DO UPDATE`: these columns get the values that the statement has for them.
    Update(Vec<Column>),
    /// The same for every column that the statement names, but those of the key.
    UpdateAll,
}

/// The name of a column, as the catalog stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column(String);

impl Column {
    /// Takes a text as a column's name, if it is one.
    pub fn new(text: &str) -> Result<Self, ColumnError> {
        let valid = (1..=NAME_BYTES).contains(&text.len()) && !text.contains('\0');
        if valid { Ok(Self(text.to_owned())) } else { Err(ColumnError) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no [`Column`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not the name of a column: write 1 to 63 bytes")]
pub struct ColumnError;

/// When an INSERT gets its ON CONFLICT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Where it has failed, if it cannot be answered without.
    #[default]
    React,
    /// Before it is sent.
    Rewrite,
}

impl Strategy {
    /// The word for it in the rules file and in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::React => "react",
            Self::Rewrite => "rewrite",
        }
    }
}

/// What an absorbed statement with RETURNING gives for a row that was not inserted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Returning {
    /// No row, as with `ON CONFLICT DO NOTHING`.
    #[default]
    Empty,
    /// The row that is there.
    Existing,
    /// Nothing: the error is shown.
    Error,
}

/// Which number of rows the client is told of an absorbed statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AffectedRows {
    /// Those that were inserted: the truth.
    #[default]
    Actual,
    /// Those that the statement meant to insert.
    Requested,
}

/// The name of a rule: 1 to 63 of `a-z`, `0-9`, `_` and `-`, so that it is safe in any log
/// or address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(String);

impl RuleId {
    /// Takes a name as an id, if it is one.
    pub fn new(text: &str) -> Result<Self, RuleIdError> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        let valid = (1..=NAME_BYTES).contains(&text.len()) && text.bytes().all(allowed);
        if valid { Ok(Self(text.to_owned())) } else { Err(RuleIdError) }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no [`RuleId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not an id: write 1 to 63 of a-z, 0-9, _ and -")]
pub struct RuleIdError;

/// What a rule is about and what an error names, with the names as the catalog stores them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Constraint {
    /// The schema of the table.
    pub schema: String,
    /// The table.
    pub table: String,
    /// The constraint, or the unique index.
    pub name: String,
}

impl fmt::Display for Constraint {
    /// `schema.table.name`, on one line and unambiguous whatever the names hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { schema, table, name } = self;
        write!(f, "{}.{}.{}", Escaped(schema), Escaped(table), Escaped(name))
    }
}

/// Who is connected, with the names as the server knows them: database, user and application name
/// are cut to 63 bytes there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The database.
    pub database: String,
    /// The user that logged in.
    pub user: String,
    /// The application name, empty if the client gave none.
    pub application_name: String,
}

/// A name for people to read: as it is when made of letters, digits and `_ $ - * ?` only, else in
/// double quotes with everything escaped that could be mistaken for something else.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |it: char| it.is_alphanumeric() || "_$-*?".contains(it);
        if !self.0.is_empty() && self.0.chars().all(plain) {
            f.write_str(self.0)
        } else {
            write!(f, "{:?}", self.0)
        }
    }
}

/// Where PostgreSQL keeps its own tables.
pub const SYSTEM_SCHEMA: &str = "pg_catalog";

#[cfg(test)]
mod tests;
