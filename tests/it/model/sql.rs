//! The few statements that the model speaks, and their texts.

use std::collections::{BTreeMap, BTreeSet};

/// Rows of the tables `t`, whose key is listed, and `u`, whose key is not.
pub type Tables = BTreeMap<char, BTreeSet<i32>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sql {
    /// `None` stands for the parameter `$1`.
    Insert(char, Vec<Option<i32>>),
    Delete(char),
    Select,
    Begin,
    Commit,
    Rollback,
    Bad,
}

impl Sql {
    pub fn text(&self) -> String {
        match self {
            Self::Insert(table, rows) => {
                let rows: Vec<_> = rows.iter().map(|row| row_text(*row)).collect();
                format!("INSERT INTO {table} VALUES {}", rows.join(", "))
            }
            Self::Delete(table) => format!("DELETE FROM {table}"),
            Self::Select => "SELECT 1".to_owned(),
            Self::Begin => "BEGIN".to_owned(),
            Self::Commit => "COMMIT".to_owned(),
            Self::Rollback => "ROLLBACK".to_owned(),
            Self::Bad => "nonsense".to_owned(),
        }
    }

    /// The statement of a text that [`Self::text`] has made.
    pub fn read(text: &str) -> Self {
        let words: Vec<_> = text.split(' ').collect();
        match words[0] {
            "INSERT" => {
                Self::Insert(first_char(words[2]), words[4..].iter().map(|it| row(it)).collect())
            }
            "DELETE" => Self::Delete(first_char(words[2])),
            "SELECT" => Self::Select,
            "BEGIN" => Self::Begin,
            "COMMIT" => Self::Commit,
            "ROLLBACK" => Self::Rollback,
            _ => Self::Bad,
        }
    }

    /// The same with its parameter's value.
    pub fn bound(&self, parameter: Option<i32>) -> Self {
        match self {
            Self::Insert(table, rows) => {
                Self::Insert(*table, rows.iter().map(|row| row.or(parameter)).collect())
            }
            other => other.clone(),
        }
    }

    /// What the statement does to the tables if it succeeds and stores `rows` rows.
    pub fn apply(&self, tables: &mut Tables, stored: bool) {
        match self {
            Self::Insert(table, rows) if stored => {
                tables.entry(*table).or_default().extend(rows.iter().flatten());
            }
            Self::Delete(table) => drop(tables.remove(table)),
            _ => {}
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
