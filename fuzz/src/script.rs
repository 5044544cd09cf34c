//! What an input of the target `model` says: which messages the client sends, and when how many bytes
//! go on. Each byte is one choice, so that a change of one changes no more than that.

use crate::model::client::Send;
use crate::model::sql::{Insert, Sql};

/// What happens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The client sends messages together.
    Send(Vec<Send>),
    /// So many bytes more of the client's are shown to the session.
    Up(usize),
    /// So many of the server's.
    Down(usize),
    /// All that moves goes on, in pieces of so many bytes.
    Deliver(usize),
}

/// The steps that an input stands for, to its end.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    /// What an input says.
    #[must_use]
    pub fn of(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// The next byte; nothing but zeros beyond the end.
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn choose<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()].clone()
    }

    fn name(&mut self) -> &'static str {
        self.choose(&["", "a", "b", ""])
    }

    fn value(&mut self) -> i32 {
        1 + i32::from(self.byte() % 3)
    }

    fn exchange(&mut self, kind: u8) -> Vec<Send> {
        let object = |script: &mut Self| (script.choose(b"SP"), script.name());
        match kind {
            0 | 1 => vec![Send::Query(vec![self.literal()])],
            2 => vec![Send::Query(vec![self.literal(), self.literal()])],
            3 => {
                let (portal, name) = (self.name(), self.name());
                let parse = Send::Parse(name, self.statement());
                vec![parse, Send::Bind(portal, name, self.value()), Send::Execute(portal)]
            }
            4 => {
                let (portal, name) = (self.name(), self.name());
                let bind = Send::Bind(portal, name, self.value());
                vec![bind, Send::Execute(portal), Send::Sync]
            }
            5 => vec![Send::Parse(self.name(), self.statement())],
            6 => vec![Send::Bind(self.name(), self.name(), self.value())],
            7 => vec![Send::Execute(self.name())],
            8 => {
                let (kind, name) = object(self);
                vec![Send::Describe(kind, name)]
            }
            9 => {
                let (kind, name) = object(self);
                vec![Send::Close(kind, name)]
            }
            10 => vec![Send::Flush],
            _ => vec![Send::Sync],
        }
    }

    fn statement(&mut self) -> Sql {
        match self.byte() % 4 {
            0 | 1 => Sql::insert('t', vec![None]),
            2 => Sql::insert('u', vec![None]),
            _ => self.literal(),
        }
    }

    fn literal(&mut self) -> Sql {
        match self.byte() % 16 {
            0..=2 => Sql::insert('t', vec![Some(self.value())]),
            3 => Sql::insert('u', vec![Some(self.value())]),
            4 => Sql::insert('t', vec![Some(self.value()), Some(self.value())]),
            5 => returning(vec![Some(self.value())]),
            6 => returning(vec![Some(self.value()), Some(self.value())]),
            7 => Sql::Savepoint(self.choose(&["a", "b"]).to_owned()),
            8 => Sql::Release(self.choose(&["a", "b"]).to_owned()),
            9 => Sql::RollbackTo(self.choose(&["a", "b"]).to_owned()),
            10 => Sql::Delete(self.choose(&['t', 'u'])),
            11 => Sql::Select,
            12 => Sql::Begin,
            13 => Sql::Commit,
            14 => Sql::Rollback,
            _ => Sql::Bad,
        }
    }
}

fn returning(rows: Vec<Option<i32>>) -> Sql {
    Sql::Insert(Insert { table: 't', rows, returning: true, on_conflict: false })
}

impl Iterator for Script<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.0.is_empty() {
            return None;
        }
        Some(match self.byte() % 16 {
            kind @ 0..=11 => Step::Send(self.exchange(kind)),
            12 => Step::Up(usize::from(self.byte())),
            13 => Step::Down(usize::from(self.byte())),
            _ => Step::Deliver(usize::from(self.byte()).max(1)),
        })
    }
}
