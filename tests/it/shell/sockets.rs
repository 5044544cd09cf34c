//! Addresses of every kind, on both sides.

use std::fs;
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};

use super::one_query;
use super::process::{Process, client};
use crate::support::PATIENCE;
use crate::support::postgres::server;

/// The shared server's own Unix socket.
fn unix_upstream() -> String {
    format!("unix:{}:{}", server().socket_directory().display(), server().port())
}

#[test]
fn unix_sockets_serve_on_both_sides_and_go_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let (plain, found) = (directory.path().join("s"), directory.path().join(".s.PGSQL.7777"));
    let listen = format!("unix:{},unix:{}:7777", plain.display(), directory.path().display());
    let mut proxy = Process::run("", |command| {
        command.args(["--listen", &listen, "--upstream", &unix_upstream()]);
    });
    assert!(proxy.addresses()[1].ends_with("/.s.PGSQL.7777"), "{:?}", proxy.addresses());
    let reply = one_query(unix_client(&plain), "SELECT 'through'");
    assert!(reply.contains("through"), "{reply}");
    let host = directory.path().to_str().unwrap();
    let (status, printed) = client("psql", &["-XAtc", "SELECT 6 * 7", "-h", host, "-p", "7777"]);
    assert_eq!((status, printed.trim()), (Some(0), "42"));

    proxy.signal("TERM");
    assert!(proxy.exit().success());
    assert!(!plain.exists() && !found.exists());
}

#[test]
fn a_socket_that_a_dead_process_left_is_replaced_and_no_other_file_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    drop(UnixListener::bind(&path).unwrap());
    let start = || {
        Process::spawn("", |command| {
            let listen = format!("unix:{}", path.display());
            command.args(["--listen", &listen, "--upstream", &unix_upstream()]);
        })
    };
    let mut killed = start();
    killed.errors.wait_for("pgabsorb ready", 1);
    let refused = start().failure();
    assert!(refused.contains("another process is listening there"), "{refused}");
    assert!(refused.contains(path.to_str().unwrap()), "{refused}");
    let reply = one_query(unix_client(&path), "SELECT 'still there'");
    assert!(reply.contains("still there"), "{reply}");

    killed.signal("KILL");
    killed.exit();
    assert!(path.exists());
    let replacing = start();
    replacing.errors.wait_for("pgabsorb ready", 1);
    drop(replacing);

    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    let refused = start().failure();
    assert!(refused.contains("not a socket"), "{refused}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn several_addresses_serve_side_by_side() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let rules = format!(
        "proxy = {{ listen = ['127.0.0.1:0', 'unix:{}', '127.0.0.2:0'], upstream = '{}' }}",
        path.display(),
        server().address()
    );
    let proxy = Process::run(&rules, |_| {});
    let reply = one_query(unix_client(&path), "SELECT 'by file'");
    assert!(reply.contains("by file"), "{reply}");
    for address in [&proxy.addresses()[0], &proxy.addresses()[2]] {
        let reply = one_query(TcpStream::connect(address).unwrap(), "SELECT 'by port'");
        assert!(reply.contains("by port"), "{reply}");
    }
}

fn unix_client(path: &std::path::Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}
