//! A model of the server: transactions, the extended protocol and its skipping, when replies are
//! sent, and duplicate keys. Written from the manual's message flow, not from the proxy.

use std::collections::HashMap;

use super::sql::{Insert, Sql, Storage, Tables};
use crate::support::wire::message;

#[derive(Debug, Default)]
pub struct Server {
    storage: Storage,
    block: Block,
    skipping: bool,
    prepared: HashMap<String, Sql>,
    portals: HashMap<String, Sql>,
    input: Vec<u8>,
    /// Replies not sent yet: the server sends at an error, Flush, Sync, and after a Query.
    buffered: Vec<u8>,
    /// Replies sent.
    pub output: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    #[default]
    None,
    Open,
    Failed,
}

impl Block {
    /// What ReadyForQuery says of it.
    pub fn status(self) -> u8 {
        match self {
            Self::None => b'I',
            Self::Open => b'T',
            Self::Failed => b'E',
        }
    }
}

impl Server {
    pub fn new() -> Self {
        Self::default()
    }

    /// What is stored, whatever a transaction does.
    pub fn stored(&self) -> &Tables {
        self.storage.committed()
    }

    /// Takes bytes from the client and works off every whole message.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        while let Some(&[tag, a, b, c, d]) = self.input.first_chunk() {
            let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap();
            if self.input.len() <= length {
                return;
            }
            let frame: Vec<u8> = self.input.drain(..=length).collect();
            self.message(tag, &frame[5..]);
        }
    }

    fn message(&mut self, tag: u8, body: &[u8]) {
        let fields: Vec<_> =
            body.split(|it| *it == 0).map(|it| String::from_utf8_lossy(it).into_owned()).collect();
        match tag {
            b'S' => {
                self.skipping = false;
                self.ready();
            }
            _ if self.skipping => {}
            b'Q' => self.query(&fields[0]),
            b'H' => self.flush(),
            b'P' if fields[0] == "pgabsorb_lookup" => self.parse("pgabsorb_lookup", Sql::Select),
            b'P' => self.parse(&fields[0], Sql::read(&fields[1])),
            b'B' => self.bind(&fields[0], &fields[1], body),
            b'E' => self.execute(&fields[0]),
            b'D' => self.describe(&fields[0]),
            b'C' => self.close(&fields[0]),
            other => panic!("the model does not know {}", char::from(other)),
        }
    }

    fn query(&mut self, text: &str) {
        let statements: Vec<_> = text.split(';').map(Sql::read).collect();
        if statements.contains(&Sql::Bad) {
            // The text is read as a whole, before any of it runs.
            self.fail("42601");
            return self.ready();
        }
        for statement in statements {
            if let Err(code) = self.run(&statement, true) {
                self.fail(code);
                break;
            }
        }
        self.ready();
    }

    fn parse(&mut self, name: &str, sql: Sql) {
        if sql == Sql::Bad {
            self.fail_and_skip("42601");
        } else if self.block == Block::Failed && !sql.ends_failure() {
            self.fail_and_skip("25P02");
        } else if !name.is_empty() && self.prepared.contains_key(name) {
            self.fail_and_skip("42P05");
        } else {
            self.prepared.insert(name.to_owned(), sql);
            self.say(b'1', b"");
        }
    }

    fn bind(&mut self, portal: &str, statement: &str, body: &[u8]) {
        let Some(sql) = self.prepared.get(statement) else { return self.fail_and_skip("26000") };
        // The value is the last but the result formats: four digits of text.
        let value = body.len().checked_sub(6).and_then(|at| body.get(at..at + 4));
        let value = value.and_then(|it| std::str::from_utf8(it).ok()?.parse().ok());
        if self.block == Block::Failed && !sql.ends_failure() {
            return self.fail_and_skip("25P02");
        }
        if !portal.is_empty() && self.portals.contains_key(portal) {
            return self.fail_and_skip("42P03");
        }
        self.portals.insert(portal.to_owned(), sql.bound(value));
        self.say(b'2', b"");
    }

    fn execute(&mut self, portal: &str) {
        let Some(sql) = self.portals.get(portal).cloned() else {
            return self.fail_and_skip("34000");
        };
        if let Err(code) = self.run(&sql, false) {
            self.fail_and_skip(code);
        }
    }

    fn describe(&mut self, target: &str) {
        let (kind, name) = target.split_at(1);
        let found = if kind == "S" { self.prepared.get(name) } else { self.portals.get(name) };
        let Some(sql) = found.cloned() else { return self.fail_and_skip("34000") };
        if self.block == Block::Failed && sql.returns_rows() {
            return self.fail_and_skip("25P02");
        }
        if kind == "S" {
            self.say(b't', &[0, 0]);
        }
        if sql.returns_rows() { self.say(b'T', &[0, 0]) } else { self.say(b'n', b"") }
    }

    fn close(&mut self, target: &str) {
        let (kind, name) = target.split_at(1);
        if kind == "S" {
            self.prepared.remove(name);
        } else {
            self.portals.remove(name);
        }
        self.say(b'3', b"");
    }

    /// Runs one statement and says its result, with a description first in a simple query.
    fn run(&mut self, sql: &Sql, describe: bool) -> Result<(), &'static str> {
        if self.block == Block::Failed && !sql.ends_failure() {
            return Err("25P02");
        }
        match sql {
            Sql::Insert(insert) => self.insert(insert, describe)?,
            Sql::Delete(table) => {
                self.storage.delete(*table);
                self.complete("DELETE 1");
            }
            Sql::Select => {
                if describe {
                    self.say(b'T', &[0, 0]);
                }
                self.say(b'D', &[0, 0]);
                self.complete("SELECT 1");
            }
            Sql::Begin => {
                self.block = Block::Open;
                self.complete("BEGIN");
            }
            Sql::Commit if self.block != Block::Failed => {
                self.end(true);
                self.complete("COMMIT");
            }
            Sql::Commit | Sql::Rollback => {
                self.end(false);
                self.complete("ROLLBACK");
            }
            Sql::Savepoint(_) | Sql::Release(_) | Sql::RollbackTo(_) => self.savepoint(sql)?,
            Sql::Bad => return Err("42601"),
        }
        Ok(())
    }

    fn insert(&mut self, insert: &Insert, describe: bool) -> Result<(), &'static str> {
        let mut stored = 0;
        for row in insert.rows.iter().flatten() {
            if self.storage.insert(insert.table, *row) {
                stored += 1;
            } else if !insert.on_conflict {
                return Err(if insert.table == 't' { "t" } else { "u" });
            }
        }
        if insert.returning {
            if describe {
                self.say(b'T', &[0, 0]);
            }
            for _ in 0..stored {
                self.say(b'D', &[0, 0]);
            }
        }
        self.complete(&format!("INSERT 0 {stored}"));
        Ok(())
    }

    fn savepoint(&mut self, sql: &Sql) -> Result<(), &'static str> {
        if self.block == Block::None {
            return Err("25P01");
        }
        let (found, tag) = match sql {
            Sql::Savepoint(name) => {
                self.storage.savepoint(name);
                (true, "SAVEPOINT")
            }
            Sql::Release(name) => (self.storage.release(name), "RELEASE"),
            Sql::RollbackTo(name) => (self.storage.roll_back_to(name), "ROLLBACK"),
            _ => unreachable!("{sql:?}"),
        };
        if !found {
            return Err("3B001");
        }
        self.block = Block::Open;
        self.complete(tag);
        Ok(())
    }

    fn end(&mut self, commit: bool) {
        self.storage.end(commit);
        self.block = Block::None;
        self.portals.clear();
    }

    fn fail_and_skip(&mut self, code: &'static str) {
        self.fail(code);
        self.skipping = true;
    }

    fn fail(&mut self, code: &'static str) {
        let fields: &[u8] = match code {
            "t" => b"SERROR\0VERROR\0C23505\0spublic\0tt\0nt_pkey\0\0",
            "u" => b"SERROR\0VERROR\0C23505\0spublic\0tu\0nu_pkey\0\0",
            _ => &[b"SERROR\0VERROR\0C", code.as_bytes(), b"\0\0"].concat(),
        };
        if self.block == Block::None {
            self.end(false);
        } else {
            self.block = Block::Failed;
        }
        self.say(b'E', fields);
        self.flush();
    }

    fn ready(&mut self) {
        if self.block == Block::None {
            self.end(true);
        }
        self.say(b'Z', &[self.block.status()]);
        self.flush();
    }

    fn complete(&mut self, tag: &str) {
        self.say(b'C', &[tag.as_bytes(), b"\0"].concat());
    }

    fn say(&mut self, tag: u8, body: &[u8]) {
        self.buffered.extend(message(tag, body));
    }

    fn flush(&mut self) {
        self.output.append(&mut self.buffered);
    }
}
