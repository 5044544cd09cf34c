//! Drivers with a TLS and a SCRAM of their own, where both legs are encrypted: as the server makes
//! sure of them, and as the proxy does.

use std::fs;
use std::process::Command;

use crate::support::version::version;
use crate::support::wire::{Wire, startup};

use super::{client_tls, file, proxy, server, server_tls};

const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/drivers-venv/bin/python");
const JDBC: [&str; 5] = [
    "java",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-cp",
    "/usr/share/java/postgresql.jar",
];

#[test]
fn asyncpg() {
    logs_in(&[PYTHON], "tls_with_asyncpg.py");
}

#[test]
fn psycopg2() {
    logs_in(&[PYTHON], "tls_with_psycopg2.py");
}

#[test]
fn psycopg_3_in_protocol_3_2() {
    logs_in(&[PYTHON], "tls_with_protocol_3_2.py");
}

#[test]
fn node_postgres() {
    logs_in(&["node"], "tls_with_node.js");
}

/// It always binds where it can, and where it cannot it says so, which the server takes for an attack
/// as it did offer to: only a proxy that verifies can let it in.
#[test]
fn pg8000() {
    let (interpreter, script) = (&[PYTHON], "tls_with_pg8000.py");
    let relayed = proxy(&both());
    for user in ["md5", "password"] {
        run(interpreter, script, relayed.address().port(), user, "disable");
    }
    let (worked, printed) = said(interpreter, script, relayed.address().port(), "scram", "disable");
    // A server before 11 does not offer it, and so there is nothing to take for an attack.
    let refused = !worked && printed.contains("channel binding cannot pass");
    assert!(if version() < 11 { worked } else { refused }, "{printed}");
    logs_in_where_it_is_verified(interpreter, script);
}

#[test]
fn postgres_js() {
    logs_in(&["node"], "tls_with_postgres_js.js");
}

#[test]
fn lib_pq_and_pgx() {
    logs_in(&["bash"], "tls_with_go.sh");
}

#[test]
fn pgjdbc() {
    logs_in(&JDBC, "tls_with_pgjdbc.java");
}

fn logs_in(interpreter: &[&str], script: &str) {
    let relayed = proxy(&both());
    for user in ["scram", "md5", "password"] {
        run(interpreter, script, relayed.address().port(), user, "disable");
    }
    logs_in_where_it_is_verified(interpreter, script);
}

fn logs_in_where_it_is_verified(interpreter: &[&str], script: &str) {
    let mut wire = Wire::connect(server().address(), &startup(&[]));
    let reply = wire.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'scram'");
    let row = reply.into_iter().find(|it| it.tag == b'D').unwrap();
    let directory = tempfile::tempdir().unwrap();
    let users = directory.path().join("users");
    let secret = String::from_utf8(row.body[6..].to_vec()).unwrap();
    fs::write(&users, format!("\"scram\" \"{secret}\"\n")).unwrap();
    let scram = format!("[auth]\nmode = 'scram'\nusers = '{}'\n", users.display());
    let verified = proxy(&(both() + &scram));
    for binding in ["disable", "prefer"] {
        run(interpreter, script, verified.address().port(), "scram", binding);
    }
}

fn both() -> String {
    client_tls("require", "proxy") + &server_tls("verify-full")
}

fn run(interpreter: &[&str], script: &str, port: u16, user: &str, channel_binding: &str) {
    let (worked, printed) = said(interpreter, script, port, user, channel_binding);
    assert!(worked, "{script} {user} {channel_binding}\n{printed}");
}

/// Whether a script logged in, and what it printed.
fn said(
    interpreter: &[&str],
    script: &str,
    port: u16,
    user: &str,
    channel_binding: &str,
) -> (bool, String) {
    let output = Command::new("timeout")
        .args(["--kill-after=5", "60"])
        .args(interpreter)
        .arg(format!("{}/tests/drivers/{script}", env!("CARGO_MANIFEST_DIR")))
        .env("PGPORT", port.to_string())
        .env("PGUSER", user)
        .env("CA", file("root.crt"))
        .env("CHANNEL_BINDING", channel_binding)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.success(), printed)
}
