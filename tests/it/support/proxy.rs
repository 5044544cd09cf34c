//! The proxy's own binary, started as a user would start it.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::{env, fs, thread};

use tempfile::TempDir;

use super::{PATIENCE, postgres, wait_until};

/// A running proxy in front of the shared server; killed when dropped.
pub struct Proxy {
    address: SocketAddr,
    child: Option<Child>,
    log: Arc<Log>,
    _directory: TempDir,
}

impl Proxy {
    /// Starts a proxy with this rules file, and waits until it says that it is ready.
    pub fn start(rules: &str) -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let config = directory.path().join("rules.toml");
        fs::write(&config, rules).expect("write the rules file");
        let server = postgres::server().address();
        if env::var_os(DIRECT).is_some() {
            let log = Arc::default();
            return Self { address: server, child: None, log, _directory: directory };
        }

        let mut child = Command::new(env!("CARGO_BIN_EXE_pgabsorb"))
            .args(["run", "--listen", "127.0.0.1:0", "--upstream", &server.to_string()])
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start the proxy");
        let log = Arc::new(Log::default());
        Log::collect(&log, child.stdout.take().expect("piped"));
        let ready = first_ready_line(child.stderr.take().expect("piped"));
        let mut proxy = Self { address: server, child: Some(child), log, _directory: directory };
        proxy.address = ready.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            panic!("the proxy did not say that it is ready; its log:\n{}", proxy.log.text())
        });
        proxy
    }

    /// A proxy that absorbs nothing: every byte has to pass unchanged.
    pub fn without_rules() -> Self {
        Self::start("")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until `count` lines of the log contain `needle`, and returns them.
    pub fn log_lines(&self, needle: &str, count: usize) -> Vec<String> {
        self.log.wait_for(needle, count)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What the proxy prints on its standard output, one JSON object per line, or on the other one.
#[derive(Default)]
pub struct Log {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
    /// Nothing more comes.
    ended: AtomicBool,
}

impl Log {
    /// Reads the output to its end on a thread of its own.
    pub fn collect(log: &Arc<Self>, output: impl Read + Send + 'static) {
        let log = Arc::clone(log);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                log.lines.lock().expect("unpoisoned").push(line);
                log.grown.notify_all();
            }
            log.ended.store(true, Ordering::Release);
        });
    }

    /// Waits for the end of the output.
    pub fn wait_for_end(&self) {
        wait_until("the output ends", || self.ended.load(Ordering::Acquire));
    }

    /// Waits until `count` lines contain `needle`, and returns all that do.
    pub fn wait_for(&self, needle: &str, count: usize) -> Vec<String> {
        let found = |lines: &Vec<String>| -> Vec<String> {
            lines.iter().filter(|line| line.contains(needle)).cloned().collect()
        };
        let lines = self.lines.lock().expect("unpoisoned");
        let (lines, _) = self
            .grown
            .wait_timeout_while(lines, PATIENCE, |lines| found(lines).len() < count)
            .expect("unpoisoned");
        let matching = found(&lines);
        assert!(matching.len() >= count, "{count} lines with {needle:?} in:\n{}", lines.join("\n"));
        matching
    }

    /// All lines up to now.
    pub fn text(&self) -> String {
        // A failed wait has poisoned it, and this is what its message needs.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }
}

/// Reads standard error to its end, repeats it where the test's own output is captured, and
/// hands over the address in the ready line. The receiver fails when there is none.
fn first_ready_line(output: impl Read + Send + 'static) -> Receiver<SocketAddr> {
    let (sender, receiver) = sync_channel(1);
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let address = line
                .strip_prefix("pgabsorb ready: listening on ")
                .and_then(|rest| rest.split(',').next()?.parse().ok());
            match address {
                Some(address) => drop(sender.try_send(address)),
                None => eprintln!("pgabsorb: {line}"),
            }
        }
    });
    receiver
}

/// Set, no proxy is started and the tests talk to the server itself: it shows that a test of
/// transparency that fails does so because of the proxy and not by itself.
const DIRECT: &str = "PGABSORB_TEST_DIRECT";
