//! What a suite runs at: a server of its own, and the proxy in front of it, or no proxy.

use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use pgabsorb::cli::throwaway::{Options, Throwaway};
use postgres::{Client, NoTls};
use tempfile::TempDir;

use super::suite::Suite;

/// A way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    /// No proxy.
    Directly,
    /// The proxy, without a rule.
    Plain,
    /// The proxy, and rules that absorb every duplicate key there may be.
    React,
    /// The same with `strategy = "rewrite"`.
    Rewrite,
}

impl Way {
    pub const PROXIED: [Self; 3] = [Self::Plain, Self::React, Self::Rewrite];

    /// Whether there are rules.
    pub fn absorbs(self) -> bool {
        matches!(self, Self::React | Self::Rewrite)
    }

    fn rules(self) -> String {
        let strategy = match self {
            Self::Directly | Self::Plain => return String::new(),
            Self::React => "react",
            Self::Rewrite => "rewrite",
        };
        // One pattern for all is a mistake, so these are for all names with a vowel or an underscore.
        let rule = |(number, letter)| {
            format!(
                "[[rule]]\nid = 'rule{number}'\nconstraint = '*{letter}*'\ntable = '*'\n\
                 strategy = '{strategy}'\n"
            )
        };
        "_aeiou".chars().enumerate().map(rule).collect()
    }
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Directly => "directly",
            Self::Plain => "plain",
            Self::React => "react",
            Self::Rewrite => "rewrite",
        };
        formatter.pad(name)
    }
}

/// A server, with what a suite needs, and a way to it.
pub struct Stage {
    pub way: Way,
    server: Throwaway,
    proxy: Option<Proxy>,
}

impl Stage {
    pub fn new(suite: &Suite, way: Way) -> Self {
        let methods = ["md5", "password", "scram-sha-256"].map(|method| {
            format!("host pg8000_{} all 127.0.0.1/32 {method}", method.replace('-', "_"))
        });
        let mut options = Options::default()
            .setting("max_connections", "200")
            .setting("max_prepared_transactions", "10")
            .setting("wal_level", "logical");
        for line in &methods {
            options = options.hba(line);
        }
        let server = Throwaway::start(&options).unwrap_or_else(|error| panic!("{error}"));
        if let Some(name) = suite.database {
            execute(&server, "postgres", &format!("CREATE DATABASE {name}"));
        }
        execute(&server, suite.database.unwrap_or("postgres"), suite.sql);
        let proxy = (way != Way::Directly).then(|| Proxy::start(way, server.address()));
        Self { way, server, proxy }
    }

    /// What the tests connect to.
    pub fn address(&self) -> SocketAddr {
        self.proxy.as_ref().map_or_else(|| self.server.address(), |proxy| proxy.address)
    }

    /// What the proxy has logged up to now.
    pub fn log(&self) -> String {
        let Some(proxy) = &self.proxy else { return String::new() };
        std::fs::read_to_string(proxy.log()).unwrap()
    }
}

fn execute(server: &Throwaway, database: &str, sql: &str) {
    let config = format!("host=127.0.0.1 port={} user=postgres dbname={database}", server.port());
    let mut client = Client::connect(&config, NoTls).unwrap();
    client.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// The program; killed when dropped.
struct Proxy {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl Proxy {
    fn start(way: Way, server: SocketAddr) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("rules.toml");
        std::fs::write(&config, way.rules()).unwrap();
        let log = std::fs::File::create(directory.path().join(LOG)).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_pgabsorb"))
            .args(["run", "--listen", "127.0.0.1:0", "--upstream", &server.to_string()])
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        let address = line
            .strip_prefix("pgabsorb ready: listening on ")
            .and_then(|rest| rest.split_once(',')?.0.parse().ok())
            .unwrap_or_else(|| panic!("the proxy does not start: {line}"));
        thread::spawn(move || {
            let mut rest = String::new();
            if errors.read_to_string(&mut rest).is_ok() && !rest.is_empty() {
                eprintln!("the proxy says: {rest}");
            }
        });
        Self { child, address, directory }
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join(LOG)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const LOG: &str = "log";
