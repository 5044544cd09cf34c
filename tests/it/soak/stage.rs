//! A server that may crash, a relay that may cut it off, and the proxy before them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use pgabsorb::cli::throwaway::{Options, Throwaway};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tempfile::TempDir;

use crate::hostile::relay::Relay;
use crate::hostile::{number, wait_for_rest};
use crate::shell::process::Process;
use crate::support::wire::{Wire, lines, ssl_request, startup};
use crate::support::{PATIENCE, wait_until};
use crate::tls::certificates::Authority;
use crate::tls::trusting;

use super::connection::{Connection, Stream};
use super::ledger::{Event, Ledger};

/// Even keys are those of `t`, odd ones of `r`; nobody lists `free`.
const SCHEMA: &str = "CREATE TABLE t (id bigint PRIMARY KEY, v text);
    CREATE TABLE r (id bigint PRIMARY KEY, v text);
    CREATE TABLE free (id bigint PRIMARY KEY); INSERT INTO free VALUES (0)";

/// Duplicates in one piece of work.
const MOST: u64 = 12;

pub struct Stage {
    pub server: Throwaway,
    pub relay: Relay,
    pub proxy: Process,
    tls: Arc<ClientConfig>,
    /// Pieces of work that came to an end, and the next key that all clients insert.
    pub progress: AtomicU64,
    pub shared: AtomicU64,
    /// Descriptors of the proxy at rest.
    rest: usize,
    rules: String,
    directory: TempDir,
}

impl Stage {
    pub fn new() -> Self {
        let server = Throwaway::start(&Options::default().setting("max_connections", "60"))
            .unwrap_or_else(|error| panic!("{error}"));
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new("root");
        let identity = authority.issue("proxy", &["localhost"]);
        fs::write(directory.path().join("crt"), &identity.certificate).unwrap();
        fs::write(directory.path().join("key"), &identity.key).unwrap();
        let rules = rules(&directory);
        let relay = Relay::before(server.address());
        let proxy = Process::start(&rules, &relay.address());
        let rest = proxy.descriptors();
        let tls = trusting(authority.pem().as_bytes()).with_no_client_auth();
        let (progress, shared) = Default::default();
        let tls = Arc::new(tls);
        let stage = Self { server, relay, proxy, tls, progress, shared, rest, rules, directory };
        stage.direct(SCHEMA);
        stage
    }

    /// SQL at the server itself, which has to go well; the first column of each row.
    fn direct(&self, sql: &str) -> Vec<String> {
        let mut wire = Wire::connect(self.server.address(), &startup(&[]));
        let reply = wire.query(sql);
        assert!(!reply.iter().any(|it| it.tag == b'E'), "{sql}\n{}", lines(&reply));
        let rows = reply.iter().filter(|it| it.tag == b'D');
        rows.map(|row| String::from_utf8(row.body[6..].to_vec()).unwrap()).collect()
    }

    /// What is on its way to a login.
    pub fn connect(&self, is_encrypted: bool) -> std::io::Result<Connection> {
        let mut stream = TcpStream::connect(self.proxy.address())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        if !is_encrypted {
            return Ok(Connection::over(Box::new(stream)));
        }
        std::io::Write::write_all(&mut stream, &ssl_request())?;
        let mut answer = [0];
        std::io::Read::read_exact(&mut stream, &mut answer)?;
        assert_eq!(answer, [b'S']);
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(Arc::clone(&self.tls), name).unwrap();
        let stream: Box<dyn Stream> = Box::new(StreamOwned::new(session, stream));
        Ok(Connection::over(stream))
    }

    /// Nothing is stored, and nothing logged.
    pub fn begin(&self) {
        self.direct("TRUNCATE t, r");
        // It is appended to.
        File::options().write(true).open(self.log()).unwrap().set_len(0).unwrap();
    }

    /// The rules file as it is, with something in it that is new.
    pub fn reload(&self, number: u64) {
        self.proxy.write_rules(&format!("# {number}\n{}", self.rules));
        self.proxy.signal("HUP");
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// All have left.
    pub fn check(&self, ledger: &Ledger) {
        wait_for_rest(&self.proxy, self.rest);
        wait_until("the server is done", || self.relay.is_quiet());
        let rows = self.direct("SELECT id::text FROM t UNION ALL SELECT id::text FROM r");
        let stored: BTreeSet<u64> = rows.iter().map(|it| it.parse().unwrap()).collect();
        assert_eq!(stored.len(), rows.len(), "a key is in its table");
        let missing: Vec<_> = ledger.stored.difference(&stored).collect();
        assert!(missing.is_empty(), "told to be stored, and is not: {missing:?}");
        let other = stored.difference(&ledger.stored).filter(|it| !ledger.doubtful.contains(it));
        let other: Vec<_> = other.collect();
        assert!(other.is_empty(), "stored, and nobody was told so: {other:?}");
        self.check_log(ledger);
    }

    /// A line for each duplicate that became a success; and for those before an error, and before a
    /// client was lost.
    fn check_log(&self, ledger: &Ledger) {
        let absorbed = ledger.of(Event::Absorbed);
        let events = [Event::Lost, Event::Failed, Event::Shown];
        let undone = events.into_iter().map(|it| ledger.of(it)).sum::<u64>();
        let mut lines = 0;
        wait_until("each duplicate has its line", || {
            let log = fs::read_to_string(self.log()).unwrap();
            lines = log.matches("\"outcome\":\"absorbed\"").count() as u64;
            lines >= absorbed
        });
        assert!(lines <= absorbed + undone * MOST, "{lines} lines for {absorbed} duplicates");
        for name in ["pgabsorb_out_of_step_total", "pgabsorb_log_lines_dropped_total"] {
            assert_eq!(number(&self.proxy, name), 0, "{name}");
        }
        let errors = self.proxy.errors.text();
        assert!(!errors.contains("panicked"), "{errors}");
    }
}

fn rules(directory: &TempDir) -> String {
    let path = |name| directory.path().join(name).display().to_string();
    let (log, certificate, key) = (path("log"), path("crt"), path("key"));
    format!(
        "admin.listen = '127.0.0.1:0'
        log.file = '{log}'
        [client_tls]
        mode = 'allow'
        certificate = '{certificate}'
        key = '{key}'
        [[rule]]
        id = 't'
        constraint = 't_pkey'
        [[rule]]
        id = 'r'
        constraint = 'r_pkey'
        strategy = 'rewrite'
        "
    )
}
