//! The proxy's process, started with any arguments, watched, signalled and waited for.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::{fs, thread};

use tempfile::TempDir;

use crate::support::proxy::Log;
use crate::support::{PATIENCE, wait_until};

/// A proxy that runs, or has run; killed when dropped.
pub struct Process {
    child: Child,
    addresses: Vec<String>,
    /// What it prints on standard output: the log.
    pub output: Arc<Log>,
    /// What it prints on standard error.
    pub errors: Arc<Log>,
    directory: TempDir,
}

impl Process {
    /// On a port of 127.0.0.1, with these rules, in front of this server.
    pub fn start(rules: &str, upstream: &str) -> Self {
        Self::run(rules, |command| {
            command.args(["--listen", "127.0.0.1:0", "--upstream", upstream]);
        })
    }

    /// With these rules and whatever arguments and variables are added; waits until it is ready.
    pub fn run(rules: &str, configure: impl FnOnce(&mut Command)) -> Self {
        let mut process = Self::spawn(rules, configure);
        let ready = process.errors.wait_for("pgabsorb ready: ", 1);
        let list = ready[0].strip_prefix("pgabsorb ready: listening on ").unwrap();
        let (list, _) = list.split_once(", forwarding to ").unwrap();
        process.addresses = list.split(", ").map(str::to_owned).collect();
        process
    }

    /// One that may well fail to start.
    pub fn spawn(rules: &str, configure: impl FnOnce(&mut Command)) -> Self {
        let start = |config: &Path| {
            let mut command = command();
            command.arg("run").env("PGABSORB_CONFIG", config);
            configure(&mut command);
            command
        };
        Self::spawn_by(start, rules)
    }

    /// One that a command starts which is given the rules file.
    pub fn spawn_by(command: impl FnOnce(&Path) -> Command, rules: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("rules.toml");
        fs::write(&config, rules).unwrap();
        let mut child = command(&config).spawn().unwrap();
        let (output, errors) = (Arc::default(), Arc::default());
        if let Some(stdout) = child.stdout.take() {
            Log::collect(&output, stdout);
        }
        Log::collect(&errors, child.stderr.take().unwrap());
        Self { child, addresses: Vec::new(), output, errors, directory }
    }

    /// The first address, which is one of TCP.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0].parse().unwrap()
    }

    /// All addresses, as the ready line names them.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Writes the rules file anew.
    pub fn write_rules(&self, rules: &str) {
        fs::write(self.directory.path().join("rules.toml"), rules).unwrap();
    }

    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Takes away the right to open more files and sockets than these.
    pub fn limit_descriptors(&self, count: u32) {
        let limit = format!("prlimit --nofile={count}:{count} --pid {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &limit]).status().unwrap().success());
    }

    /// Waits for its end.
    pub fn exit(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the proxy ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Waits for it to fail to start, and returns what it says about that.
    pub fn failure(mut self) -> String {
        let status = self.exit();
        assert_eq!(status.code(), Some(1), "{}", self.errors.text());
        self.errors.wait_for_end();
        self.errors.text()
    }

    /// The most memory that it has had at any time, in MiB.
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:") / 1024
    }

    /// The memory that it has, in KiB.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// Files and sockets that it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// A number of KiB that the system tells of it.
    fn status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().strip_suffix(" kB").unwrap().trim().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("standard error of the proxy:\n{}", self.errors.text());
            eprintln!("its log:\n{}", self.output.text());
        }
    }
}

/// The program, in an environment that names no proxy.
pub fn command() -> Command {
    plain(env!("CARGO_BIN_EXE_pgabsorb"))
}

/// Any program, in such an environment, with its output at hand.
pub fn plain(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in [
        "PGABSORB_CONFIG",
        "PGABSORB_DATABASE",
        "PGABSORB_LISTEN",
        "PGABSORB_UPSTREAM",
        "NOTIFY_SOCKET",
    ] {
        command.env_remove(name);
    }
    command
}

/// A client program of PostgreSQL's: its exit status, and all that it printed.
pub fn client(program: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(program)
        .args(arguments)
        .env("PGUSER", "postgres")
        .env("PGDATABASE", "postgres")
        .env("PGCONNECT_TIMEOUT", PATIENCE.as_secs().to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(printed).unwrap())
}
