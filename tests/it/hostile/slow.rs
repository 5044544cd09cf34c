//! Clients by the thousand that say nothing, or say it slowly.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use super::{RULES, TABLES, assert_absorbs, number, wait_for_rest};
use crate::shell::{proxy, session};
use crate::support::postgres::Database;
use crate::support::wire::{Wire, lines, startup, terminate};
use crate::support::{PATIENCE, wait_until};

/// How many.
const CROWD: usize = 2000;

/// What a client that is not logged in may cost, in bytes; see what the test prints.
const EACH: usize = 12 << 10;

/// Descriptors for a crowd, and for all that the other tests have open.
fn allow_a_crowd() {
    let wanted = CROWD as u64 + 4000;
    let allowed = rlimit::increase_nofile_limit(wanted).unwrap();
    assert!(allowed >= wanted, "these tests take {wanted} descriptors, and {allowed} are allowed");
}

/// A client from one of this machine's addresses.
fn connect(from: Ipv4Addr, proxy: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect_timeout(&proxy.into(), PATIENCE).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// All that comes to the end of the connection, which a reset is too.
fn rest(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => bytes,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn two_thousand_that_never_log_in_cost_little_and_hold_up_nobody() {
    allow_a_crowd();
    let limits = "limits = { connections = 100, logins = 2200 }\n";
    let (database, proxy) = (Database::new(), proxy(&format!("{limits}{RULES}")));
    database.sql(TABLES);
    let mut before = session(&proxy, &database);
    assert_absorbs(&mut before);
    let (descriptors, memory) = (proxy.descriptors(), proxy.memory());
    let mut peaks = Vec::new();
    for _ in 0..2 {
        let crowd: Vec<_> =
            (0..CROWD).map(|_| connect(Ipv4Addr::LOCALHOST, proxy.address())).collect();
        let longest = [&10_004_u32.to_be_bytes()[..], &[0, 3, 0, 0]].concat();
        let slow = startup(&[("database", &database.name)]);
        // A quarter each says nothing, half a length, the most that can be promised, and all but
        // the last byte of a login, a byte at a time.
        for at in 0..slow.len() - 1 {
            for (number, mut client) in crowd.iter().enumerate() {
                let said = match number % 4 {
                    0 => &[],
                    1 => slow.get(at..=at).filter(|_| at < 2).unwrap_or_default(),
                    2 => longest.get(at..=at).unwrap_or_default(),
                    _ => &slow[at..=at],
                };
                client.write_all(said).unwrap();
            }
            if at == slow.len() / 2 {
                assert_absorbs(&mut session(&proxy, &database));
            }
        }
        wait_until("all are there", || proxy.descriptors() >= descriptors + CROWD);
        assert_absorbs(&mut session(&proxy, &database));
        assert_absorbs(&mut before);
        peaks.push(proxy.memory());
        // One that comes to its end after all is let in.
        let mut last = crowd.into_iter().nth(3).unwrap();
        last.write_all(&slow[slow.len() - 1..]).unwrap();
        let mut last = Wire::over(last);
        last.until(b'Z', 1);
        assert_absorbs(&mut last);
        last.send(&terminate());
        assert!(last.rest().0.is_empty());
        wait_until("they are gone", || proxy.descriptors() <= descriptors);
    }
    let after = proxy.memory();
    println!("memory in KiB: before {memory}, with {CROWD} clients {peaks:?}, after {after}");
    let most = memory + (CROWD * EACH) as u64 / 1024;
    assert!(peaks.iter().all(|peak| *peak < most), "{memory} KiB, then {peaks:?}");
    // What is free may stay the process's; what has leaked would come on top.
    assert!(peaks[1] < peaks[0] + (most - memory) / 4, "{memory} KiB, then {peaks:?}");
    before.send(&terminate());
    wait_for_rest(&proxy, descriptors - 2);
    assert_eq!(
        number(&proxy, "pgabsorb_startups_failed_total{reason=\"left\"}"),
        2 * (CROWD as u64 - 1)
    );
}

/// The time is one for all that is said, not for each byte.
#[test]
fn one_that_trickles_is_closed_as_one_that_is_silent() {
    let limits = "limits.startup_timeout = '300ms'\n";
    let (database, proxy) = (Database::new(), proxy(&format!("{limits}{RULES}")));
    database.sql(TABLES);
    let crowd: Vec<_> = (0..100).map(|_| connect(Ipv4Addr::LOCALHOST, proxy.address())).collect();
    let packet = startup(&[("application_name", &"a".repeat(9_000))]);
    let mut bytes = packet.iter();
    let closed = "pgabsorb_startups_failed_total{reason=\"timeout\"}";
    wait_until("each is closed", || {
        let byte = [*bytes.next().expect("the packet takes longer than the time")];
        for mut client in crowd.iter().step_by(2) {
            // Behind the end it is answered by a reset.
            let _ = client.write_all(&byte);
        }
        number(&proxy, closed) == crowd.len() as u64
    });
    for client in &crowd {
        assert!(rest(client).is_empty());
    }
    proxy.output.wait_for("no startup packet within 300ms", 100);
    assert_absorbs(&mut session(&proxy, &database));
}

#[test]
fn an_address_takes_none_of_the_places_of_others() {
    allow_a_crowd();
    let limits = "limits = { logins = 500, connections_per_address = 100 }\n";
    let (database, proxy) = (Database::new(), proxy(&format!("{limits}{RULES}")));
    database.sql(TABLES);
    let rest = proxy.descriptors();
    let crowd: Vec<_> =
        (0..CROWD).map(|_| connect(Ipv4Addr::new(127, 0, 0, 2), proxy.address())).collect();
    let refused = "pgabsorb_sessions_refused_total{reason=\"too_many_of_address\"}";
    wait_until("the rest is refused", || number(&proxy, refused) == CROWD as u64 - 100);
    for _ in 0..3 {
        assert_absorbs(&mut session(&proxy, &database));
    }
    assert_eq!(refusals(&crowd), CROWD - 100);
    drop(crowd);
    wait_for_rest(&proxy, rest);
}

#[test]
fn those_on_their_way_to_a_login_are_as_many_as_the_limit_says() {
    allow_a_crowd();
    let limits = "limits = { logins = 100, connections = 50 }\n";
    let (database, proxy) = (Database::new(), proxy(&format!("{limits}{RULES}")));
    database.sql(TABLES);
    let mut inside = session(&proxy, &database);
    assert_absorbs(&mut inside);
    let descriptors = proxy.descriptors();
    let crowd: Vec<_> = (0..CROWD).map(|_| connect(Ipv4Addr::LOCALHOST, proxy.address())).collect();
    let refused = "pgabsorb_sessions_refused_total{reason=\"too_many_logins\"}";
    wait_until("the rest is refused", || number(&proxy, refused) == CROWD as u64 - 100);
    // Who is logged in goes on; who comes is one more of them.
    assert_absorbs(&mut inside);
    let mut other = Wire::open(proxy.address());
    let (messages, _) = other.rest();
    assert!(lines(&messages).contains("100 that are logging in"), "{messages:?}");
    assert_eq!(refusals(&crowd), CROWD - 100);
    drop(crowd);
    wait_until("they are gone", || proxy.descriptors() <= descriptors);
    assert_absorbs(&mut session(&proxy, &database));
}

/// How many were told that there are too many, of whom the others were told nothing yet.
fn refusals(crowd: &[TcpStream]) -> usize {
    let said = |client: &&TcpStream| {
        client.set_nonblocking(true).unwrap();
        let mut bytes = [0; 64];
        let read = client.peek(&mut bytes).unwrap_or(0);
        let said = String::from_utf8_lossy(&bytes[..read]);
        assert!(said.is_empty() || said.contains("C53300"), "{said}");
        !said.is_empty()
    };
    crowd.iter().filter(said).count()
}
