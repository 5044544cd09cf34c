//! Who sends without reading, or has the server remember, does not fill the proxy's memory.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;

use super::{RULES, TABLES, number};
use crate::shell;
use crate::shell::fake::Upstream;
use crate::shell::process::Process;
use crate::support::postgres::Database;
use crate::support::wait_until;
use crate::support::wire::{
    Wire, bind, execute, lines, message, parse, query, startup, sync, terminate,
};

fn rules(limits: &str) -> String {
    format!("limits.{limits}\n{RULES}")
}

/// INSERTs of a pipeline, some MB in all.
const COUNT: usize = 500;

fn waits(proxy: &Process) -> u64 {
    number(proxy, "pgabsorb_memory_waits_total")
}

/// Tiny messages, to a server that takes them all and answers none: the client waits before long.
#[test]
fn a_client_that_only_sends_has_to_wait() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy(&rules("session_memory = '1MiB'"));
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    client.write_all(&startup(&[])).unwrap();
    let mut backend = upstream.accept();
    backend.packet();
    backend.welcome(&[0, 0, 0, 1, 0, 0, 0, 2]);
    let sending = thread::spawn(move || {
        // More than kernels and the proxy take of who does not read; it may well not all get there.
        let _ = client.write_all(&sync().repeat(8 << 20));
    });
    wait_until("the client waits", || waits(&proxy) == 1);
    assert!(proxy.peak_memory() < 64, "{} MiB", proxy.peak_memory());
    // It was only made to wait: once the server answers it goes on, and is made to again.
    let mut answered = 0;
    while waits(&proxy) == 1 {
        for _ in 0..500 {
            assert_eq!(backend.message(), b'S');
            backend.send(&message(b'Z', b"I"));
            answered += 1;
        }
    }
    assert!(answered > 1000, "{answered}");
    backend.reset();
    sending.join().unwrap();
    wait_until("nothing is kept", || number(&proxy, "pgabsorb_session_memory_bytes") == 0);
}

/// A pipeline that is longer than what a session may keep, with its only Sync at the end: the server
/// would answer nothing until then, and is asked to.
#[test]
fn a_long_pipeline_goes_through() {
    let (database, proxy) = (Database::new(), shell::proxy(&rules("session_memory = '1MiB'")));
    database.sql("CREATE TABLE t (id int PRIMARY KEY, v text)");
    let mut wire = Wire::connect(proxy.address(), &startup(&[("database", &database.name)]));
    wire.query("BEGIN");
    let large = "x".repeat(20_000);
    let mut pipeline = parse("s", "INSERT INTO t VALUES ($1, $2)");
    for number in 0..COUNT {
        // The last one of them again, too.
        let key = (number - number % 10).to_string();
        pipeline.extend_from_slice(&bind("", "s", &[&key, &large]));
        pipeline.extend_from_slice(&execute("", 0));
    }
    pipeline.extend_from_slice(&sync());
    wire.send(&pipeline);
    let reply = lines(&wire.until(b'Z', 1));
    assert_eq!(reply.matches("INSERT 0 1").count(), COUNT / 10, "{reply}");
    assert_eq!(reply.matches("INSERT 0 0").count(), COUNT - COUNT / 10);
    wire.query("COMMIT");
    assert!(database.sql("SELECT count(*) FROM t").contains(&(COUNT / 10).to_string()));
}

/// What cannot be looked at any more is shown.
#[test]
fn statements_beyond_the_limit_are_not_kept_and_their_duplicates_are_shown() {
    let (database, proxy) = (Database::new(), shell::proxy(&rules("session_memory = '1MiB'")));
    database.sql(TABLES);
    let mut wire = Wire::connect(proxy.address(), &startup(&[("database", &database.name)]));
    let duplicate = |name: &str| {
        let text = format!("INSERT INTO t VALUES (0) -- {}", "x".repeat(100_000));
        let run = [parse(name, &text), bind("", name, &[]), execute("", 0), sync()];
        run.concat()
    };
    let mut absorbed = 0;
    for number in 0..20 {
        wire.send(&duplicate(&format!("s{number}")));
        let reply = lines(&wire.until(b'Z', 1));
        if reply.contains("INSERT 0 0") {
            absorbed += 1;
        } else {
            assert!(reply.contains("C23505"), "{reply}");
        }
    }
    assert!((5..=10).contains(&absorbed), "{absorbed} of 20 texts of 100 kB");
    proxy.output.wait_for("too_large", 20 - absorbed);
    // What is closed makes room.
    for number in 0..20 {
        wire.send(&crate::support::wire::close(b'S', &format!("s{number}")));
    }
    wire.send(&sync());
    wire.until(b'Z', 1);
    wire.send(&duplicate("again"));
    assert!(lines(&wire.until(b'Z', 1)).contains("INSERT 0 0"));
    wire.send(&terminate());
}

/// Slow readers, each with more than a session's part of what all may keep.
#[test]
fn nobody_is_let_in_where_all_sessions_keep_too_much() {
    let (database, proxy) = (Database::new(), shell::proxy(&rules("memory = '1MiB'")));
    let asks = query("SELECT repeat('x', 10000) FROM generate_series(1, 5000)");
    let asks = [startup(&[("database", &database.name)]), asks, terminate()].concat();
    let slow = [(); 8].map(|()| {
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        stream.write_all(&asks).unwrap();
        stream
    });
    let refused = |proxy: &Process| {
        number(proxy, "pgabsorb_sessions_refused_total{reason=\"out_of_memory\"}")
    };
    wait_until("a client is refused", || {
        let mut wire = Wire::open(proxy.address());
        wire.send(&[startup(&[]), terminate()].concat());
        lines(&wire.rest().0).contains("C53200") && refused(&proxy) > 0
    });
    // Who was there goes on.
    for mut stream in slow {
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        assert!(reply.len() > 50_000_000);
        assert!(reply.windows(11).any(|it| it == b"SELECT 5000"));
    }
    wait_until("there is room again", || {
        let mut wire = Wire::open(proxy.address());
        wire.send(&[startup(&[]), terminate()].concat());
        wire.rest().0.iter().any(|message| message.tag == b'Z')
    });
}
