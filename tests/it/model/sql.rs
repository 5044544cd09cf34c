//! The few statements that the model speaks, and their texts.

use std::collections::{BTreeMap, BTreeSet};

/// Rows of the tables `t`, whose key is listed, and `u`, whose key is not.
pub type Tables = BTreeMap<char, BTreeSet<i32>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sql {
    Insert(Insert),
    Delete(char),
    Select,
    Begin,
    Commit,
    Rollback,
    Savepoint(String),
    Release(String),
    RollbackTo(String),
    Bad,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Insert {
    pub table: char,
    /// `None` stands for the parameter `$1`.
    pub rows: Vec<Option<i32>>,
    pub returning: bool,
    pub on_conflict: bool,
}

impl Sql {
    /// An INSERT that leaves conflicts to others.
    pub fn insert(table: char, rows: Vec<Option<i32>>) -> Self {
        Self::Insert(Insert { table, rows, returning: false, on_conflict: false })
    }

    pub fn text(&self) -> String {
        match self {
            Self::Insert(insert) => insert.text(),
            Self::Delete(table) => format!("DELETE FROM {table}"),
            Self::Select => "SELECT 1".to_owned(),
            Self::Begin => "BEGIN".to_owned(),
            Self::Commit => "COMMIT".to_owned(),
            Self::Rollback => "ROLLBACK".to_owned(),
            Self::Savepoint(name) => format!("SAVEPOINT {name}"),
            Self::Release(name) => format!("RELEASE SAVEPOINT {name}"),
            Self::RollbackTo(name) => format!("ROLLBACK TO SAVEPOINT {name}"),
            Self::Bad => "nonsense".to_owned(),
        }
    }

    /// The statement of a text that [`Self::text`] has made, or the proxy.
    pub fn read(text: &str) -> Self {
        let words: Vec<_> = text.split_whitespace().collect();
        let last = || words.last().unwrap().to_string();
        match words[..] {
            ["INSERT", ..] => Self::Insert(Insert::read(&words)),
            ["DELETE", ..] => Self::Delete(first_char(words[2])),
            ["SELECT", ..] => Self::Select,
            ["BEGIN"] => Self::Begin,
            ["COMMIT"] => Self::Commit,
            ["ROLLBACK"] => Self::Rollback,
            ["SAVEPOINT", _] => Self::Savepoint(last()),
            ["RELEASE", ..] => Self::Release(last()),
            ["ROLLBACK", "TO", ..] => Self::RollbackTo(last()),
            _ => Self::Bad,
        }
    }

    /// The same with its parameter's value.
    pub fn bound(&self, parameter: Option<i32>) -> Self {
        match self {
            Self::Insert(insert) => {
                let rows = insert.rows.iter().map(|row| row.or(parameter)).collect();
                Self::Insert(Insert { rows, ..insert.clone() })
            }
            other => other.clone(),
        }
    }

    /// Whether a failed transaction block hears it.
    pub fn ends_failure(&self) -> bool {
        matches!(self, Self::Commit | Self::Rollback | Self::RollbackTo(_))
    }

    /// Whether it has a result of rows.
    pub fn returns_rows(&self) -> bool {
        match self {
            Self::Select => true,
            Self::Insert(insert) => insert.returning,
            _ => false,
        }
    }
}

impl Insert {
    fn text(&self) -> String {
        let rows: Vec<_> = self.rows.iter().map(|row| row_text(*row)).collect();
        let returning = if self.returning { " RETURNING id" } else { "" };
        format!("INSERT INTO {} VALUES {}{returning}", self.table, rows.join(", "))
    }

    fn read(words: &[&str]) -> Self {
        let rows = words[4..].iter().take_while(|it| it.starts_with('(')).map(|it| row(it));
        Self {
            table: first_char(words[2]),
            rows: rows.collect(),
            returning: words.contains(&"RETURNING"),
            on_conflict: words.contains(&"CONFLICT"),
        }
    }
}

fn row_text(row: Option<i32>) -> String {
    row.map_or_else(|| "($1)".to_owned(), |row| format!("({row})"))
}

fn row(text: &str) -> Option<i32> {
    text.trim_matches(['(', ')', ',']).parse().ok()
}

fn first_char(text: &str) -> char {
    text.chars().next().unwrap()
}

/// The tables as they are inside a transaction, and as they were before it and at its savepoints.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    tables: Tables,
    committed: Tables,
    savepoints: Vec<(String, Tables)>,
}

impl Storage {
    /// What is stored, whatever a transaction does.
    pub fn committed(&self) -> &Tables {
        &self.committed
    }

    /// A row, unless it is there.
    pub fn insert(&mut self, table: char, row: i32) -> bool {
        self.tables.entry(table).or_default().insert(row)
    }

    pub fn has(&self, table: char, row: i32) -> bool {
        self.tables.get(&table).is_some_and(|rows| rows.contains(&row))
    }

    pub fn delete(&mut self, table: char) {
        self.tables.remove(&table);
    }

    /// The transaction ends, and stays or does not.
    pub fn end(&mut self, commit: bool) {
        if commit { self.commit() } else { self.roll_back() }
    }

    fn commit(&mut self) {
        self.committed.clone_from(&self.tables);
        self.savepoints.clear();
    }

    pub fn roll_back(&mut self) {
        self.tables.clone_from(&self.committed);
        self.savepoints.clear();
    }

    pub fn savepoint(&mut self, name: &str) {
        self.savepoints.push((name.to_owned(), self.tables.clone()));
    }

    /// Whether there was such a savepoint.
    pub fn release(&mut self, name: &str) -> bool {
        let found = self.find(name);
        self.savepoints.truncate(found.unwrap_or(self.savepoints.len()));
        found.is_some()
    }

    /// Whether there was such a savepoint.
    pub fn roll_back_to(&mut self, name: &str) -> bool {
        let Some(found) = self.find(name) else { return false };
        self.savepoints.truncate(found + 1);
        self.tables.clone_from(&self.savepoints[found].1);
        true
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.savepoints.iter().rposition(|(known, _)| known == name)
    }
}
