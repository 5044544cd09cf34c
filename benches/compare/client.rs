//! A client that does little: it sends bytes and counts those of the replies.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use pgabsorb::wire::build;

/// A connection that has logged in.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    /// Logs in and runs an empty query: PgBouncer gives a client a server connection only then.
    pub(crate) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut client = Self(BufReader::with_capacity(BUFFER, stream));
        client.send(STARTUP)?;
        client.read_reply()?;
        client.query("")?;
        Ok(client)
    }

    /// Gives the buffer back, of a client that is to be idle.
    pub(crate) fn into_idle(self) -> TcpStream {
        self.0.into_inner()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.0.get_mut().write_all(bytes)?)
    }

    /// Runs a simple query, and says how many bytes the reply had.
    pub(crate) fn query(&mut self, text: &str) -> anyhow::Result<u64> {
        self.send(&build::query(text.as_bytes()))?;
        self.read_reply()
    }

    /// Sends what may be longer than the sockets' buffers, and reads the reply at the same time.
    pub(crate) fn exchange(&mut self, bytes: &[u8]) -> anyhow::Result<u64> {
        if bytes.len() <= ALWAYS_FITS {
            self.send(bytes)?;
            return self.read_reply();
        }
        let mut writer = self.0.get_ref().try_clone()?;
        thread::scope(|scope| {
            let written = scope.spawn(move || writer.write_all(bytes));
            let reply = self.read_reply();
            written.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
            reply
        })
    }

    /// Reads up to ReadyForQuery or CopyInResponse, and says how many bytes that was.
    pub(crate) fn read_reply(&mut self) -> anyhow::Result<u64> {
        let mut bytes = 0;
        loop {
            let mut header = [0; 5];
            self.0.read_exact(&mut header)?;
            let [tag, length @ ..] = header;
            let length = u64::from(u32::from_be_bytes(length));
            let body = length.checked_sub(4).context("a message without a length")?;
            bytes += length + 1;
            if tag == b'E' {
                let mut text = vec![0; usize::try_from(body)?];
                self.0.read_exact(&mut text)?;
                bail!("{}", String::from_utf8_lossy(&text).replace('\0', " "));
            }
            self.skip(usize::try_from(body)?)?;
            if matches!(tag, b'Z' | b'G') {
                return Ok(bytes);
            }
        }
    }

    fn skip(&mut self, mut left: usize) -> anyhow::Result<()> {
        while left > 0 {
            let there = self.0.fill_buf()?.len().min(left);
            if there == 0 {
                bail!("the connection was closed within a message");
            }
            self.0.consume(there);
            left -= there;
        }
        Ok(())
    }
}

/// Many clients that have logged in and do nothing more.
pub(crate) fn idle(address: SocketAddr, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    (0..count)
        .map(|number| {
            let client = Client::connect(address);
            client.map(Client::into_idle).with_context(|| format!("idle connection {number}"))
        })
        .collect()
}

/// A Bind of the statement `name`, with parameters in text format.
pub(crate) fn bind(name: &str, parameters: &[&str]) -> Vec<u8> {
    let count = |length: usize| u16::try_from(length).unwrap_or_default().to_be_bytes();
    let mut values = vec![0, 0];
    values.extend(count(parameters.len()));
    for parameter in parameters {
        values.extend([0, 0]);
        values.extend(count(parameter.len()));
        values.extend(parameter.as_bytes());
    }
    values.extend([0, 0]);
    build::bind(b"", name.as_bytes(), &values).to_vec()
}

/// A StartupMessage of protocol 3.0 for user and database postgres.
const STARTUP: &[u8] = b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0";

const BUFFER: usize = 256 * 1024;

/// Bytes that can be sent before any reply is read.
const ALWAYS_FITS: usize = 8 * 1024;

const PATIENCE: Duration = Duration::from_mins(1);
