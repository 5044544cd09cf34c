//! A model of the client: what it sends, whether each reply is one that the protocol allows at
//! its place, and what it then believes to be stored.

use std::collections::{HashMap, VecDeque};

use super::server::Block;
use super::sql::{Sql, Storage, Tables};
use crate::support::wire;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Send {
    Query(Vec<Sql>),
    Parse(&'static str, Sql),
    Bind(&'static str, &'static str, i32),
    Describe(u8, &'static str),
    Execute(&'static str),
    Close(u8, &'static str),
    Sync,
    Flush,
}

impl Send {
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Query(statements) => {
                let texts: Vec<_> = statements.iter().map(Sql::text).collect();
                wire::query(&texts.join("; "))
            }
            Self::Parse(name, sql) => wire::parse(name, &sql.text()),
            Self::Bind(portal, name, value) => wire::bind(portal, name, &[&format!("{value:04}")]),
            Self::Describe(kind, name) => wire::describe(*kind, name),
            Self::Execute(portal) => wire::execute(portal, 0),
            Self::Close(kind, name) => wire::close(*kind, name),
            Self::Sync => wire::sync(),
            Self::Flush => wire::flush(),
        }
    }

    /// Whether the server answers everything before this without waiting for more.
    pub fn can_be_awaited(&self) -> bool {
        matches!(self, Self::Query(_) | Self::Sync | Self::Flush)
    }
}

#[derive(Debug, Default)]
pub struct Client {
    waiting: VecDeque<Send>,
    /// An error came before the Sync that ends its segment was sent.
    skipping: bool,
    /// Statements of the Query at the front that are done.
    done: usize,
    failed: bool,
    prepared: HashMap<&'static str, Sql>,
    portals: HashMap<&'static str, Sql>,
    /// What it believes to be stored.
    storage: Storage,
    /// The status it believes the session to be in.
    block: Block,
    input: Vec<u8>,
    pub status: u8,
    pub absorbed: usize,
}

impl Client {
    pub fn new() -> Self {
        Self { status: b'I', ..Self::default() }
    }

    /// What it believes to be stored, whatever a transaction does.
    pub fn believed(&self) -> &Tables {
        self.storage.committed()
    }

    pub fn sent(&mut self, message: &Send) {
        match message {
            Send::Flush => return,
            Send::Sync => self.skipping = false,
            _ if self.skipping => return,
            _ => {}
        }
        self.waiting.push_back(message.clone());
    }

    pub fn has_all_replies(&self) -> bool {
        self.waiting.is_empty() && self.input.is_empty()
    }

    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        while let Some(&[tag, a, b, c, d]) = self.input.first_chunk() {
            let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap();
            if self.input.len() <= length {
                return;
            }
            let frame: Vec<u8> = self.input.drain(..=length).collect();
            self.reply(tag, &frame[5..]);
        }
    }

    fn reply(&mut self, tag: u8, body: &[u8]) {
        let head = self.waiting.front().cloned();
        let head = head.unwrap_or_else(|| panic!("nothing was asked, but {}", char::from(tag)));
        match (head, tag) {
            (Send::Query(_) | Send::Sync, b'E') => self.fail(),
            (_, b'E') => {
                self.fail();
                self.skip();
            }
            (Send::Query(statements), b'Z') => {
                assert!(self.failed || self.done == statements.len(), "a Query ended early");
                self.ready(body[0]);
            }
            (Send::Sync, b'Z') => self.ready(body[0]),
            (Send::Query(_), b'T' | b'D') => assert!(!self.failed),
            (Send::Query(statements), b'C') => {
                assert!(!self.failed, "a success behind the error of a Query");
                self.complete(&statements[self.done].clone(), body);
                self.done += 1;
            }
            (Send::Parse(name, sql), b'1') => {
                self.prepared.insert(name, sql);
                self.next();
            }
            (Send::Bind(portal, name, value), b'2') => {
                let sql = self.prepared[name].bound(Some(value));
                self.portals.insert(portal, sql);
                self.next();
            }
            (Send::Describe(b'S', _), b't') | (Send::Execute(_), b'D') => {}
            (Send::Describe(..), b'T' | b'n') | (Send::Close(..), b'3') => self.next(),
            (Send::Execute(portal), b'C') => {
                let sql = self.portals[portal].clone();
                self.complete(&sql, body);
                self.next();
            }
            (head, tag) => panic!("{} is no reply to {head:?}", char::from(tag)),
        }
    }

    fn complete(&mut self, sql: &Sql, tag: &[u8]) {
        assert!(self.block != Block::Failed || sql.ends_failure(), "{sql:?} in a failed block");
        match (sql, tag) {
            (Sql::Insert(insert), b"INSERT 0 0\0") => {
                self.absorbed += 1;
                for row in insert.rows.iter().flatten() {
                    assert!(self.storage.has(insert.table, *row), "a duplicate of nothing");
                }
            }
            (Sql::Insert(insert), tag) => {
                let rows = insert.rows.iter().flatten();
                let new = rows.filter(|row| self.storage.insert(insert.table, **row)).count();
                assert_eq!(tag, format!("INSERT 0 {new}\0").as_bytes());
            }
            (Sql::Delete(table), _) => self.storage.delete(*table),
            (Sql::Begin, _) => self.block = Block::Open,
            (Sql::Commit, b"COMMIT\0") => self.end(true),
            (Sql::Commit | Sql::Rollback, b"ROLLBACK\0") => self.end(false),
            (Sql::Savepoint(name), _) => self.storage.savepoint(name),
            (Sql::Release(name), _) => assert!(self.storage.release(name)),
            (Sql::RollbackTo(name), _) => {
                assert!(self.storage.roll_back_to(name));
                self.block = Block::Open;
            }
            (Sql::Select, _) => {}
            (sql, tag) => panic!("{} is no answer to {sql:?}", tag.escape_ascii()),
        }
    }

    fn end(&mut self, commit: bool) {
        self.storage.end(commit);
        self.block = Block::None;
    }

    fn fail(&mut self) {
        self.failed = true;
        if self.block == Block::None {
            self.storage.roll_back();
        } else {
            self.block = Block::Failed;
        }
    }

    fn skip(&mut self) {
        while self.waiting.front().is_some_and(|it| *it != Send::Sync) {
            self.waiting.pop_front();
        }
        self.skipping = self.waiting.is_empty();
        self.failed = false;
    }

    fn ready(&mut self, status: u8) {
        assert_eq!(status, self.block.status(), "the status is not what was told");
        if status == b'I' {
            self.end(true);
        }
        self.status = status;
        self.next();
    }

    fn next(&mut self) {
        self.waiting.pop_front();
        self.done = 0;
        self.failed = false;
    }
}
