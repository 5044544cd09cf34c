//! One server for all tests of this binary, and a database of its own for each.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use pgabsorb::cli::throwaway::{Options, Throwaway};

use super::version::version;
use super::wire::{Wire, startup};

/// The server that all tests share. Statics are not dropped, so its end is left to its keeper,
/// which notices that this process is gone (see `cli/throwaway.rs`).
pub fn server() -> &'static Throwaway {
    static SERVER: OnceLock<Throwaway> = OnceLock::new();
    SERVER.get_or_init(|| {
        let options = Options::default()
            .setting("max_connections", "200")
            .setting("max_prepared_transactions", "5")
            .setting("wal_level", "logical");
        Throwaway::start(&options).unwrap_or_else(|error| panic!("{error}"))
    })
}

/// An empty database, dropped with its owner so that a long run does not fill the disk.
pub struct Database {
    /// Its name; a plain lower-case identifier.
    pub name: String,
}

impl Database {
    /// A database with a name that no other test has.
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        Self::named(&format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// A database with this name, which the caller alone uses.
    pub fn named(name: &str) -> Self {
        administer(&format!("CREATE DATABASE {name}"));
        Self { name: name.to_owned() }
    }

    /// A database that is a copy of another, object ids and all, which nobody is connected to.
    pub fn copied(name: &str, template: &Self) -> Self {
        administer(&format!("CREATE DATABASE {name} TEMPLATE {}", template.name));
        Self { name: name.to_owned() }
    }

    /// Runs SQL in this database, on a direct connection; anything but success is a failure.
    /// Returns what came back, one message per line.
    pub fn sql(&self, text: &str) -> String {
        run(&self.name, text)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = &self.name;
        if version() >= 13 {
            return administer(&format!("DROP DATABASE {name} WITH (FORCE)"));
        }
        administer(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
        // DROP DATABASE waits for those who have been told to go.
        administer(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        ));
        administer(&format!("DROP DATABASE {name}"));
    }
}

fn administer(sql: &str) {
    run("postgres", sql);
}

fn run(database: &str, sql: &str) -> String {
    let mut wire = Wire::connect(server().address(), &startup(&[("database", database)]));
    let reply = wire.query(sql);
    let text = super::wire::lines(&reply);
    assert!(!reply.iter().any(|message| message.tag == b'E'), "{sql}\n{text}");
    text
}
