//! Several servers: they are tried in order, and clients are to have one of a kind.

use std::sync::OnceLock;

use pgabsorb::cli::throwaway::{Options, Throwaway};

use super::admin::ADMIN;
use super::fake::{self, Backend, Upstream};
use super::metrics::Numbers;
use super::process::Process;
use super::{fatal, has, is_fatal};
use crate::support::postgres::server;
use crate::support::wait_until;
use crate::support::wire::{
    Message, Wire, cancel_request, lines, message, query, startup, terminate,
};

/// A hot standby, of nobody.
fn standby() -> &'static Throwaway {
    static STANDBY: OnceLock<Throwaway> = OnceLock::new();
    STANDBY.get_or_init(|| Throwaway::start(&Options::default().standby()).unwrap())
}

fn address(server: &Throwaway) -> String {
    server.address().to_string()
}

/// A proxy in front of these servers.
fn proxy(servers: &[String], rest: &str) -> Process {
    Process::run(rest, |command| {
        command.args(["--listen", "127.0.0.1:0", "--upstream", &servers.join(",")]);
    })
}

/// As the server has it: whether it is a standby.
const IS_STANDBY: &str = "SELECT pg_is_in_recovery()";

/// What a whole session is told, whatever becomes of it.
fn told(proxy: &Process, sql: &str) -> Vec<Message> {
    let mut wire = Wire::open(proxy.address());
    wire.send(&[startup(&[]), query(sql), terminate()].concat());
    wire.rest().0
}

/// Whether a session is with a standby; none if it was refused with 57P03.
fn is_with_standby(proxy: &Process) -> Option<bool> {
    let told = told(proxy, IS_STANDBY);
    if let Some(refused) = told.iter().find(|it| is_fatal(it)) {
        let text = lines(std::slice::from_ref(refused));
        assert!(text.contains("C57P03"), "{text}");
        return None;
    }
    let row = told.iter().find(|it| it.tag == b'D').unwrap_or_else(|| panic!("{}", lines(&told)));
    Some(row.body.ends_with(b"t"))
}

#[test]
fn the_next_server_is_tried_where_one_is_away_or_takes_nobody_for_now() {
    let (_held, nowhere) = super::refusals::dead_port();
    let (starting, silent) = (Upstream::bind(), Upstream::bind());
    let [starts, hangs] = [&starting, &silent].map(|it| it.address().to_string());
    let servers = [nowhere.to_string(), starts.clone(), hangs.clone(), address(server())];
    let proxy = proxy(&servers, &format!("{ADMIN}\n[limits]\nconnect_timeout = '300ms'\n"));

    let mut client = Wire::open(proxy.address());
    client.send(&[startup(&[]), query(IS_STANDBY), terminate()].concat());
    let mut backend = starting.accept();
    backend.packet();
    backend.send(&fake::fatal("57P03", "the database system is starting up"));
    // One that takes connections, and says nothing.
    let _silent = silent.accept();
    assert!(has(&client.rest().0, "SELECT 1"));

    // Who was away a moment ago is not asked again as long as there is another one.
    assert_eq!(is_with_standby(&proxy), Some(false));
    assert!(starting.is_left_alone() && silent.is_left_alone());
    let numbers = Numbers::read(&proxy);
    for (server, result, count) in [
        (&*nowhere.to_string(), "failed", 1),
        (&*starts, "reached", 1),
        (&*starts, "failed", 1),
        (&*hangs, "failed", 1),
        (&*servers[3], "reached", 2),
    ] {
        let labels = format!("result=\"{result}\",server=\"{server}\"");
        let name = format!("pgabsorb_server_connections_total{{{labels}}}");
        assert_eq!(numbers.of(&name), count, "{name}");
    }
}

#[test]
fn a_client_is_told_of_every_server_where_none_would_do() {
    let (_one, first) = super::refusals::dead_port();
    let (_other, second) = super::refusals::dead_port();
    let proxy = proxy(&[first.to_string(), second.to_string()], "");
    let mut wire = Wire::open(proxy.address());
    wire.send(&startup(&[]));
    let text = fatal(&mut wire);
    assert!(text.contains("C57P03"), "{text}");
    for server in [first, second] {
        assert!(text.contains(&format!("could not connect to the server at {server}")), "{text}");
    }
}

/// The login is the server's own, and what it is it says behind that: the first client finds out.
#[test]
fn the_server_that_fits_is_found_and_remembered() {
    let servers = [address(standby()), address(server())];
    for (target, first, then) in [
        ("any", Some(true), Some(true)),
        ("read-write", None, Some(false)),
        ("primary", None, Some(false)),
        ("standby", Some(true), Some(true)),
        ("read-only", Some(true), Some(true)),
        ("prefer-standby", Some(true), Some(true)),
    ] {
        let proxy = proxy(&servers, &format!("[proxy]\ntarget_session_attrs = '{target}'\n"));
        assert_eq!(is_with_standby(&proxy), first, "{target}");
        for _ in 0..3 {
            assert_eq!(is_with_standby(&proxy), then, "{target}");
        }
    }
}

#[test]
fn a_client_is_told_why_a_server_does_not_fit() {
    let rules = format!("{ADMIN}\n[proxy]\ntarget_session_attrs = 'read-write'\n");
    let proxy = proxy(&[address(standby())], &rules);
    let told = told(&proxy, IS_STANDBY);
    assert!(is_fatal(told.last().unwrap()), "{}", lines(&told));
    let text = lines(&told);
    assert!(text.contains("C57P03"), "{text}");
    assert!(text.contains("read-write") && text.contains("asks for: it is a standby"), "{text}");
    assert!(!told.iter().any(|it| [b'Z', b'D'].contains(&it.tag)), "never ready: {text}");
    let numbers = Numbers::read(&proxy);
    assert_eq!(numbers.of("pgabsorb_sessions_ended_total{reason=\"server_unfit\"}"), 1);
    let labels = format!("{{result=\"unfit\",server=\"{}\"}}", address(standby()));
    assert_eq!(numbers.of(&format!("pgabsorb_server_connections_total{labels}")), 1);
    proxy.output.wait_for("not what target_session_attrs asks for", 1);
}

/// Where the proxy logs in by itself it can go on to the next server, and no client is the worse.
#[test]
fn no_client_is_refused_where_the_proxy_logs_in_by_itself() {
    let servers = [address(standby()), address(server())];
    for (target, with_standby) in [("read-write", "f"), ("standby", "t"), ("prefer-standby", "t")] {
        let proxy = by_itself(&servers, target);
        for _ in 0..2 {
            assert_eq!(asked_with_password(&proxy), with_standby, "{target}");
        }
    }
    let next_best = by_itself(&servers[1..], "prefer-standby");
    assert_eq!(asked_with_password(&next_best), "f");
    let refused = asked_with_password(&by_itself(&servers[1..], "standby"));
    assert!(refused.contains("\"standby\" asks for: it is a primary"), "{refused}");
}

/// A proxy in front of these servers that logs in by itself.
fn by_itself(servers: &[String], target: &str) -> Process {
    let users = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(users.path(), "\"postgres\" \"secret\"\n").unwrap();
    let section = format!("[auth]\nmode = 'scram'\nusers = '{}'\n", users.path().display());
    // The file is read at the start.
    proxy(servers, &format!("{ADMIN}\n[proxy]\ntarget_session_attrs = '{target}'\n{section}"))
}

/// What psql prints.
fn asked_with_password(proxy: &Process) -> String {
    let conninfo = format!(
        "host=127.0.0.1 port={} user=postgres dbname=postgres password=secret",
        proxy.address().port()
    );
    let (_, printed) = super::process::client("psql", &["-XAtc", IS_STANDBY, &conninfo]);
    printed.trim().to_owned()
}

#[test]
fn an_old_server_is_asked_what_it_is_where_that_can_be() {
    let old = Upstream::bind();
    let proxy = proxy(&[old.address().to_string()], "[proxy]\ntarget_session_attrs = 'primary'\n");
    let mut client = Wire::open(proxy.address());
    client.send(&startup(&[]));
    let mut backend = old.accept();
    backend.packet();
    backend.welcome(&[0, 0, 0, 1, 0, 0, 0, 2]);
    let told = lines(&client.rest().0);
    assert!(told.contains("older than PostgreSQL 14"), "{told}");
    backend.closed();

    for (answer, fits) in [("f", true), ("t", false)] {
        let proxy = by_itself(&[old.address().to_string()], "primary");
        let asking = std::thread::scope(|scope| {
            let asking = scope.spawn(|| asked_with_password(&proxy));
            let mut backend = old.accept();
            backend.packet();
            backend.welcome(&[0, 0, 0, 1, 0, 0, 0, 2]);
            answer_question(&mut backend, &[answer, "off"]);
            if fits {
                // The client's own query.
                answer_question(&mut backend, &["mine"]);
            }
            asking.join().unwrap()
        });
        let expected = if fits { "mine" } else { "\"primary\" asks for: it is a standby" };
        assert!(asking.contains(expected), "{asking}");
        let labels = format!("{{result=\"unfit\",server=\"{}\"}}", old.address());
        let unfit = Numbers::read(&proxy).of(&format!("pgabsorb_server_connections_total{labels}"));
        assert_eq!(unfit, u64::from(!fits), "it has said what it is, once");
    }
}

/// One row to one query.
fn answer_question(backend: &mut Backend, row: &[&str]) {
    assert_eq!(backend.message(), b'Q');
    let count = u16::try_from(row.len()).unwrap();
    let mut description = count.to_be_bytes().to_vec();
    let mut data = count.to_be_bytes().to_vec();
    for value in row {
        description.extend_from_slice(b"x\0");
        description.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 0xff, 0xff]);
        description.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0, 0]);
        data.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
        data.extend_from_slice(value.as_bytes());
    }
    let [described, row] = [message(b'T', &description), message(b'D', &data)];
    backend.send(&[described, row, message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat());
}

#[test]
fn a_standby_that_is_promoted_is_found() {
    let promoted = Throwaway::start(&Options::default().standby()).unwrap();
    let rules = "[proxy]\ntarget_session_attrs = 'read-write'\n";
    let proxy = proxy(&[address(standby()), address(&promoted)], rules);
    assert_eq!([is_with_standby(&proxy), is_with_standby(&proxy)], [None, None]);
    let mut wire = Wire::connect(promoted.address(), &startup(&[]));
    assert!(has(&wire.query("SELECT pg_promote()"), "SELECT 1"));
    wait_until("the proxy has found it", || is_with_standby(&proxy) == Some(false));
    assert_eq!(is_with_standby(&proxy), Some(false));
}

#[test]
fn a_cancel_request_goes_to_every_server() {
    let servers = [Upstream::bind(), Upstream::bind()];
    let addresses = [&servers[0], &servers[1]].map(|it| it.address().to_string());
    let (_held, nowhere) = super::refusals::dead_port();
    let proxy = proxy(&[addresses[0].clone(), nowhere.to_string(), addresses[1].clone()], "");
    let mut cancel = Wire::open(proxy.address());
    cancel.send(&cancel_request(&[0, 0, 0, 1, 0, 0, 0, 2]));
    let mut asked = servers.each_ref().map(Upstream::accept);
    for server in &mut asked {
        assert_eq!(server.packet(), cancel_request(&[0, 0, 0, 1, 0, 0, 0, 2]));
    }
    drop(asked);
    assert!(cancel.rest().0.is_empty());
}
