//! A server that only ever lets clients in and answers queries with nothing, as often as asked:
//! thousands of PostgreSQL processes would need more memory than what is to be measured.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// Starts it, for as long as this process lives, and says where.
pub(crate) fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A connection that breaks is its proxy's end.
            let serve = move || drop(serve(client));
            drop(thread::Builder::new().stack_size(STACK).spawn(serve));
        }
    });
    Ok(address)
}

fn serve(mut client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    read_packet(&mut client)?;
    client.write_all(&welcome())?;
    loop {
        let mut tag = [0];
        client.read_exact(&mut tag)?;
        read_packet(&mut client)?;
        if tag == *b"Q" {
            client.write_all(EMPTY_QUERY)?;
        }
    }
}

/// A length word and what it counts.
fn read_packet(client: &mut TcpStream) -> io::Result<()> {
    let mut length = [0; 4];
    client.read_exact(&mut length)?;
    let length = u64::from(u32::from_be_bytes(length)).saturating_sub(4);
    io::copy(&mut client.take(length), &mut io::sink()).map(drop)
}

/// AuthenticationOk, ParameterStatus, BackendKeyData, ReadyForQuery.
fn welcome() -> Vec<u8> {
    let mut bytes = message(b'R', &[0; 4]);
    for (name, value) in PARAMETERS {
        bytes.extend(message(b'S', format!("{name}\0{value}\0").as_bytes()));
    }
    bytes.extend(message(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]));
    bytes.extend(message(b'Z', b"I"));
    bytes
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or_default();
    [&[tag], &length.to_be_bytes()[..], body].concat()
}

/// EmptyQueryResponse, ReadyForQuery.
const EMPTY_QUERY: &[u8] = b"I\0\0\0\x04Z\0\0\0\x05I";

/// What a PostgreSQL reports that matters to a proxy.
const PARAMETERS: &[(&str, &str)] = &[
    ("server_version", "17.0"),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("application_name", ""),
    ("is_superuser", "on"),
    ("session_authorization", "postgres"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "Etc/UTC"),
    ("integer_datetimes", "on"),
    ("standard_conforming_strings", "on"),
];

const STACK: usize = 64 * 1024;
