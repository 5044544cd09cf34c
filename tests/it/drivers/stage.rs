//! What a driver's script needs: a server of its own that can crash, users for each way to log in,
//! and a proxy before it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

use pgabsorb::cli::throwaway::{Options, Throwaway};
use postgres::{Client, NoTls};

use crate::pooler::{Mode, Pooler};
use crate::shell::process::Process;
use crate::support::wait_until;

use super::poolers::{self, Place};
use super::{RULES, SCHEMA, with_programs};

pub struct Stage {
    server: Throwaway,
    pub proxy: Process,
    _pooler: Option<Pooler>,
    /// What a driver connects to.
    pub address: SocketAddr,
}

impl Stage {
    pub fn new() -> Self {
        let server = server();
        let proxy = Process::start(RULES, &server.address().to_string());
        let address = proxy.address();
        Self { server, proxy, _pooler: None, address }.prepared()
    }

    /// With a PgBouncer on one side of the proxy, or alone.
    pub fn with_pooler(place: Place, mode: Mode) -> Self {
        let server = server();
        let start = |upstream: SocketAddr| Process::start(RULES, &upstream.to_string());
        let (proxy, pooler, address) = match place {
            Place::InFront => {
                let proxy = start(server.address());
                let pooler = poolers::start(mode, proxy.address());
                let address = pooler.address;
                (proxy, pooler, address)
            }
            Place::Behind | Place::Alone => {
                let pooler = poolers::start(mode, server.address());
                let proxy = start(pooler.address);
                let front = if place == Place::Alone { pooler.address } else { proxy.address() };
                (proxy, pooler, front)
            }
        };
        let stage = Self { server, proxy, _pooler: Some(pooler), address }.prepared();
        if place == Place::Alone {
            stage.client().unwrap().batch_execute(poolers::IN_PLACE_OF_THE_PROXY).unwrap();
        }
        stage
    }

    fn prepared(self) -> Self {
        let mut client = self.client().unwrap();
        client.batch_execute(SCHEMA).unwrap();
        client.batch_execute(ROLES).unwrap();
        self
    }

    /// At the server itself, past the proxy.
    fn client(&self) -> Result<Client, postgres::Error> {
        let address = self.server.address();
        let config =
            format!("host={} port={} user=postgres dbname=postgres", address.ip(), address.port());
        Client::connect(&config, NoTls)
    }

    /// Makes sure that all is there that a script is to have stored, and ends all the server's
    /// processes, as a crash does, until it has recovered. The one that listens stays, so that nobody
    /// else can take the port.
    pub fn crash(&self, printed: &str) {
        self.is_as_listed(printed);
        let mut witness = self.client().unwrap();
        let killed = "COPY (SELECT 1) TO PROGRAM 'kill -9 $PPID'";
        self.client().unwrap().batch_execute(killed).unwrap_err();
        // Until the server has seen it, it takes in new clients as before.
        wait_until("every session ends", || witness.batch_execute("SELECT 1").is_err());
        wait_until("the server recovers", || self.client().is_ok());
    }

    /// Runs a script that has to succeed; what it printed.
    pub fn run(&self, command: &mut Command) -> String {
        let (status, printed) = self.attempt(command);
        assert!(status.success(), "{command:?} failed");
        printed
    }

    /// Runs a script; how it ended, and what it printed. When it asks for it the server crashes.
    pub fn attempt(&self, command: &mut Command) -> (ExitStatus, String) {
        let mut child = with_programs(command, self.server.programs())
            .env("PGHOST", self.address.ip().to_string())
            .env("PGPORT", self.address.port().to_string())
            .env("PGUSER", "postgres")
            .env("PGDATABASE", "postgres")
            .env("PGCONNECT_TIMEOUT", "30")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let errors = thread::spawn(move || {
            let mut text = Vec::new();
            stderr.read_to_end(&mut text).map(|_| String::from_utf8_lossy(&text).into_owned())
        });
        let mut stdin = child.stdin.take().unwrap();
        let mut printed = String::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            match line.unwrap().as_str() {
                "restart" => {
                    self.crash(&printed);
                    stdin.write_all(b"\n").unwrap();
                }
                line => {
                    printed += line;
                    printed.push('\n');
                }
            }
        }
        let status = child.wait().unwrap();
        let errors = errors.join().unwrap().unwrap();
        println!("{command:?}, {status}\n{printed}{errors}");
        (status, printed)
    }

    /// What the tables hold when the list is done, whoever did it.
    fn is_as_listed(&self, printed: &str) {
        let mut client = self.client().unwrap();
        let mut holds = |sql: &str, expected: &str| {
            let value: Option<String> = client.query_one(sql, &[]).unwrap().get(0);
            assert_eq!(value.as_deref(), Some(expected), "{sql} behind\n{printed}");
        };
        let ids = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM events";
        let others = "1 2 3 10 11 20 21 30 31 50 415 430 445 460 475 490";
        holds(&format!("{ids} WHERE id NOT BETWEEN 100 AND 299"), others);
        holds("SELECT count(*)::text FROM events WHERE id BETWEEN 100 AND 299", "200");
        holds("SELECT count(*)::text FROM events WHERE kind = 'again'", "0");
        holds("SELECT length(kind)::text FROM events WHERE id = 50", "5242880");
        holds("SELECT count(*) || ' to ' || max(id) FROM loads", "200 to 200");
        // One that cannot read what is copied out may well copy in.
        let all = "SELECT bool_and(id = place)::text FROM
                   (SELECT id, row_number() OVER (ORDER BY id) AS place FROM other) AS placed";
        holds(all, "true");
        if printed.contains("\nok COPY\n") {
            holds("SELECT max(id)::text FROM other", "9999");
        }
    }
}

/// One that asks each of the users for what it has.
fn server() -> Throwaway {
    let options = Options::default()
        .hba("host all trust 127.0.0.1/32 trust")
        .hba("host all password 127.0.0.1/32 password")
        .hba("host all md5 127.0.0.1/32 md5")
        .hba("host all scram 127.0.0.1/32 scram-sha-256");
    Throwaway::start(&options).unwrap_or_else(|error| panic!("{error}"))
}

const ROLES: &str = "
GRANT ALL ON events, loads, other TO PUBLIC;
CREATE ROLE trust LOGIN;
CREATE ROLE password LOGIN PASSWORD 'secret';
SET password_encryption = 'scram-sha-256';
CREATE ROLE scram LOGIN PASSWORD 'secret';
SET password_encryption = md5;
CREATE ROLE md5 LOGIN PASSWORD 'secret';
";
