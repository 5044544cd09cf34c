//! Who can log in how, over plain and encrypted legs: with the libpq that is installed, and with the
//! newer one that psycopg brings along.

use std::process::{Command, Stdio};

use crate::shell::process::Process;
use crate::support::version::server_has;

use super::{client_tls, proxy, server_tls};

/// What became of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// It worked; the client's leg was plain.
    Plain,
    /// It worked; the client's leg was encrypted.
    Tls,
    /// The client itself saw that what it insists on cannot be had.
    Insists,
    /// The proxy refused a client without encryption.
    OnlyTls,
    /// The proxy refused a client that bound its login to the wrong channel.
    Unbound,
    /// The server refused it.
    Rejected,
    /// The password was wrong.
    WrongPassword,
}

use Login::{Insists, OnlyTls, Plain, Rejected, Tls, Unbound};

/// `sslmode` and `channel_binding` of the nine clients.
const CLIENTS: [(&str, &str); 9] = [
    ("disable", "disable"),
    ("disable", "prefer"),
    ("disable", "require"),
    ("prefer", "disable"),
    ("prefer", "prefer"),
    ("prefer", "require"),
    ("require", "disable"),
    ("require", "prefer"),
    ("require", "require"),
];

/// Where there is nothing to bind to, and plain text is refused.
const ALWAYS_ENCRYPTED: [Login; 9] =
    [OnlyTls, OnlyTls, OnlyTls, Tls, Tls, Insists, Tls, Tls, Insists];

#[test]
fn plain_on_both_sides() {
    let expected = [Plain, Plain, Insists, Plain, Plain, Insists, Insists, Insists, Insists];
    holds("", expected);
}

#[test]
fn encrypted_to_the_client_if_it_likes() {
    let expected = [Plain, Plain, Insists, Tls, Tls, Insists, Tls, Tls, Insists];
    holds(&client_tls("allow", "proxy"), expected);
}

#[test]
fn encrypted_to_the_client_always() {
    holds(&client_tls("require", "proxy"), ALWAYS_ENCRYPTED);
}

#[test]
fn encrypted_to_the_server() {
    for mode in ["prefer", "require", "verify-ca", "verify-full"] {
        let expected = [Plain, Plain, Insists, Plain, Plain, Insists, Insists, Insists, Insists];
        holds(&server_tls(mode), expected);
    }
}

/// The client that would fall back to plain text by itself must not get in: it would never know.
#[test]
fn encrypted_on_both_sides_with_a_certificate_of_the_proxys_own() {
    let config = client_tls("require", "proxy") + &server_tls("verify-full");
    let expected = [OnlyTls, OnlyTls, OnlyTls, Tls, OnlyTls, OnlyTls, Tls, Unbound, Unbound];
    let binds = server_has(11, "channel binding");
    holds(&config, if binds { expected } else { ALWAYS_ENCRYPTED });
}

#[test]
fn encrypted_on_both_sides_with_the_servers_certificate() {
    let config = client_tls("require", "server") + &server_tls("verify-full");
    let expected = [OnlyTls, OnlyTls, OnlyTls, Tls, Tls, Tls, Tls, Tls, Tls];
    let binds = server_has(11, "channel binding");
    holds(&config, if binds { expected } else { ALWAYS_ENCRYPTED });
}

#[test]
fn other_methods_do_not_care() {
    let both = client_tls("require", "proxy") + &server_tls("require");
    let legs = [
        (String::new(), "disable", Plain),
        (client_tls("allow", "proxy"), "require", Tls),
        (server_tls("require"), "disable", Plain),
        (both, "require", Tls),
    ];
    for (config, sslmode, expected) in legs {
        let proxy = proxy(&config);
        for user in ["md5", "password", "trust"] {
            let conninfo = conninfo(&proxy, user, sslmode, "prefer");
            assert_eq!(psql(&conninfo), expected, "{user} {config}");
        }
    }
}

/// The server sees the proxy's certificate, or none: a client's own cannot pass.
#[test]
fn a_client_certificate_is_the_proxys() {
    let own = super::file("cert");
    let identity = format!("certificate = '{0}.crt'\nkey = '{0}.key'\n", own.display());
    let with = proxy(&(server_tls("verify-full") + &identity));
    assert_eq!(psql(&conninfo(&with, "cert", "disable", "prefer")), Plain);
    let without = proxy(&server_tls("verify-full"));
    assert_eq!(psql(&conninfo(&without, "cert", "disable", "prefer")), Rejected);
}

pub fn holds(config: &str, expected: [Login; 9]) {
    let proxy = proxy(config);
    let clients = CLIENTS.map(|(ssl, binding)| conninfo(&proxy, "scram", ssl, binding));
    let seen = [
        ("psql", clients.iter().map(|it| psql(it)).collect::<Vec<_>>()),
        ("psycopg", psycopg(&clients)),
    ];
    for (program, logins) in seen {
        for ((client, expected), login) in CLIENTS.iter().zip(expected).zip(logins) {
            assert_eq!(login, expected, "{program} {client:?} with\n{config}");
        }
    }
}

pub fn conninfo(proxy: &Process, user: &str, sslmode: &str, channel_binding: &str) -> String {
    let port = proxy.address().port();
    format!(
        "host=localhost hostaddr=127.0.0.1 port={port} user={user} password=secret dbname=postgres \
         sslmode={sslmode} channel_binding={channel_binding} gssencmode=disable"
    )
}

pub fn psql(conninfo: &str) -> Login {
    let (worked, printed) = run(conninfo);
    login(worked, printed.contains("SSL connection"), &printed)
}

/// All that psql has to say.
pub fn printed(conninfo: &str) -> String {
    run(conninfo).1
}

fn run(conninfo: &str) -> (bool, String) {
    let output = Command::new("psql")
        .args(["-X", "-d", conninfo, "-c", "\\conninfo"])
        .env_remove("PGSSLMODE")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.success(), printed)
}

/// The newer libpq, for all clients in one process.
fn psycopg(clients: &[String]) -> Vec<Login> {
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/target/drivers-venv/bin/python");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/drivers/tls_with_psycopg3.py");
    let output = Command::new(python).arg(script).args(clients).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}{errors}");
    let logins = printed.lines().map(|line| {
        let (word, text) = line.split_once(' ').unwrap();
        login(word != "failed", word == "tls", text)
    });
    let logins: Vec<_> = logins.collect();
    assert_eq!(logins.len(), clients.len(), "{printed}");
    logins
}

/// The last word of a client that tried more than once is what counts.
fn login(worked: bool, encrypted: bool, printed: &str) -> Login {
    let ends = [
        ("pgabsorb accepts encrypted connections only", OnlyTls),
        ("channel binding cannot pass", Unbound),
        ("server does not support SSL", Insists),
        ("hannel binding required", Insists),
        ("hannel binding is required", Insists),
        ("password authentication failed", Login::WrongPassword),
        ("certificate authentication failed", Rejected),
        ("requires a valid client certificate", Rejected),
    ];
    match (worked, encrypted) {
        (true, false) => Plain,
        (true, true) => Tls,
        (false, _) => {
            let found = ends.iter().filter_map(|(text, end)| Some((printed.rfind(text)?, *end)));
            let last = found.max_by_key(|(at, _)| *at);
            last.unwrap_or_else(|| panic!("{printed}")).1
        }
    }
}
