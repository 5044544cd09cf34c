//! A server that only ever lets clients in and answers queries with nothing, or with rows of the size
//! that the query asks for: thousands of PostgreSQL processes would need more memory than what is to be
//! measured, and a proxy's own speed does not show behind one that has to make the rows first.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use pgabsorb::wire::build::message;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// It runs on one thread, until it is dropped.
pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl StandIn {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { address, _stop: stop })
    }
}

async fn accept(listener: TcpListener) {
    // A connection that is not to be had, or breaks, fails at its client.
    loop {
        if let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move { drop(serve(client).await) });
        }
    }
}

async fn serve(client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    // As little for each as is enough: thousands are idle.
    let mut client = BufReader::with_capacity(512, client);
    read_packet(&mut client).await?;
    client.write_all(&welcome()).await?;
    loop {
        let tag = client.read_u8().await?;
        let packet = read_packet(&mut client).await?;
        if tag == b'Q' {
            match rows_asked_for(&packet) {
                Some((count, size)) => send_rows(&mut client, count, size).await?,
                None => client.write_all(EMPTY_QUERY).await?,
            }
        }
    }
}

/// What a length word counts.
async fn read_packet(client: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let length = client.read_u32().await?.saturating_sub(4);
    let mut packet = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    client.read_exact(&mut packet).await?;
    Ok(packet)
}

/// Two numbers: how many rows, and of how many bytes each.
fn rows_asked_for(query: &[u8]) -> Option<(usize, usize)> {
    let text = str::from_utf8(query.strip_suffix(&[0])?).ok()?;
    let (count, size) = text.split_once(' ')?;
    Some((count.parse().ok()?, size.parse().ok()?))
}

/// Nothing is made that is as long as a long row: that would take longer than to send it.
async fn send_rows(client: &mut BufReader<TcpStream>, count: usize, size: usize) -> io::Result<()> {
    client.write_all(&message(b'T', ONE_COLUMN)).await?;
    if size < CHUNK {
        let row = [&row_header(size)?, &vec![b'x'; size][..]].concat();
        let together = (CHUNK / row.len()).min(count).max(1);
        let chunk = row.repeat(together);
        for _ in 0..count / together {
            client.write_all(&chunk).await?;
        }
        client.write_all(&row.repeat(count % together)).await?;
    } else {
        let (header, filler) = (row_header(size)?, vec![b'x'; CHUNK]);
        for _ in 0..count {
            client.write_all(&header).await?;
            for _ in 0..size / CHUNK {
                client.write_all(&filler).await?;
            }
            client.write_all(filler.get(..size % CHUNK).unwrap_or_default()).await?;
        }
    }
    let end = [message(b'C', format!("SELECT {count}\0").as_bytes()), message(b'Z', b"I")];
    client.write_all(&end.concat()).await
}

/// A DataRow up to the bytes of its one value.
fn row_header(size: usize) -> io::Result<Vec<u8>> {
    let value = u32::try_from(size).map_err(io::Error::other)?;
    Ok([&b"D"[..], &(value + 10).to_be_bytes(), &[0, 1], &value.to_be_bytes()].concat())
}

/// AuthenticationOk, ParameterStatus, BackendKeyData, ReadyForQuery.
fn welcome() -> Vec<u8> {
    let mut bytes = message(b'R', &[0; 4]).to_vec();
    for (name, value) in PARAMETERS {
        bytes.extend(message(b'S', format!("{name}\0{value}\0").as_bytes()));
    }
    bytes.extend(message(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]));
    bytes.extend(message(b'Z', b"I"));
    bytes
}

/// EmptyQueryResponse, ReadyForQuery.
const EMPTY_QUERY: &[u8] = b"I\0\0\0\x04Z\0\0\0\x05I";

/// A RowDescription of one column `x` of type text.
const ONE_COLUMN: &[u8] = b"\0\x01x\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0";

/// Bytes of rows that are written at once.
const CHUNK: usize = 64 * 1024;

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
