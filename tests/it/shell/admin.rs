//! The admin listener: who gets an answer, and which.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::fake::Upstream;
use super::process::Process;
use super::{has, proxy, session};
use crate::support::postgres::Database;
use crate::support::wire::{query, startup};
use crate::support::{PATIENCE, wait_until};

pub const ADMIN: &str = "admin.listen = '127.0.0.1:0'\n";

/// Where the admin listener is, as the ready line says.
pub fn place(proxy: &Process) -> String {
    let ready = &proxy.errors.wait_for("pgabsorb ready: ", 1)[0];
    ready.split_once(", admin on ").expect("an admin listener").1.to_owned()
}

fn connect(proxy: &Process) -> TcpStream {
    let stream = TcpStream::connect(place(proxy).parse::<SocketAddr>().unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What comes back for these bytes: the status, the head, the body.
fn exchange(mut stream: impl Read + Write, request: &str) -> (u16, String, String) {
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or((&reply, ""));
    let status = head.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("{reply:?}"));
    (status[..3].parse().unwrap(), head.to_lowercase(), body.to_owned())
}

pub fn request(proxy: &Process, line: &str) -> (u16, String, String) {
    exchange(connect(proxy), &format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

/// The body of what is there.
pub fn get(proxy: &Process, path: &str) -> (u16, String) {
    let (status, _, body) = request(proxy, &format!("GET {path}"));
    (status, body)
}

#[test]
fn a_proxy_without_the_section_tells_nothing() {
    let proxy = proxy("");
    let ready = &proxy.errors.wait_for("pgabsorb ready: ", 1)[0];
    assert!(!ready.contains("admin"), "{ready}");
}

#[test]
fn an_address_that_is_taken_is_why_the_program_does_not_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let proxy = Process::spawn(&format!("admin.listen = '{address}'"), |command| {
        command.args(["--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1"]);
    });
    let said = proxy.failure();
    assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
}

#[test]
fn a_proxy_is_alive_and_ready() {
    let proxy = proxy(ADMIN);
    assert_eq!(get(&proxy, "/healthz"), (200, "alive\n".to_owned()));
    assert_eq!(get(&proxy, "/readyz?verbose"), (200, "ready\n".to_owned()));
    let (status, head, body) = request(&proxy, "HEAD /readyz");
    assert_eq!((status, &*body), (200, ""));
    assert!(head.contains("content-length: 6") && head.contains("connection: close"), "{head}");
}

#[test]
fn a_socket_in_the_file_system_will_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin");
    let mut proxy = proxy(&format!("admin.listen = 'unix:{}'", path.display()));
    let stream = UnixStream::connect(&path).unwrap();
    let (status, ..) = exchange(stream, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(status, 200);
    proxy.signal("TERM");
    assert!(proxy.exit().success());
    assert!(!path.exists());
}

#[test]
fn what_is_not_there_is_not_found_and_what_is_there_is_only_read() {
    let proxy = proxy(ADMIN);
    for path in ["/", "/health", "/healthz/", "//healthz", "/../healthz", "/%68ealthz"] {
        let (status, body) = get(&proxy, path);
        assert_eq!(status, 404, "{path}");
        assert!(body.contains("/metrics, /healthz, /readyz"), "{body}");
    }
    assert_eq!(request(&proxy, "POST /nothing").0, 404);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "get"] {
        let (status, head, _) = request(&proxy, &format!("{method} /healthz"));
        assert_eq!(status, 405, "{method}");
        assert!(head.contains("allow: get, head"), "{head}");
    }
}

#[test]
fn what_is_no_request_or_too_long_a_one_is_refused_and_hurts_nobody() {
    let proxy = proxy(ADMIN);
    let long = "x".repeat(20_000);
    let many = "h: x\r\n".repeat(100);
    for (garbage, expected) in [
        ("\x16\x03\x01\x02\x00 not HTTP\r\n\r\n".to_owned(), 400),
        ("GET /healthz\r\n\r\n".to_owned(), 400),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), 431),
        (format!("GET /healthz HTTP/1.1\r\n{many}\r\n"), 431),
    ] {
        let mut stream = connect(&proxy);
        // It may be refused before all of it is sent.
        let _ = stream.write_all(garbage.as_bytes());
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(status[9..], *expected.to_string().as_bytes(), "{}", &garbage[..20]);
    }
    assert_eq!(get(&proxy, "/healthz").0, 200);
}

#[test]
fn whoever_connects_and_says_nothing_blocks_neither_others_nor_sessions() {
    let (database, proxy) = (Database::new(), proxy(ADMIN));
    let mut silent: Vec<_> = (0..20).map(|_| connect(&proxy)).collect();
    for stream in &mut silent[..10] {
        stream.write_all(b"GET /healthz HT").unwrap();
    }
    assert_eq!(get(&proxy, "/readyz").0, 200);
    assert!(has(&session(&proxy, &database).query("SELECT 'served'"), "served"));
}

#[test]
fn more_clients_than_there_are_places_for_wait_until_the_silent_ones_are_closed() {
    let proxy = proxy(ADMIN);
    let began = Instant::now();
    let silent: Vec<_> = (0..32).map(|_| connect(&proxy)).collect();
    assert_eq!(get(&proxy, "/healthz").0, 200);
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
    for mut stream in silent {
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn a_proxy_is_ready_while_its_server_is_there() {
    let upstream = Upstream::bind();
    let address = upstream.address();
    let proxy = upstream.proxy(ADMIN);
    assert_eq!(get(&proxy, "/readyz").0, 200);
    drop(upstream);
    let mut told = String::new();
    wait_until("the proxy is not ready", || {
        let (status, body) = get(&proxy, "/readyz");
        told = body;
        status == 503
    });
    assert!(told.contains(&address.to_string()) && told.contains("refused"), "{told}");
    assert_eq!(told.lines().count(), 1);
    assert_eq!(get(&proxy, "/healthz").0, 200);
    let _back = TcpListener::bind(address).unwrap();
    wait_until("the proxy is ready again", || get(&proxy, "/readyz").0 == 200);
}

#[test]
fn however_many_ask_the_server_is_asked_once_a_second() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy(ADMIN);
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(get(&proxy, "/readyz").0, 200);
    }
    let most = 1 + began.elapsed().as_secs();
    let asked = (0..100).take_while(|_| !upstream.is_left_alone()).count() as u64;
    assert!((1..=most).contains(&asked), "{asked} in {:?}", began.elapsed());
}

#[test]
fn a_proxy_that_stops_says_so_until_the_last_session_has_ended() {
    let (database, mut proxy) = (Database::new(), proxy(ADMIN));
    // A client that reads nothing holds up the end for a while.
    let mut stuck = TcpStream::connect(proxy.address()).unwrap();
    let sql = "SELECT repeat('x', 1000) FROM generate_series(1, 100000)";
    let all = [startup(&[("database", &database.name)]), query(sql)];
    stuck.write_all(&all.concat()).unwrap();
    stuck.peek(&mut [0]).unwrap();
    proxy.signal("INT");
    wait_until("it says that it stops", || {
        let (status, body) = get(&proxy, "/readyz");
        status == 503 && body.contains("pgabsorb is stopping")
    });
    assert_eq!(get(&proxy, "/healthz").0, 200);
    let address = place(&proxy);
    assert!(proxy.exit().success());
    assert!(TcpStream::connect(address).is_err());
}

const RULE: &str = "[[rule]]\nid = 't'\nconstraint = 't_pkey'\n";

/// Asks for a reload with these lines in the head.
fn ask(proxy: &Process, head: &str) -> (u16, String, String) {
    exchange(connect(proxy), &format!("POST /reload HTTP/1.1\r\n{head}\r\n\r\n"))
}

#[test]
fn a_reload_may_be_asked_for() {
    let proxy = proxy(&format!("{ADMIN}admin.reload = true\n"));
    let asked = "Host: localhost:9432\r\nX-Pgabsorb: reload";
    proxy.write_rules(&format!("{ADMIN}admin.reload = true\n{RULE}"));
    let (status, _, told) = ask(&proxy, asked);
    assert_eq!((status, told.as_str()), (200, "rules reloaded: generation 2, rules 1\n"));
    let line = &proxy.output.wait_for("rules reloaded", 1)[0];
    let (_, sha256) = line.split_once(r#""sha256":""#).unwrap();
    let metrics = get(&proxy, "/metrics").1;
    let file = format!("pgabsorb_config_file_info{{sha256=\"{}\"}} 1\n", &sha256[..64]);
    assert!(
        metrics.contains(&file) && metrics.matches("config_file_info{").count() == 1,
        "{metrics}"
    );
    assert!(metrics.contains("\npgabsorb_config_generation 2\n"), "{metrics}");

    proxy.write_rules("[[rule]]\n");
    let (status, _, told) = ask(&proxy, asked);
    assert_eq!(status, 422, "{told}");
    assert!(told.contains("constraint is missing") && told.contains("rules.toml:1:1"), "{told}");
    assert!(get(&proxy, "/metrics").1.contains("\npgabsorb_config_generation 2\n"));
}

#[test]
fn numbers_and_names_are_told_to_nobody_by_another_name() {
    let proxy = proxy(ADMIN);
    for path in ["/metrics", "/status", "/status.json"] {
        let asked = format!("GET {path} HTTP/1.1\r\nHost: attacker.example\r\n\r\n");
        assert_eq!(exchange(connect(&proxy), &asked).0, 403, "{path}");
    }
    // A probe may come by any name, and learns nothing.
    let asked = "GET /healthz HTTP/1.1\r\nHost: pod.example\r\n\r\n";
    assert_eq!(exchange(connect(&proxy), asked).0, 200);
}

/// What a page in a browser could send, of whatever name it is, is not enough.
#[test]
fn a_page_in_a_browser_cannot_ask_for_a_reload() {
    let proxy = proxy(&format!("{ADMIN}admin.reload = true\n"));
    for head in [
        "Host: localhost",
        "Host: localhost\r\nX-Pgabsorb: yes",
        "Host: attacker.example\r\nX-Pgabsorb: reload",
        "Host: 127.0.0.1.attacker.example\r\nX-Pgabsorb: reload",
        "Host: localhost.attacker.example:9432\r\nX-Pgabsorb: reload",
        "X-Pgabsorb: reload",
    ] {
        assert!(matches!(ask(&proxy, head).0, 400 | 403), "{head}");
    }
    for host in ["127.0.0.1:9432", "[::1]:9432", "LOCALHOST"] {
        assert_eq!(ask(&proxy, &format!("Host: {host}\r\nX-Pgabsorb: reload")).0, 200, "{host}");
    }
    assert_eq!(request(&proxy, "GET /reload").0, 405);
    assert_eq!(request(&proxy, "OPTIONS /reload").0, 405);
    proxy.output.wait_for("rules reloaded", 3);
}

#[test]
fn nobody_may_ask_for_a_reload_unless_the_file_says_so() {
    let proxy = proxy(ADMIN);
    assert_eq!(ask(&proxy, "Host: localhost\r\nX-Pgabsorb: reload").0, 404);
}

#[test]
fn many_wishes_and_signals_are_granted_one_after_the_other() {
    let proxy = proxy(&format!("{ADMIN}admin.reload = true\n"));
    let granted = std::thread::scope(|scope| {
        let ask = || ask(&proxy, "Host: localhost\r\nX-Pgabsorb: reload").0;
        let asking: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
        proxy.signal("HUP");
        asking.into_iter().map(|it| it.join().unwrap()).collect::<Vec<_>>()
    });
    // Beyond some that wait the others are sent away.
    assert!(
        granted.iter().all(|it| matches!(it, 200 | 503)) && granted.contains(&200),
        "{granted:?}"
    );
    let count = granted.iter().filter(|it| **it == 200).count();
    proxy.output.wait_for("rules reloaded", count + 1);
}
