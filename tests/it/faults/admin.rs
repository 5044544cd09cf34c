//! A direct connection to the database, that brings it back to where sessions begin, looks at what
//! they have left, and holds the gate that makes them wait.

use super::belief::{self, Rows};
use super::session::Table;
use crate::support::postgres::{Database, server};
use crate::support::wait_until;
use crate::support::wire::{Message, Wire, lines, startup};

pub struct Admin(Wire);

/// Every INSERT passes a gate, at which it waits while that is closed.
pub const SCHEMA: &str = "
CREATE TABLE one (id int CONSTRAINT one_pkey_0 PRIMARY KEY, u int, v int);
CREATE TABLE twin (id int PRIMARY KEY, u int, v int);
ALTER TABLE twin ADD CONSTRAINT twin_u UNIQUE (u);
CREATE TABLE free (id int PRIMARY KEY, u int, v int);
CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_lock_shared(42);
        PERFORM pg_advisory_unlock_shared(42);
        RETURN NULL;
    END $$;
CREATE TRIGGER gate BEFORE INSERT ON one EXECUTE PROCEDURE gate();
CREATE TRIGGER gate BEFORE INSERT ON twin EXECUTE PROCEDURE gate();
CREATE TRIGGER gate BEFORE INSERT ON free EXECUTE PROCEDURE gate();
";

impl Admin {
    pub fn new(database: &Database) -> Self {
        let parameters = startup(&[("database", &database.name)]);
        Self(Wire::connect(server().address(), &parameters))
    }

    /// The rows that each session finds.
    pub fn reset(&mut self) {
        self.rows("DELETE FROM one; DELETE FROM twin; DELETE FROM free");
        for ((table, id), [u, v]) in belief::found() {
            self.rows(&format!("INSERT INTO {} VALUES ({id}, {u}, {v})", table.name()));
        }
    }

    /// A constraint that the rules list gets a name that no session has asked the catalog about.
    pub fn rename(&mut self, from: u64, to: u64) {
        self.rows(&format!("ALTER TABLE one RENAME CONSTRAINT one_pkey_{from} TO one_pkey_{to}"));
    }

    pub fn dump(&mut self) -> Rows {
        let mut rows = Rows::new();
        for table in Table::ALL {
            for row in self.rows(&format!("SELECT id, u, v FROM {}", table.name())) {
                let [id, u, v] = columns(&row)[..] else { panic!("{row}") };
                let before = rows.insert((table, id), [u, v]);
                assert_eq!(before, None, "a primary key is unique");
            }
        }
        rows
    }

    pub fn cancel(&mut self, pid: u32) {
        self.rows(&format!("SELECT pg_cancel_backend({pid})"));
    }

    /// Ends a server process, and waits for its end.
    pub fn terminate(&mut self, pid: u32) {
        self.rows(&format!("SELECT pg_terminate_backend({pid})"));
        wait_until("the server process ends", || !self.lives(pid));
    }

    /// Whether a server process is there.
    pub fn lives(&mut self, pid: u32) -> bool {
        !self.rows(&format!("SELECT 1 FROM pg_stat_activity WHERE pid = {pid}")).is_empty()
    }

    pub fn close_gate(&mut self) {
        self.rows("SELECT pg_advisory_lock(42)");
    }

    pub fn open_gate(&mut self) {
        self.rows("SELECT pg_advisory_unlock(42)");
    }

    /// Whether a server process comes to the gate, or else to the end of what it was sent.
    pub fn waits_at_gate(&mut self, pid: u32) -> bool {
        let reads = format!(
            "SELECT 1 FROM pg_stat_activity WHERE pid = {pid} AND wait_event <> 'ClientRead'
             OR pid = {pid} AND wait_event IS NULL"
        );
        let mut read = 0;
        wait_until("the server has taken the message in", || {
            read += u32::from(self.rows(&reads).is_empty());
            read > 2 || self.is_at_gate(pid)
        });
        self.is_at_gate(pid)
    }

    pub fn is_at_gate(&mut self, pid: u32) -> bool {
        let waits = "locktype = 'advisory' AND NOT granted";
        !self.rows(&format!("SELECT 1 FROM pg_locks WHERE pid = {pid} AND {waits}")).is_empty()
    }

    fn rows(&mut self, sql: &str) -> Vec<Message> {
        let reply = self.0.query(sql);
        assert!(!reply.iter().any(|it| it.tag == b'E'), "{sql}\n{}", lines(&reply));
        reply.into_iter().filter(|it| it.tag == b'D').collect()
    }
}

/// The numbers of a row.
pub fn columns(row: &Message) -> Vec<i32> {
    let mut rest = &row.body[2..];
    let mut columns = Vec::new();
    while let Some((length, more)) = rest.split_at_checked(4) {
        let (value, others) =
            more.split_at(u32::from_be_bytes(length.try_into().unwrap()) as usize);
        columns.push(str::from_utf8(value).unwrap().parse().unwrap());
        rest = others;
    }
    columns
}
