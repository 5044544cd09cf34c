//! The throwaway server itself.

use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;

use pgabsorb::cli::throwaway::{Options, Throwaway};

use crate::support::wire::{Wire, lines, startup};
use crate::support::{PATIENCE, wait_until};

#[test]
fn a_dropped_server_leaves_neither_process_nor_directory() {
    let options = Options::default().setting("application_name", "it's us");
    let server = Throwaway::start(&options).unwrap();
    let (address, directory) = (server.address(), server.socket_directory().to_owned());
    let mut wire = Wire::connect(address, &startup(&[]));
    let reply = lines(&wire.query("SHOW application_name"));
    assert!(reply.contains(r"it\'s us"), "{reply}");
    drop(server);
    assert!(TcpStream::connect(address).is_err());
    assert!(!directory.exists());
}

#[test]
fn a_line_of_the_host_file_asks_for_a_password() {
    let options = Options::default().hba("host all asked 127.0.0.1/32 scram-sha-256");
    let server = Throwaway::start(&options).unwrap();
    Wire::connect(server.address(), &startup(&[])).query("CREATE ROLE asked LOGIN PASSWORD 'x'");
    let mut wire = Wire::open(server.address());
    wire.send(&crate::support::wire::startup_version(0x0003_0000, &[("user", "asked")]));
    let request = wire.message().unwrap();
    assert_eq!((request.tag, &request.body[..4]), (b'R', &[0, 0, 0, 10][..]), "{request}");
}

/// The owner of the server is this very binary, run with only the test below and then killed.
#[test]
fn a_killed_owner_leaves_neither_process_nor_directory() {
    let report = tempfile::NamedTempFile::new().unwrap();
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "throwaway::an_owner_that_waits_to_be_killed"])
        .env(OWNER, report.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let read = || std::fs::read_to_string(report.path()).unwrap_or_default();
    wait_until("the server starts", || read().ends_with('\n'));
    let text = read();
    let (address, directory) = text.trim_end().split_once(' ').unwrap();
    TcpStream::connect(address).unwrap();

    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_until("the server stops", || TcpStream::connect(address).is_err());
    wait_until("the directory goes", || !std::path::Path::new(directory).exists());
}

#[test]
fn an_owner_that_waits_to_be_killed() {
    let Some(report) = std::env::var_os(OWNER) else { return };
    let server = Throwaway::start(&Options::default()).unwrap();
    let text = format!("{} {}\n", server.address(), server.socket_directory().display());
    std::fs::write(report, text).unwrap();
    thread::park_timeout(PATIENCE);
}

/// Names the file in which the owner reports its server.
const OWNER: &str = "PGABSORB_TEST_OWNER";
