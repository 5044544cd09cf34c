//! The service manager's protocol: what it is told, when, and the sockets that it passes. The test
//! is the service manager.

use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::Command;

use tempfile::TempDir;

use super::process::{Process, plain};
use super::{fatal, one_query, session};
use crate::support::postgres::{Database, server};
use crate::support::wire::{query, startup};
use crate::support::{PATIENCE, wire::Wire};

/// Where a process tells how it is.
struct Manager {
    socket: UnixDatagram,
    directory: TempDir,
}

impl Manager {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, directory }
    }

    fn proxy(&self, configure: impl FnOnce(&mut Command)) -> Process {
        let upstream = server().address().to_string();
        Process::run("", |command| {
            command.args(["--listen", "127.0.0.1:0", "--upstream", &upstream]);
            command.env("NOTIFY_SOCKET", self.directory.path().join("notify"));
            configure(command);
        })
    }

    /// The next thing that it is told.
    fn told(&self) -> String {
        let mut datagram = [0; 4096];
        let length = self.socket.recv(&mut datagram).unwrap();
        String::from_utf8(datagram[..length].to_vec()).unwrap()
    }

    /// The next thing but for the watchdog's.
    fn told_beside_watchdog(&self) -> String {
        let mut all = std::iter::repeat_with(|| self.told());
        all.find(|told| told != "WATCHDOG=1\n").unwrap()
    }
}

#[test]
fn the_manager_is_told_of_the_start_of_reloads_and_of_the_end() {
    let manager = Manager::new();
    let mut proxy = manager.proxy(|_| {});
    let address = proxy.address();
    let ready = format!("READY=1\nSTATUS=listening on {address}, forwarding to ");
    let told = manager.told();
    assert!(told.starts_with(&ready), "{told}");

    proxy.signal("HUP");
    let told = manager.told();
    let time = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    let time: u64 = time.split_once('\n').unwrap().0.parse().unwrap();
    let now = std::fs::read_to_string("/proc/uptime").unwrap();
    let now: u64 = now.split('.').next().unwrap().parse().unwrap();
    assert!((time / 1_000_000).abs_diff(now) < PATIENCE.as_secs(), "{time} and {now}");
    assert_eq!(manager.told(), "READY=1\nSTATUS=rules reloaded: generation 2, rules 0\n");

    proxy.write_rules("[[rule]]\nid = 'unfinished'\n");
    proxy.signal("HUP");
    assert!(manager.told().starts_with("RELOADING=1\n"));
    let told = manager.told();
    assert!(told.starts_with("READY=1\nSTATUS=rules not reloaded"), "{told}");

    let mut open = Wire::connect(address, &startup(&[]));
    open.query("BEGIN");
    proxy.signal("TERM");
    let told = manager.told();
    assert!(told.starts_with("STOPPING=1\nSTATUS=draining: "), "{told}");
    proxy.signal("TERM");
    let told = manager.told();
    assert!(told.starts_with("STOPPING=1\nSTATUS="), "{told}");
    fatal(&mut open);
    assert!(proxy.exit().success());
    manager.socket.set_nonblocking(true).unwrap();
    manager.socket.recv(&mut [0; 100]).unwrap_err();
}

#[test]
fn a_watchdog_is_told_that_all_is_well_until_the_last_session_has_ended() {
    let (database, manager) = (Database::new(), Manager::new());
    let mut proxy = manager.proxy(|command| {
        command.env("WATCHDOG_USEC", "20000");
    });
    assert!(manager.told_beside_watchdog().starts_with("READY=1\n"));
    assert_eq!(manager.told(), "WATCHDOG=1\n");
    // A client that reads nothing holds up the end for a while.
    let mut stuck = session(&proxy, &database);
    stuck.send(&query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"));
    proxy.signal("TERM");
    assert!(manager.told_beside_watchdog().starts_with("STOPPING=1\n"));
    for _ in 0..5 {
        assert_eq!(manager.told(), "WATCHDOG=1\n");
    }
    drop(stuck);
    assert!(proxy.exit().success());
}

#[test]
fn a_watchdog_of_another_process_is_left_alone() {
    let manager = Manager::new();
    let mut proxy = manager.proxy(|command| {
        command.env("WATCHDOG_USEC", "1000").env("WATCHDOG_PID", "1");
    });
    assert!(manager.told().starts_with("READY=1\n"));
    Wire::connect(proxy.address(), &startup(&[])).query("SELECT 1");
    proxy.signal("TERM");
    assert!(manager.told().starts_with("STOPPING=1\n"));
    assert!(proxy.exit().success());
}

#[test]
fn a_manager_that_cannot_be_reached_is_logged_and_no_reason_to_end() {
    let manager = Manager::new();
    let proxy = manager.proxy(|command| {
        command.env("NOTIFY_SOCKET", manager.directory.path().join("nobody"));
    });
    proxy.output.wait_for("the service manager cannot be told", 1);
    Wire::connect(proxy.address(), &startup(&[])).query("SELECT 1");
}

/// A proxy that is given an open descriptor as its third, the way a service manager does it.
fn activated(socket: impl AsFd, count: u32, configure: impl FnOnce(&mut Command)) -> Process {
    let upstream = server().address().to_string();
    Process::spawn_by(
        |rules| {
            let program = env!("CARGO_BIN_EXE_pgabsorb");
            let fds = format!("LISTEN_FDS={count} LISTEN_PID=$$");
            // Standard input is the only descriptor that a command hands on.
            let script = format!("exec 3<&0 </dev/null; {fds} exec {program} run");
            let mut command = plain("sh");
            command.args(["-c", &script]).stdin(socket.as_fd().try_clone_to_owned().unwrap());
            command.env("PGABSORB_CONFIG", rules).env("PGABSORB_UPSTREAM", upstream);
            configure(&mut command);
            command
        },
        "",
    )
}

#[test]
fn a_socket_that_is_passed_is_listened_on_in_place_of_those_that_are_written() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Whoever comes before the proxy waits in the socket's queue.
    let early = TcpStream::connect(address).unwrap();
    let mut proxy = activated(&listener, 1, |command| {
        command.env("PGABSORB_LISTEN", "127.0.0.1:1");
    });
    let ready = &proxy.errors.wait_for("pgabsorb ready: ", 1)[0];
    assert!(ready.contains(&format!("listening on {address}, forwarding")), "{ready}");
    assert!(one_query(early, "SELECT 'early'").contains("early"));
    let mut late = Wire::connect(address, &startup(&[]));
    proxy.signal("TERM");
    fatal(&mut late);
    drop(late);
    assert!(proxy.exit().success());
    // The next one goes on with the same socket; nobody is refused in between.
    let between = TcpStream::connect(address).unwrap();
    let next = activated(&listener, 1, |_| {});
    next.errors.wait_for("pgabsorb ready: ", 1);
    assert!(one_query(between, "SELECT 'between'").contains("between"));
}

#[test]
fn the_path_of_a_socket_that_is_passed_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(".s.PGSQL.7432");
    let listener = UnixListener::bind(&path).unwrap();
    let mut proxy = activated(&listener, 1, |_| {});
    let ready = &proxy.errors.wait_for("pgabsorb ready: ", 1)[0];
    assert!(ready.contains(&format!("listening on unix:{}", path.display())), "{ready}");
    let client = UnixStream::connect(&path).unwrap();
    assert!(one_query(client, "SELECT 'through'").contains("through"));
    proxy.signal("TERM");
    assert!(proxy.exit().success());
    assert!(path.exists());
}

#[test]
fn what_is_passed_and_cannot_be_listened_on_is_why_the_program_does_not_start() {
    let (one, _other) = UnixStream::pair().unwrap();
    let said = activated(&one, 1, |_| {}).failure();
    let expected = "cannot listen on socket 1 of 1 that LISTEN_FDS passes: nobody listens on it";
    assert!(said.contains(expected), "{said}");
    let said = activated(UnixDatagram::unbound().unwrap(), 1, |_| {}).failure();
    assert!(said.contains("neither a TCP socket nor a Unix-domain stream socket"), "{said}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let said = activated(&listener, 2, |_| {}).failure();
    assert!(said.contains("socket 2 of 2"), "{said}");
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let passed = listener.local_addr().unwrap();
    let proxy = Process::run("", |command| {
        let upstream = server().address().to_string();
        command.args(["--listen", "127.0.0.1:0", "--upstream", &upstream]);
        command.env("LISTEN_FDS", "1").env("LISTEN_PID", "1");
        command.stdin(listener.as_fd().try_clone_to_owned().unwrap());
    });
    assert_ne!(proxy.address(), passed);
}
