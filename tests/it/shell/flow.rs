//! Bytes in quantity: bounded memory, and nobody waits for anybody in a circle.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::fake::Upstream;
use super::process::Process;
use super::{has, proxy, session};
use crate::support::postgres::Database;
use crate::support::wire::{Wire, execute, pbe, query, startup, sync, terminate};
use crate::support::{PATIENCE, wait_until};

/// What no proxy of these tests may ever need, in MiB; one at rest has a fifth of it.
const MEMORY: u64 = 48;

/// The body of a message of the size that takes seconds to pass; the server's limit is a
/// gigabyte, which takes four times as long and shows no more.
const BODY: u32 = 256 << 20;

/// A connection whose kernel holds little of what is sent to it.
fn narrow(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(8 << 10).unwrap();
    socket.set_send_buffer_size(8 << 10).unwrap();
    socket.connect(&address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Writes one message with a body of `BODY` bytes.
fn send_large(mut stream: &TcpStream, tag: u8) {
    stream.write_all(&[&[tag][..], &(BODY + 4).to_be_bytes()].concat()).unwrap();
    let copied = io::copy(&mut io::repeat(b'x').take(BODY.into()), &mut stream).unwrap();
    assert_eq!(copied, u64::from(BODY));
}

fn drop_bytes(stream: &TcpStream, count: u64) {
    let mut buffer = vec![0; 1 << 16];
    let mut left = count;
    while left > 0 {
        let wanted = buffer.len().min(usize::try_from(left).unwrap());
        let read = (&*stream).read(&mut buffer[..wanted]).unwrap();
        assert!(read > 0, "the stream ended {left} bytes early");
        left -= read as u64;
    }
}

#[test]
fn values_of_any_size_pass_in_bounded_memory_in_both_directions() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy(RULE);
    let client = TcpStream::connect(proxy.address()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    (&client).write_all(&startup(&[])).unwrap();
    let mut backend = upstream.accept();
    backend.packet();
    backend.welcome(&[0; 8]);
    drop_bytes(&client, 9 + 13 + 6);

    thread::scope(|scope| {
        scope.spawn(|| send_large(&client, b'B'));
        assert_eq!(backend.message(), b'B');
    });
    thread::scope(|scope| {
        scope.spawn(|| send_large(&backend.0, b'D'));
        drop_bytes(&client, u64::from(BODY) + 5);
    });
    assert_memory(&proxy);
}

/// A Unix socket says that it can be written to when there is room for less than what waits.
#[test]
fn a_client_slower_than_its_server_costs_no_memory() {
    let upstream = Upstream::bind();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let proxy = Process::run(RULE, |command| {
        let (listen, upstream) = (format!("unix:{}", path.display()), upstream.address());
        command.args(["--listen", &listen, "--upstream", &upstream.to_string()]);
    });
    let mut client = UnixStream::connect(path).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(&startup(&[])).unwrap();
    let mut backend = upstream.accept();
    backend.packet();
    backend.welcome(&[0; 8]);
    thread::scope(|scope| {
        scope.spawn(|| send_large(&backend.0, b'd'));
        let mut left = 9 + 13 + 6 + 5 + BODY as usize;
        let mut buffer = [0; 512];
        while left > 0 {
            left -= client.read(&mut buffer).unwrap();
        }
    });
    assert_memory(&proxy);
}

#[test]
fn a_pipeline_that_reads_nothing_until_all_is_sent_gets_every_reply() {
    let (database, proxy) = (Database::new(), proxy(RULE));
    database.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (0)");
    let stream = narrow(proxy.address());
    let flight = |number: usize| match number % 3 {
        0 => [pbe("INSERT INTO t VALUES (0)", &[]), sync()].concat(),
        1 => query("INSERT INTO t VALUES (0)"),
        _ => [pbe("SELECT repeat('x', 2000) -- $1", &[]), sync()].concat(),
    };
    (&stream).write_all(&startup(&[("database", &database.name)])).unwrap();
    read_to_ready(&stream);
    thread::scope(|scope| {
        // The client writes on one thread as far as it can, and another reads only once writing
        // has come to a halt, as a driver does that looks at its socket when it must.
        let writer = scope.spawn(|| {
            for number in 0..FLIGHTS {
                (&stream).write_all(&flight(number)).unwrap();
            }
            (&stream).write_all(&terminate()).unwrap();
        });
        wait_for_halt(&stream);
        let mut wire = Wire::over(stream.try_clone().unwrap());
        let (messages, rest) = wire.rest();
        writer.join().unwrap();
        assert!(rest.is_empty());
        let count = |tag| messages.iter().filter(|message| message.tag == tag).count();
        assert_eq!(count(b'Z'), FLIGHTS);
        assert_eq!(count(b'C'), FLIGHTS);
        assert_eq!(count(b'D'), FLIGHTS / 3);
        assert!(!has(&messages, "C23505"));
    });
    assert_memory(&proxy);
}

#[test]
fn a_client_that_stops_reading_holds_up_nobody_else() {
    let (database, proxy) = (Database::new(), proxy(RULE));
    let stuck: Vec<_> = (0..4)
        .map(|_| {
            let stream = narrow(proxy.address());
            let sql = "SELECT repeat('x', 1000) FROM generate_series(1, 200000)";
            let all = [startup(&[("database", &database.name)]), query(sql)].concat();
            (&stream).write_all(&all).unwrap();
            stream
        })
        .collect();
    for stream in &stuck {
        wait_for_halt(stream);
    }
    for _ in 0..4 {
        let mut wire = session(&proxy, &database);
        assert!(has(&wire.query("SELECT 'goes on'"), "goes on"));
    }
    assert_memory(&proxy);
    // It was not lost, only waiting.
    drop_bytes(&stuck[0], 100_000_000);
}

#[test]
fn a_flood_of_syncs_from_a_client_that_does_not_read_is_held_back() {
    let (database, proxy) = (Database::new(), proxy(RULE));
    let stream = narrow(proxy.address());
    stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    (&stream).write_all(&startup(&[("database", &database.name)])).unwrap();
    let flight = [execute("", 0), sync()].concat().repeat(1000);
    let mut sent = 0;
    while sent < 64 << 20 && (&stream).write_all(&flight).is_ok() {
        sent += flight.len();
    }
    assert!(sent < 64 << 20, "the proxy took it all");
    // Each message on its way leaves an entry in the ledger, many times its own length: what
    // bounds them is what the sockets' buffers hold.
    let peak = proxy.peak_memory();
    println!("{sent} bytes taken, peak memory {peak} MiB");
    assert!(peak < 4 * MEMORY, "{peak} MiB");
}

/// Reads, byte by byte, to the first ReadyForQuery, and nothing behind it.
fn read_to_ready(mut stream: &TcpStream) {
    let mut seen = Vec::new();
    while !seen.ends_with(b"Z\0\0\0\x05I") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
}

/// Waits until what comes in is not taken and so no more of it comes.
fn wait_for_halt(stream: &TcpStream) {
    let mut seen = (0, 0);
    let mut buffer = vec![0; 1 << 20];
    wait_until("the stream halts", || {
        let held = stream.peek(&mut buffer).unwrap();
        seen = if held == seen.0 { (held, seen.1 + 1) } else { (held, 0) };
        held > 0 && seen.1 > 20
    });
}

fn assert_memory(proxy: &Process) {
    let peak = proxy.peak_memory();
    println!("peak memory: {peak} MiB");
    assert!(peak < MEMORY, "{peak} MiB");
}

const FLIGHTS: usize = 9999;

const RULE: &str = "
[[rule]]
id = 't'
constraint = 't_pkey'
action = 'absorb'
[log]
level = 'warn'
";
