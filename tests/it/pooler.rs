//! PgBouncer on either side of the proxy, in session and in transaction mode.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use tempfile::TempDir;

use crate::shell::process::Process;
use crate::support::postgres::{Database, server};
use crate::support::wait_until;
use crate::support::wire::{
    Wire, bind, cancel_request, execute, lines, parse, pbe, query, startup, sync,
};

/// How long a client keeps its server connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    Session,
    Transaction,
}

/// A PgBouncer, killed when dropped.
pub struct Pooler {
    child: Child,
    pub address: SocketAddr,
    _directory: TempDir,
}

impl Pooler {
    /// One of two server connections, which are the superuser's whoever the client is.
    fn start(mode: Mode, server: SocketAddr) -> Self {
        Self::start_with(mode, server, "user=postgres", &[], |_| {
            "auth_type = any\ndefault_pool_size = 2\n".to_owned()
        })
    }

    /// One with these parameters of its connections, files, and further settings, which are told
    /// where the files are.
    pub fn start_with(
        mode: Mode,
        server: SocketAddr,
        parameters: &str,
        files: &[(&str, &str)],
        settings: impl FnOnce(&Path) -> String,
    ) -> Self {
        let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let config = directory.path().join("pgbouncer.ini");
        let mode = format!("{mode:?}").to_lowercase();
        let text = format!(
            "[databases]\n* = host={} port={} {parameters}\n\
             [pgbouncer]\nlisten_addr = {}\nlisten_port = {}\nunix_socket_dir =\n\
             pool_mode = {mode}\n{}",
            server.ip(),
            server.port(),
            listen.ip(),
            listen.port(),
            settings(directory.path())
        );
        fs::write(&config, text).unwrap();
        let path = format!("{}:/usr/sbin", env::var("PATH").unwrap());
        let mut command = Command::new("pgbouncer");
        command.env("PATH", path).arg("--quiet").arg(&config).stdin(Stdio::null());
        if fs::metadata("/proc/self").unwrap().uid() == 0 {
            // It refuses to be root, and reads its file before it is somebody else.
            command.args(["--user", "nobody"]);
        }
        let child = command.spawn().expect("PgBouncer, of the Debian package pgbouncer");
        let pooler = Self { child, address: listen, _directory: directory };
        wait_until("PgBouncer listens", || TcpStream::connect(listen).is_ok());
        pooler
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A database with tables, and what clients connect to.
struct Chain {
    database: Database,
    address: SocketAddr,
    proxy: Process,
    pooler: Pooler,
}

const RULES: &str = "
[[rule]]
id = 'events'
constraint = 'events_pkey'

[[rule]]
id = 'loads'
constraint = 'loads_pkey'
strategy = 'rewrite'
";

fn database() -> Database {
    let database = Database::new();
    database.sql("CREATE TABLE events (id int PRIMARY KEY); INSERT INTO events VALUES (1)");
    database.sql("CREATE TABLE loads (id int PRIMARY KEY); INSERT INTO loads VALUES (1)");
    database
}

impl Chain {
    /// Client, PgBouncer, proxy, server.
    fn in_front(mode: Mode) -> Self {
        let proxy = Process::start(RULES, &server().address().to_string());
        let pooler = Pooler::start(mode, proxy.address());
        Self { database: database(), address: pooler.address, proxy, pooler }
    }

    /// Client, proxy, PgBouncer, server.
    fn behind(mode: Mode) -> Self {
        let pooler = Pooler::start(mode, server().address());
        let proxy = Process::start(RULES, &pooler.address.to_string());
        Self { database: database(), address: proxy.address(), proxy, pooler }
    }

    fn client(&self) -> Wire {
        self.client_of(self.address)
    }

    fn client_of(&self, address: SocketAddr) -> Wire {
        Wire::connect(address, &startup(&[("database", &self.database.name)]))
    }
}

/// Each kind of duplicate, by a client that has connected already.
fn absorbs(client: &mut Wire) {
    says(client, &query("INSERT INTO events VALUES (1)"), &["INSERT 0 0"]);
    let several = "INSERT INTO events VALUES (1), (floor(random() * 1e9) + 10) RETURNING 'new'";
    says(client, &query(several), &["new", "INSERT 0 1"]);
    says(client, &query("INSERT INTO loads VALUES (1)"), &["INSERT 0 0"]);
    says(
        client,
        &[pbe("INSERT INTO events VALUES ($1)", &["1"]), sync()].concat(),
        &["INSERT 0 0"],
    );
    says(client, &[pbe("INSERT INTO loads VALUES ($1)", &["1"]), sync()].concat(), &["INSERT 0 0"]);
    for statement in ["BEGIN", "INSERT INTO events VALUES (1)", "INSERT INTO loads VALUES (1)"] {
        let tag = if statement == "BEGIN" { "BEGIN" } else { "INSERT 0 0" };
        says(client, &query(statement), &[tag]);
    }
    says(client, &query("SELECT 'still in it'; COMMIT"), &["still in it", "COMMIT"]);
}

/// That a flight with one ReadyForQuery in its answer has no error there, and these words.
fn says(client: &mut Wire, flight: &[u8], words: &[&str]) {
    client.send(flight);
    let said = lines(&client.until(b'Z', 1));
    assert!(!said.contains("ErrorResponse"), "{said}");
    assert!(words.iter().all(|word| said.contains(word)), "{words:?} in {said}");
}

#[test]
fn everything_is_absorbed_with_pgbouncer_on_either_side() {
    for mode in [Mode::Session, Mode::Transaction] {
        for chain in [Chain::in_front(mode), Chain::behind(mode)] {
            // One client after the other gets the same two server connections, and both at once.
            for _ in 0..3 {
                let (mut one, mut other) = (chain.client(), chain.client());
                absorbs(&mut one);
                absorbs(&mut other);
            }
            let absorbed = chain.proxy.output.wait_for(r#""outcome":"absorbed""#, 6 * 7);
            let by = |strategy| absorbed.iter().filter(|line| line.contains(strategy)).count();
            assert_eq!((by(r#""react""#), by(r#""rewrite""#)), (6 * 4, 6 * 3), "{absorbed:?}");
            let log = chain.proxy.output.text();
            assert!(!log.contains(r#""level":"error""#) && !log.contains("lookup"), "{log}");
        }
    }
}

/// A transaction of another client holds the server that the first one's statement was parsed on.
#[test]
fn a_prepared_statement_is_gone_with_the_server_in_transaction_mode_with_or_without_the_proxy() {
    let chain = Chain::behind(Mode::Transaction);
    for address in [chain.address, chain.pooler.address] {
        let (mut client, mut other) = (chain.client_of(address), chain.client_of(address));
        says(&mut client, &[parse("s", "INSERT INTO events VALUES ($1)"), sync()].concat(), &[]);
        says(&mut other, &query("BEGIN"), &["BEGIN"]);
        client.send(&[bind("", "s", &["1"]), execute("", 0), sync()].concat());
        let said = lines(&client.until(b'Z', 1));
        assert!(said.contains("26000"), "{said}");
        says(&mut other, &query("COMMIT"), &["COMMIT"]);
        says(&mut other, &query("DEALLOCATE ALL"), &["DEALLOCATE"]);
    }
    absorbs(&mut chain.client());
}

/// The proxy has one session for both clients; the server reports what PgBouncer sets for each.
#[test]
fn a_rule_for_an_application_is_for_it_behind_pgbouncer_too() {
    let proxy = Process::start(
        "[[rule]]\nid = 'one'\nconstraint = 'events_pkey'\napplication_names = 'one'\n",
        &server().address().to_string(),
    );
    let pooler = Pooler::start(Mode::Transaction, proxy.address());
    let database = database();
    for (name, expected) in [("one", "INSERT 0 0"), ("two", "23505"), ("one", "INSERT 0 0")] {
        let parameters = [("database", &database.name[..]), ("application_name", name)];
        let mut client = Wire::connect(pooler.address, &startup(&parameters));
        let said = lines(&client.query("INSERT INTO events VALUES (1)"));
        assert!(said.contains(expected), "{said}");
    }
    let sessions = proxy.output.wait_for(r#""session":1,"#, 3);
    assert_eq!(sessions.len(), 3);
}

#[test]
fn a_cancel_request_passes_pgbouncer_on_either_side() {
    for chain in [Chain::in_front(Mode::Transaction), Chain::behind(Mode::Transaction)] {
        let mut client = Wire::open(chain.address);
        client.send(&startup(&[("database", &chain.database.name)]));
        let welcome = client.until(b'Z', 1);
        let key = &welcome.iter().find(|message| message.tag == b'K').unwrap().body;
        client.send(&query("SELECT pg_sleep(60)"));
        let sleeps = "SELECT 'asleep' FROM pg_stat_activity \
                      WHERE datname = current_database() AND wait_event = 'PgSleep'";
        wait_until("it sleeps", || chain.database.sql(sleeps).contains("asleep"));
        let mut cancel = Wire::open(chain.address);
        cancel.send(&cancel_request(key));
        let said = lines(&client.until(b'Z', 1));
        assert!(said.contains("57014"), "{said}");
    }
}
