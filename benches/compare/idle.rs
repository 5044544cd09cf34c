//! What an idle connection costs a proxy in memory.
//!
//! Every connection has logged in and run one empty query: PgBouncer gives a client a server
//! connection only then, and buffers that a proxy does not give back are counted.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::contender::Contender;
use crate::needs::Programs;
use crate::{proc, stand_in};

/// Bytes of resident memory for each of `count` connections, beyond the first few, which also
/// bring in code and tables that all share.
pub(crate) fn measure(
    contender: Contender,
    programs: &Programs,
    count: u32,
) -> anyhow::Result<f64> {
    let running = contender.start(programs, stand_in::start()?)?;
    let pid = running.pid().context("only a proxy's memory can be measured")?;
    let first = connections(running.address, FIRST)?;
    let before = proc::resident_memory(pid)?;
    let rest = connections(running.address, count)?;
    let after = proc::resident_memory(pid)?;
    drop((first, rest));
    let grown = u32::try_from(after.saturating_sub(before) / 1024)?;
    Ok(f64::from(grown) * 1024.0 / f64::from(count))
}

fn connections(address: SocketAddr, count: u32) -> anyhow::Result<Vec<TcpStream>> {
    (0..count)
        .map(|number| connection(address).with_context(|| format!("idle connection {number}")))
        .collect()
}

/// A connection that has logged in.
pub(crate) fn connection(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(STARTUP)?;
    wait_until_ready(&mut stream)?;
    stream.write_all(EMPTY_QUERY)?;
    wait_until_ready(&mut stream)?;
    Ok(stream)
}

/// Reads messages up to ReadyForQuery.
pub(crate) fn wait_until_ready(stream: &mut TcpStream) -> anyhow::Result<()> {
    loop {
        let mut header = [0; 5];
        stream.read_exact(&mut header)?;
        let [tag, length @ ..] = header;
        let length = usize::try_from(u32::from_be_bytes(length))?;
        let mut body = vec![0; length.checked_sub(4).context("a message without a length")?];
        stream.read_exact(&mut body)?;
        match tag {
            b'Z' => return Ok(()),
            b'E' => bail!("{}", String::from_utf8_lossy(&body).replace('\0', " ")),
            _ => {}
        }
    }
}

/// A StartupMessage of protocol 3.0 for user and database postgres.
const STARTUP: &[u8] = b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0";

/// A Query without a statement.
const EMPTY_QUERY: &[u8] = b"Q\0\0\0\x05\0";

const FIRST: u32 = 20;
const PATIENCE: Duration = Duration::from_secs(20);
