//! The commands that read a catalog, where the server wants encryption.

use crate::check::{Said, said};
use crate::shell::process::command;
use crate::support::postgres;
use crate::support::version::server_has;

use super::{file, server, server_tls};

/// Where the commands find the server by themselves.
fn at_server() -> String {
    format!("host=localhost port={} dbname=postgres", server().port())
}

/// A `sslrootcert` of libpq's.
fn root(name: &str) -> String {
    format!("sslrootcert='{}'", file(name).display())
}

/// Runs a command with a rules file that has these lines, for a server at the right address.
fn run(arguments: &[&str], lines: &str) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("rules.toml");
    let upstream = format!("localhost:{}", server().port());
    std::fs::write(&config, format!("[proxy]\nupstream = '{upstream}'\n{lines}")).unwrap();
    let mut command = command();
    command.args(arguments).env("PGPASSWORD", "secret");
    if arguments.first() != Some(&"suggest") {
        command.arg("--config").arg(&config);
    }
    said(&mut command)
}

fn check(database: &str, lines: &str) -> Said {
    run(&["check", "--database", database], lines)
}

/// That the database was reached, by this user.
fn reaches(said: &Said, user: &str) {
    assert_eq!((said.code, &*said.err), (Some(0), ""), "{}", said.out);
    assert!(
        said.out.contains(&format!("database postgres as {user}, PostgreSQL ")),
        "{}",
        said.out
    );
}

/// That it was not, and why.
fn fails(said: &Said, told: &str) {
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(said.err.contains(told), "{}", said.err);
}

#[test]
fn a_server_that_lets_a_user_in_with_tls_alone_is_checked_in_every_mode_that_has_it() {
    let (at, root) = (at_server(), root("root.crt"));
    for words in [
        String::new(),
        "sslmode=prefer".to_owned(),
        "sslmode=require".to_owned(),
        format!("sslmode=verify-ca {root}"),
        format!("sslmode=verify-full {root}"),
    ] {
        reaches(&check(&format!("{at} user=sealed {words}"), ""), "sealed");
    }
    if server_has(11, "channel binding") {
        let words = format!("sslmode=verify-full channel_binding=require {root}");
        reaches(&check(&format!("{at} user=sealed {words}"), ""), "sealed");
    }
    let url = format!(
        "postgresql://sealed@localhost:{}/postgres?sslmode=verify-full&sslrootcert={}",
        server().port(),
        file("root.crt").display()
    );
    reaches(&check(&url, ""), "sealed");
    for arguments in [
        &["suggest", "--database", &url][..],
        &["explain", "INSERT INTO pg_description VALUES (1)", "--database", &url],
    ] {
        let said = run(arguments, "");
        assert_eq!((said.code, &*said.err), (Some(0), ""), "{}", said.out);
    }
}

#[test]
fn a_root_that_has_not_signed_is_named() {
    let other = file("other.crt");
    let told = format!("UnknownIssuer: no root in {} has signed it", other.display());
    let at = at_server();
    for mode in ["verify-ca", "verify-full", "require"] {
        let said = check(&format!("{at} user=sealed sslmode={mode} {}", root("other.crt")), "");
        fails(&said, "cannot connect to database postgres on localhost:");
        fails(&said, &told);
    }
    let config = server_tls("verify-full").replace("root.crt", "other.crt");
    fails(&check("user=sealed dbname=postgres", &config), &told);
    let said = check(&format!("{at} user=sealed sslmode=verify-full sslrootcert=/no/root.crt"), "");
    fails(&said, "sslrootcert /no/root.crt: No such file or directory");
    let said = check(&format!("{at} user=sealed sslmode=verify-full {}", root("server.key")), "");
    fails(&said, &format!("sslrootcert {}: there is no certificate", file("server.key").display()));
}

#[test]
fn a_server_of_another_name_is_not_believed_in_verify_full_alone() {
    let at = at_server().replace("localhost", "db.example hostaddr=127.0.0.1");
    let root = root("root.crt");
    let said = check(&format!("{at} user=sealed sslmode=verify-full {root}"), "");
    fails(&said, "certificate not valid for name \"db.example\"");
    reaches(&check(&format!("{at} user=sealed sslmode=verify-ca {root}"), ""), "sealed");
}

#[test]
fn who_is_kept_out_without_encryption_is_told_what_to_do() {
    let at = at_server();
    let said = check(&format!("{at} user=sealed sslmode=disable"), "");
    fails(&said, "FATAL: pg_hba.conf rejects connection for host \"127.0.0.1\", user \"sealed\"");
    fails(&said, "if it lets this user in with TLS alone, say sslmode=verify-full");
    let said = check("user=sealed dbname=postgres", "");
    fails(&said, "if it lets this user in with TLS alone, the proxy gets in no more than this");
    // What is wrong here is something else.
    let said = check(&format!("{at} user=md5 password=wrong sslmode=disable"), "");
    fails(&said, "password authentication failed");
    assert!(!said.err.contains("TLS"), "{}", said.err);
}

#[test]
fn who_is_let_in_without_encryption_alone_gets_in_as_with_libpq() {
    let at = at_server();
    for mode in ["", "sslmode=prefer", "sslmode=disable"] {
        reaches(&check(&format!("{at} user=plain {mode}"), ""), "plain");
    }
    let said = check(&format!("{at} user=plain sslmode=require"), "");
    fails(&said, "pg_hba.conf rejects connection for host \"127.0.0.1\", user \"plain\"");
    // The proxy does not try twice, so what is said of it does not either.
    let said = check("user=plain dbname=postgres", &server_tls("prefer"));
    fails(&said, "pg_hba.conf rejects connection for host \"127.0.0.1\", user \"plain\"");
    reaches(&check("user=plain dbname=postgres", ""), "plain");
}

#[test]
fn the_commands_show_a_certificate() {
    let at = at_server();
    let path = |name| file(name).display().to_string();
    let (certificate, key) = (path("cert.crt"), path("cert.key"));
    let shown = format!("sslcert='{certificate}' sslkey='{key}'");
    reaches(&check(&format!("{at} user=cert sslmode=require {shown}"), ""), "cert");
    let lines = format!("certificate = '{certificate}'\nkey = '{key}'\n");
    let said = check("user=cert dbname=postgres", &(server_tls("verify-full") + &lines));
    reaches(&said, "cert");
    let said = check(&format!("{at} user=cert sslmode=require"), "");
    fails(&said, "connection requires a valid client certificate");
    let said = check(&format!("{at} user=cert sslcert='{certificate}' sslkey=/no.key"), "");
    fails(&said, "sslkey /no.key: No such file or directory");
    let mixed = format!("sslcert='{certificate}' sslkey='{}'", path("server.key"));
    fails(&check(&format!("{at} user=cert {mixed}"), ""), "sslcert and sslkey: ");
}

#[test]
fn a_server_that_nobody_names_is_the_one_of_the_rules_file_and_encrypted_as_it_says() {
    let told = "user=sealed dbname=postgres";
    for mode in ["prefer", "require", "verify-ca", "verify-full"] {
        reaches(&check(told, &server_tls(mode)), "sealed");
    }
    reaches(&check("postgresql://sealed@/postgres", &server_tls("verify-full")), "sealed");
    let elsewhere = server_tls("verify-full") + "name = 'db.example'\n";
    fails(&check(told, &elsewhere), "certificate not valid for name \"db.example\"");
    let said = check(&format!("{told} sslmode=require"), &server_tls("verify-full"));
    fails(&said, "[server_tls] says how it is encrypted: name the host, or leave out what begins");
    let said = run(&["suggest", "--database", told], "");
    fails(&said, "cannot connect to database postgres on no host as sealed: ");
    let statement = "INSERT INTO pg_description VALUES (1)";
    let said = run(&["explain", statement, "--database", told], &server_tls("verify-full"));
    assert_eq!((said.code, &*said.err), (Some(0), ""), "{}", said.out);
}

#[test]
fn a_socket_is_not_encrypted_whatever_is_said() {
    let (port, folder) = (server().port(), server().socket_directory());
    let at = format!("host='{}' port={port} dbname=postgres user=sealed", folder.display());
    for words in [String::new(), "sslmode=require".to_owned(), root("root.crt")] {
        let words =
            if words.starts_with("sslroot") { words + " sslmode=verify-full" } else { words };
        reaches(&check(&format!("{at} {words}"), ""), "sealed");
    }
    let socket = format!("unix:{}/.s.PGSQL.{port}", folder.display());
    let said = run(
        &["check", "--upstream", &socket, "--database", "user=sealed dbname=postgres"],
        &server_tls("prefer"),
    );
    reaches(&said, "sealed");
}

#[test]
fn a_server_without_tls_is_not_taken_for_one_that_has_it() {
    let server = postgres::server();
    let at = format!("host=127.0.0.1 port={} dbname=postgres user=postgres", server.port());
    reaches(&check(&at, ""), "postgres");
    let said = check(&format!("{at} sslmode=require"), "");
    fails(&said, "error performing TLS handshake: server does not support TLS");
}
