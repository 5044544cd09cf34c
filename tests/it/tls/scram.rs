//! The proxy makes sure of clients by itself, with what the server stores of their passwords.

use std::fmt::Write as _;
use std::fs;

use tempfile::TempDir;

use crate::shell::fake::Upstream;
use crate::shell::process::Process;
use crate::support::wire::{Wire, lines, message, startup, startup_version};

use super::matrix::Login::{self, Insists, OnlyTls, Plain, Tls};
use super::matrix::{conninfo, holds, psql};
use super::{client_tls, proxy, server, server_tls};

/// A users file, and the section that names it.
struct Users {
    directory: TempDir,
}

impl Users {
    /// With each user's secret as the server stores it.
    fn stored(users: &[&str]) -> Self {
        let mut wire = Wire::connect(server().address(), &startup(&[]));
        let mut text = String::new();
        for user in users {
            let sql = format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{user}'");
            let row = wire.query(&sql).into_iter().find(|it| it.tag == b'D').unwrap();
            let secret = String::from_utf8(row.body[6..].to_vec()).unwrap();
            writeln!(text, "\"{user}\" \"{secret}\"").unwrap();
        }
        Self::of(&text)
    }

    fn of(text: &str) -> Self {
        let users = Self { directory: tempfile::tempdir().unwrap() };
        users.write(text);
        users
    }

    fn write(&self, text: &str) {
        fs::write(self.directory.path().join("users"), text).unwrap();
    }

    fn section(&self) -> String {
        let path = self.directory.path().join("users");
        format!("[auth]\nmode = 'scram'\nusers = '{}'\n", path.display())
    }
}

#[test]
fn everyone_gets_in_where_both_sides_are_encrypted() {
    let users = Users::stored(&["scram"]);
    let both = |mode| client_tls(mode, "proxy") + &server_tls("verify-full") + &users.section();
    holds(&both("require"), [OnlyTls, OnlyTls, OnlyTls, Tls, Tls, Tls, Tls, Tls, Tls]);
    holds(&both("allow"), [Plain, Plain, Insists, Tls, Tls, Tls, Tls, Tls, Tls]);
}

#[test]
fn it_works_on_plain_legs_too() {
    let users = Users::stored(&["scram"]);
    let plain = [Plain, Plain, Insists, Plain, Plain, Insists, Insists, Insists, Insists];
    holds(&users.section(), plain);
    holds(&(server_tls("require") + &users.section()), plain);
    let config = client_tls("allow", "proxy") + &users.section();
    holds(&config, [Plain, Plain, Insists, Tls, Tls, Tls, Tls, Tls, Tls]);
}

#[test]
fn a_password_in_the_file_serves_for_any_method() {
    let users = Users::of(
        "\"scram\" \"secret\"\n\"md5\" \"secret\"\n\"password\" \"secret\"\n\"trust\" \"secret\"\n",
    );
    let proxy = proxy(&(client_tls("allow", "proxy") + &server_tls("require") + &users.section()));
    for user in ["scram", "md5", "password", "trust"] {
        assert_eq!(psql(&conninfo(&proxy, user, "require", "prefer")), Tls, "{user}");
        let wrong = conninfo(&proxy, user, "require", "prefer").replace("=secret", "=wrong");
        assert_eq!(psql(&wrong), Login::WrongPassword, "{user}");
    }
}

/// The server would ask nothing of this one, and does of the next.
#[test]
fn a_secret_does_not_serve_where_the_password_itself_is_asked_for() {
    let stored = Users::stored(&["scram"]);
    let text = fs::read_to_string(stored.directory.path().join("users")).unwrap();
    let users = Users::of(
        &(text.replace("\"scram\"", "\"md5\"") + &text.replace("\"scram\"", "\"trust\"")),
    );
    let proxy = proxy(&users.section());
    assert_eq!(psql(&conninfo(&proxy, "trust", "disable", "disable")), Plain);
    let refused = refused(&proxy, "md5", "secret");
    assert!(refused.contains("only a SCRAM secret"), "{refused}");
}

#[test]
fn a_wrong_password_and_a_user_that_is_not_there_are_told_alike() {
    let users = Users::stored(&["scram"]);
    let proxy = proxy(&users.section());
    let wrong = refused(&proxy, "scram", "wrong");
    let missing = refused(&proxy, "password", "secret");
    assert!(wrong.contains("password authentication failed for user \"scram\""), "{wrong}");
    assert_eq!(missing, wrong.replace("\"scram\"", "\"password\""));
}

#[test]
fn what_the_server_refuses_is_told_in_its_words() {
    let stored = Users::stored(&["scram"]);
    let text = fs::read_to_string(stored.directory.path().join("users")).unwrap();
    let users = Users::of(&(text + "\"nobody\" \"secret\"\n"));
    let proxy = proxy(&users.section());
    let rejected = refused(&proxy, "nobody", "secret");
    assert!(rejected.contains("pg_hba.conf rejects connection"), "{rejected}");
    let nowhere = conninfo(&proxy, "scram", "disable", "disable").replace("=postgres", "=nowhere");
    let missing = super::matrix::printed(&nowhere);
    assert!(missing.contains("database \"nowhere\" does not exist"), "{missing}");
}

#[test]
fn a_secret_that_the_server_has_no_more_is_told_and_replaced_by_a_reload() {
    let good = Users::stored(&["scram"]);
    let text = fs::read_to_string(good.directory.path().join("users")).unwrap();
    let users = Users::of("\"scram\" \"another password\"\n");
    let proxy = proxy(&users.section());
    let refusal = refused(&proxy, "scram", "secret");
    assert!(refusal.contains("password authentication failed"), "{refusal}");
    // The client is who it should be, and the server does not know that password.
    let refusal = refused(&proxy, "scram", "another password");
    assert!(refusal.contains("password authentication failed"), "{refusal}");

    users.write("\"scram\" secret");
    proxy.signal("HUP");
    let line = &proxy.output.wait_for("rules not reloaded", 1)[0];
    assert!(line.contains("[auth] users") && line.contains("line 1: write it as"), "{line}");

    users.write(&text);
    proxy.signal("HUP");
    proxy.output.wait_for("rules reloaded", 1);
    assert_eq!(psql(&conninfo(&proxy, "scram", "disable", "disable")), Plain);
}

/// The client is who it says, and the server's secret of the same password has another salt.
#[test]
fn a_secret_of_another_salt_is_told() {
    let mut wire = Wire::connect(server().address(), &startup(&[]));
    let rename = "CREATE ROLE salted LOGIN PASSWORD 'secret'";
    assert!(!lines(&wire.query(rename)).contains("ERROR"));
    let users = Users::stored(&["salted"]);
    wire.query("ALTER ROLE salted PASSWORD 'secret'");
    let proxy = proxy(&users.section());
    let refusal = refused(&proxy, "salted", "secret");
    assert!(refusal.contains("another SCRAM secret for this user"), "{refusal}");
}

/// The server may ask nothing of this user, or not for long: whoever is not known here is not there
/// at all.
#[test]
fn the_server_hears_of_nobody_who_is_not_known() {
    let upstream = Upstream::bind();
    let users = Users::of("\"app\" \"secret\"\n");
    let proxy = Process::start(&users.section(), &upstream.address().to_string());
    let mut wire = Wire::open(proxy.address());
    wire.send(&startup_version(3 << 16, &[("user", "app")]));
    wire.until(b'R', 1);
    wire.send(&message(b'p', b"SCRAM-SHA-256\0\0\0\0\x0cn,,n=,r=abcd"));
    wire.until(b'R', 1);
    wire.send(&message(b'p', b"c=biws,r=abcd,p=AAAA"));
    assert!(lines(&wire.rest().0).contains("C08P01"));
    assert!(upstream.is_left_alone());
}

/// PostgreSQL before 14 speaks it.
#[test]
fn protocol_2_is_no_way_around() {
    let users = Users::stored(&["scram"]);
    let proxy = proxy(&users.section());
    let mut wire = Wire::open(proxy.address());
    wire.send(&startup_version(2 << 16, &[("user", "trust")]));
    let reply = lines(&wire.rest().0);
    assert!(reply.contains("C0A000") && reply.contains("protocol 2.0"), "{reply}");
}

/// What logs in is not shown to whoever asks for it.
#[test]
fn a_password_is_for_a_server_that_is_known_to_be_it() {
    let users = Users::of("\"password\" \"secret\"\n\"md5\" \"secret\"\n");
    // This machine as well, but not by an address that says so.
    let upstream = format!("0.0.0.0:{}", server().port());
    let plain = Process::start(&users.section(), &upstream);
    for user in ["password", "md5"] {
        let refusal = refused(&plain, user, "secret");
        assert!(refusal.contains("nobody has verified"), "{refusal}");
    }
    let config = server_tls("verify-ca") + &users.section();
    let verified = Process::start(&config, &upstream);
    assert_eq!(psql(&conninfo(&verified, "password", "disable", "disable")), Plain);
}

#[test]
fn what_is_no_answer_ends_the_login() {
    let users = Users::stored(&["scram"]);
    let proxy = proxy(&users.section());
    let first = [&b"SCRAM-SHA-256\0\0\0\0\x0c"[..], b"n,,n=,r=abcd"].concat();
    let cases: [(Vec<u8>, &str); 6] = [
        (message(b'Q', b"SELECT 1\0"), "C08P01"),
        (message(b'p', b"secret\0"), "C08P01"),
        (message(b'p', b"SCRAM-SHA-256\0\xff\xff\xff\xff"), "C08P01"),
        (message(b'p', b"SCRAM-SHA-256\0\0\0\0\x02n,n,"), "C08P01"),
        (message(b'p', b"SCRAM-SHA-256-PLUS\0\0\0\0\x0cn,,n=,r=abcd"), "C08P01"),
        ([message(b'p', &first), message(b'p', b"c=biws,r=abcd,p=AAAA")].concat(), "C08P01"),
    ];
    for (answer, expected) in cases {
        let mut wire = Wire::open(proxy.address());
        wire.send(&startup_version(3 << 16, &[("user", "scram"), ("database", "postgres")]));
        wire.send(&answer);
        let (reply, cut) = wire.rest();
        let reply = lines(&reply);
        assert!(reply.contains(expected) && cut.is_empty(), "{}: {reply}", answer.escape_ascii());
        assert!(!reply.contains("ReadyForQuery"), "{reply}");
    }
    // One that is longer than any answer, and one that never ends.
    for bytes in [&b"p\x00\x02\x00\x00"[..], b"p\xff\xff\xff\xff", b"p\0\0\0\x03", b"p\0\0"] {
        let mut wire = Wire::open(proxy.address());
        wire.send(&startup_version(3 << 16, &[("user", "scram"), ("database", "postgres")]));
        wire.send(bytes);
        wire.half_close();
        assert!(!lines(&wire.rest().0).contains("ReadyForQuery"));
    }
}

#[test]
fn no_log_line_shows_a_secret() {
    let users = Users::stored(&["scram"]);
    let text = fs::read_to_string(users.directory.path().join("users")).unwrap();
    let proxy = proxy(&(users.section() + "[log]\nlevel = 'trace'\n"));
    assert_eq!(psql(&conninfo(&proxy, "scram", "disable", "disable")), Plain);
    refused(&proxy, "scram", "a wrong password");
    proxy.output.wait_for("password authentication failed", 1);
    let secret = text.split('"').nth(3).unwrap();
    let parts = secret.split(['$', ':']).skip(2).chain(["secret", "a wrong password"]);
    for part in parts {
        let shown = proxy.output.text() + &proxy.errors.text();
        let shown = shown.replace(users.directory.path().to_str().unwrap(), "");
        assert!(!shown.contains(part), "{part} in\n{shown}");
    }
}

/// What psql is told, the address aside.
fn refused(proxy: &Process, user: &str, password: &str) -> String {
    let conninfo = conninfo(proxy, user, "disable", "disable")
        .replace("password=secret", &format!("password='{password}'"));
    let printed = super::matrix::printed(&conninfo);
    let (_, text) = printed.split_once("FATAL: ").unwrap_or_else(|| panic!("{printed}"));
    text.trim().to_owned()
}
