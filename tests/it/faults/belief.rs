//! What a client believes to be in the database, from nothing but the replies that it got.
//!
//! Each statement has the outcomes that an author who knows `ON CONFLICT DO NOTHING` expects, and
//! its reply chooses one. The client writes alone, so the belief is exact: a duplicate is one that
//! it knows of. Where the connection ends, all that the server may have done by itself with what
//! was sent makes the acceptable ends.

use std::collections::{BTreeMap, BTreeSet};

use super::session::{Insert, Statement, Table};

/// All rows, by table and key.
pub type Rows = BTreeMap<(Table, i32), [i32; 2]>;

/// What a session finds.
pub fn found() -> Rows {
    let keys = Table::ALL.into_iter().flat_map(|table| [(table, 1), (table, 2)]);
    keys.map(|(table, id)| ((table, id), [id, 0])).collect()
}

/// The reply to a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A command tag, and the values of its rows.
    Done(String, Vec<i32>),
    /// An SQLSTATE.
    Failed(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    None,
    Open,
    Failed,
}

#[derive(Clone, Debug)]
pub struct Belief {
    /// What stays, whatever comes.
    committed: Rows,
    /// What the session sees.
    current: Rows,
    savepoints: Vec<(&'static str, Rows)>,
    block: Block,
}

impl Belief {
    pub fn new() -> Self {
        let savepoints = Vec::new();
        Self { committed: found(), current: found(), savepoints, block: Block::None }
    }

    pub fn committed(&self) -> &Rows {
        &self.committed
    }

    /// The transaction status that ReadyForQuery has to tell.
    pub fn status(&self) -> u8 {
        match self.block {
            Block::None => b'I',
            Block::Open => b'T',
            Block::Failed => b'E',
        }
    }

    /// What a statement may be answered, and what is believed then.
    pub fn outcomes(&self, statement: &Statement) -> Vec<(Reply, Self)> {
        use Statement::{Begin, Commit, Delete, Release, Rollback, RollbackTo, Savepoint, Select};
        match (statement, self.block) {
            (Commit, Block::Failed) | (Rollback, _) => vec![done("ROLLBACK", self.rolled_back())],
            (Commit, _) => {
                vec![done("COMMIT", Self { committed: self.current.clone(), ..self.ended() })]
            }
            (RollbackTo(_) | Release(_) | Savepoint(_), Block::None) => {
                vec![self.fails("25P01")]
            }
            (RollbackTo(name), _) => vec![self.roll_back_to(name)],
            (_, Block::Failed) => vec![self.fails("25P02")],
            (Release(name), _) => vec![self.release(name)],
            (Begin, _) => vec![done("BEGIN", Self { block: Block::Open, ..self.clone() })],
            (Savepoint(name), _) => {
                let mut next = self.clone();
                next.savepoints.push((name, self.current.clone()));
                vec![done("SAVEPOINT", next)]
            }
            (Delete(table, id), _) => {
                let mut next = self.clone();
                let deleted = next.current.remove(&(*table, *id)).is_some();
                vec![done(&format!("DELETE {}", u8::from(deleted)), next)]
            }
            (Select(number), _) => {
                vec![(Reply::Done("SELECT 1".to_owned(), vec![*number]), self.clone())]
            }
            (Statement::Insert(insert), _) => self.insert(insert),
        }
    }

    /// A listed duplicate is left out, or its error is shown; any other is shown.
    fn insert(&self, insert: &Insert) -> Vec<(Reply, Self)> {
        let mut rows = self.current.clone();
        let mut stored = Vec::new();
        for [id, u, v] in &insert.rows {
            let known = rows.contains_key(&(insert.table, *id));
            let has_u = |((table, _), row): (&(Table, i32), &[i32; 2])| {
                *table == Table::Twin && row[0] == *u
            };
            let other = !known && insert.table == Table::Twin && rows.iter().any(has_u);
            if other || known && !insert.table.is_listed() {
                return vec![self.fails("23505")];
            }
            if !known {
                rows.insert((insert.table, *id), [*u, *v]);
                stored.push(*id);
            }
        }
        let tag = format!("INSERT 0 {}", stored.len());
        let all = stored.len() == insert.rows.len();
        let values = if insert.returning { stored } else { Vec::new() };
        let mut outcomes = vec![(Reply::Done(tag, values), Self { current: rows, ..self.clone() })];
        if !all {
            outcomes.push(self.fails("23505"));
        }
        outcomes
    }

    fn roll_back_to(&self, name: &str) -> (Reply, Self) {
        let Some(at) = self.savepoints.iter().rposition(|(it, _)| *it == name) else {
            return self.fails("3B001");
        };
        let mut next = self.clone();
        next.savepoints.truncate(at + 1);
        next.current.clone_from(&self.savepoints[at].1);
        next.block = Block::Open;
        done("ROLLBACK", next)
    }

    fn release(&self, name: &str) -> (Reply, Self) {
        let Some(at) = self.savepoints.iter().rposition(|(it, _)| *it == name) else {
            return self.fails("3B001");
        };
        let mut next = self.clone();
        next.savepoints.truncate(at);
        done("RELEASE", next)
    }

    /// A statement has failed, or the end of what is outside a block.
    pub fn failed(&self) -> Self {
        match self.block {
            Block::None => self.rolled_back(),
            _ => Self { block: Block::Failed, ..self.clone() },
        }
    }

    fn fails(&self, code: &str) -> (Reply, Self) {
        (Reply::Failed(code.to_owned()), self.failed())
    }

    /// No block is left, nor what was done in it.
    pub fn rolled_back(&self) -> Self {
        Self { current: self.committed.clone(), ..self.ended() }
    }

    fn ended(&self) -> Self {
        Self { savepoints: Vec::new(), block: Block::None, ..self.clone() }
    }

    /// ReadyForQuery: what was done outside a block is committed.
    pub fn segment_ended(&mut self) {
        if self.block == Block::None {
            self.committed.clone_from(&self.current);
        }
    }

    /// What may be stored in the end if the connection is lost before this reply: the server may
    /// have gone on with what was sent, up to any point.
    pub fn fates(&self, unanswered: &Unanswered<'_>) -> BTreeSet<Rows> {
        let mut fates = BTreeSet::new();
        self.collect_fates(unanswered.statements, unanswered.behind, unanswered, &mut fates);
        fates
    }

    fn collect_fates(
        &self,
        statements: &[Statement],
        behind: &[Vec<Statement>],
        unanswered: &Unanswered<'_>,
        fates: &mut BTreeSet<Rows>,
    ) {
        fates.insert(self.committed.clone());
        if let [first, others @ ..] = statements {
            for (reply, next) in self.outcomes(first) {
                let others = if matches!(reply, Reply::Failed(_)) { &[] } else { others };
                next.collect_fates(others, behind, unanswered, fates);
            }
        } else if unanswered.ends {
            let mut next = self.clone();
            next.segment_ended();
            fates.insert(next.committed.clone());
            if let [first, others @ ..] = behind {
                next.collect_fates(first, others, unanswered, fates);
            }
        }
    }
}

/// What was sent, and was not answered before the connection was lost.
pub struct Unanswered<'a> {
    /// The rest of an exchange.
    pub statements: &'a [Statement],
    /// Whether its end was sent.
    pub ends: bool,
    /// Exchanges behind it.
    pub behind: &'a [Vec<Statement>],
}

fn done(tag: &str, next: Belief) -> (Reply, Belief) {
    (Reply::Done(tag.to_owned(), Vec::new()), next)
}
