//! Random sessions: what one client sends, at once or in turn, over three small tables.

use std::fmt;

use crate::support::version::version;
use crate::support::wire;

/// A source of choices that a seed brings back.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One of the numbers from 0 to below the limit.
    pub fn below(&mut self, limit: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let choices = u64::try_from(limit).expect("few choices");
        usize::try_from((mixed ^ (mixed >> 31)) % choices).expect("below the limit")
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A small number that is a key.
    fn key(&mut self) -> i32 {
        self.pick(&[0, 1, 2, 3, 4, 5])
    }
}

/// The tables have the columns `id`, the primary key, `u` and `v`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Its primary key is listed.
    One,
    /// Its primary key is listed; `u` is unique as well, and not listed.
    Twin,
    /// Nothing is listed.
    Free,
}

impl Table {
    pub const ALL: [Self; 3] = [Self::One, Self::Twin, Self::Free];

    pub fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Twin => "twin",
            Self::Free => "free",
        }
    }

    pub fn is_listed(self) -> bool {
        self != Self::Free
    }
}

#[derive(Clone, Debug)]
pub struct Insert {
    pub table: Table,
    pub rows: Vec<[i32; 3]>,
    pub returning: bool,
    select: bool,
}

#[derive(Clone)]
pub enum Statement {
    Begin,
    Commit,
    Rollback,
    Savepoint(&'static str),
    RollbackTo(&'static str),
    Release(&'static str),
    Insert(Insert),
    Delete(Table, i32),
    Select(i32),
}

impl Statement {
    /// Its text; `bound`, a key is a parameter.
    fn text(&self, bound: bool) -> String {
        match self {
            Self::Begin => "BEGIN".to_owned(),
            Self::Commit => "COMMIT".to_owned(),
            Self::Rollback => "ROLLBACK".to_owned(),
            Self::Savepoint(name) => format!("SAVEPOINT {name}"),
            Self::RollbackTo(name) => format!("ROLLBACK TO {name}"),
            Self::Release(name) => format!("RELEASE {name}"),
            Self::Insert(insert) => insert.text(bound),
            Self::Delete(table, id) => format!("DELETE FROM {} WHERE id = {id}", table.name()),
            Self::Select(number) => format!("SELECT {number}"),
        }
    }

    fn is_of_a_savepoint(&self) -> bool {
        matches!(self, Self::Savepoint(_) | Self::RollbackTo(_) | Self::Release(_))
    }

    fn values(&self) -> Vec<String> {
        match self {
            Self::Insert(insert) => vec![insert.rows[0][0].to_string()],
            _ => Vec::new(),
        }
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(false))
    }
}

impl Insert {
    fn text(&self, bound: bool) -> String {
        let row = |(number, [id, u, v]): (usize, &[i32; 3])| {
            let id = if bound && number == 0 { "$1::int".to_owned() } else { id.to_string() };
            format!("({id}, {u}, {v})")
        };
        let rows = self.rows.iter().enumerate().map(row).collect::<Vec<_>>().join(", ");
        let source = if self.select {
            format!("SELECT * FROM (VALUES {rows}) AS it")
        } else {
            format!("VALUES {rows}")
        };
        let returning = if self.returning { " RETURNING id" } else { "" };
        format!("INSERT INTO {} {source}{returning}", self.table.name())
    }
}

/// One statement in the extended protocol.
#[derive(Clone, Debug)]
pub struct Call {
    pub statement: Statement,
    /// The number of its prepared statement and portal, or the unnamed ones.
    named: Option<usize>,
    pub describe: bool,
    pub close: bool,
}

impl Call {
    fn bytes(&self) -> Vec<u8> {
        let name = self.named.map_or(String::new(), |number| format!("s{number}"));
        let values = self.statement.values();
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        let mut bytes = wire::parse(&name, &self.statement.text(true));
        bytes.extend(wire::bind(&name, &name, &values));
        if self.describe {
            bytes.extend(wire::describe(b'P', &name));
        }
        bytes.extend(wire::execute(&name, 0));
        if self.close {
            bytes.extend(wire::close(b'P', &name));
        }
        bytes
    }
}

/// What one ReadyForQuery answers.
#[derive(Clone, Debug)]
pub enum Exchange {
    Query(Vec<Statement>),
    /// Up to a Sync, or to a Flush, whose replies are read before the Sync is sent.
    Calls(Vec<Call>, Last),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    Sync,
    Flush,
}

impl Exchange {
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Query(statements) => {
                let texts: Vec<_> = statements.iter().map(|it| it.text(false)).collect();
                wire::query(&texts.join("; "))
            }
            Self::Calls(calls, last) => {
                let mut bytes: Vec<_> = calls.iter().flat_map(Call::bytes).collect();
                bytes.extend(if *last == Last::Sync { wire::sync() } else { wire::flush() });
                bytes
            }
        }
    }

    pub fn statements(&self) -> Vec<Statement> {
        match self {
            Self::Query(statements) => statements.clone(),
            Self::Calls(calls, _) => calls.iter().map(|it| it.statement.clone()).collect(),
        }
    }
}

/// What is sent at once; then the client waits for all of it.
pub type Batch = Vec<Exchange>;

/// A whole session.
pub fn session(dice: &mut Dice) -> Vec<Batch> {
    let mut maker = Maker { dice, number: 0 };
    let mut exchanges = Vec::new();
    for _ in 0..=maker.dice.below(4) {
        let (statements, together) = maker.scene();
        exchanges.extend(maker.exchanges(&statements, together));
    }
    maker.batches(exchanges)
}

struct Maker<'a> {
    dice: &'a mut Dice,
    /// Makes values that tell rows apart, and names.
    number: usize,
}

impl Maker<'_> {
    /// The statements of a transaction block, or of what is outside one, and how many of them are
    /// sent in one exchange.
    fn scene(&mut self) -> (Vec<Statement>, usize) {
        let count = 1 + self.dice.below(5);
        if self.dice.one_in(3) {
            let statements = (0..count).map(|_| self.plain()).collect();
            return (statements, self.dice.pick(&[1, 1, 2]));
        }
        let mut statements = vec![Statement::Begin];
        statements.extend((0..count).map(|_| self.inside()));
        let commits = !self.dice.one_in(5);
        statements.push(if commits { Statement::Commit } else { Statement::Rollback });
        (statements, self.dice.pick(&[1, 1, 2, 3, 8]))
    }

    fn inside(&mut self) -> Statement {
        let name = self.dice.pick(&["a", "b"]);
        match self.dice.below(10) {
            0 => Statement::Savepoint(name),
            1 => Statement::RollbackTo(name),
            2 if self.dice.one_in(2) => Statement::Release(name),
            _ => self.plain(),
        }
    }

    fn plain(&mut self) -> Statement {
        match self.dice.below(12) {
            0 => Statement::Select(self.dice.key()),
            1 | 2 => Statement::Delete(self.dice.pick(&Table::ALL), self.dice.key()),
            3 => Statement::Insert(self.insert(Table::Free)),
            4..=6 => Statement::Insert(self.insert(Table::Twin)),
            _ => Statement::Insert(self.insert(Table::One)),
        }
    }

    fn insert(&mut self, table: Table) -> Insert {
        let count = self.dice.pick(&[1, 1, 1, 2, 3]);
        let rows = (0..count).map(|_| {
            self.number += 1;
            let value = i32::try_from(self.number).expect("few rows");
            // Seldom the same, where that is not listed.
            let u = if self.dice.one_in(6) { self.dice.key() } else { value + 10 };
            [self.dice.key(), u, value]
        });
        let rows = rows.collect();
        Insert { table, rows, returning: self.dice.one_in(4), select: self.dice.one_in(6) }
    }

    fn exchanges(&mut self, statements: &[Statement], together: usize) -> Vec<Exchange> {
        let mut exchanges = Vec::new();
        let mut rest = statements;
        while !rest.is_empty() {
            let (these, others) = rest.split_at(rest.len().min(1 + self.dice.below(together)));
            rest = others;
            if !self.dice.one_in(2) {
                let calls = these.iter().map(|it| self.call(it.clone())).collect();
                let last = if self.dice.one_in(5) { Last::Flush } else { Last::Sync };
                exchanges.push(Exchange::Calls(calls, last));
            } else if version() < 11 && these.iter().any(Statement::is_of_a_savepoint) {
                // In a text of several, outside a block, it ends the session there.
                exchanges.extend(these.iter().map(|it| Exchange::Query(vec![it.clone()])));
            } else {
                exchanges.push(Exchange::Query(these.to_vec()));
            }
        }
        exchanges
    }

    fn call(&mut self, statement: Statement) -> Call {
        self.number += 1;
        let named = Some(self.number).filter(|_| self.dice.one_in(3));
        Call { statement, named, describe: self.dice.one_in(4), close: self.dice.one_in(6) }
    }

    /// Most clients wait for each reply; none sends anything behind a Flush.
    fn batches(&mut self, exchanges: Vec<Exchange>) -> Vec<Batch> {
        let mut batches = vec![Vec::new()];
        for exchange in exchanges {
            let waits = matches!(exchange, Exchange::Calls(_, Last::Flush));
            batches.last_mut().expect("there is always one").push(exchange);
            if waits || !self.dice.one_in(3) {
                batches.push(Vec::new());
            }
        }
        batches
    }
}
