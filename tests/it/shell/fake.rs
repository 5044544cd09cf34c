//! A server that does as the test says.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use crate::support::wire::{Wire, message, startup};
use crate::support::{PATIENCE, wait_until};

use super::process::Process;

/// Where the proxy believes a server to be.
pub struct Upstream(TcpListener);

impl Upstream {
    pub fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// A proxy in front of this server.
    pub fn proxy(&self, rules: &str) -> Process {
        Process::start(rules, &self.address().to_string())
    }

    /// The next connection, at its very beginning.
    pub fn accept(&self) -> Backend {
        let mut stream = None;
        wait_until("a connection comes", || match self.0.accept() {
            Ok((accepted, _)) => {
                stream = Some(accepted);
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                false
            }
        });
        Backend::new(stream.unwrap())
    }

    /// Whether nobody has connected, or tried to.
    pub fn is_left_alone(&self) -> bool {
        self.0.accept().is_err()
    }

    /// A session that has just begun, with both of its ends.
    pub fn session(&self, proxy: &Process) -> (Wire, Backend) {
        let mut client = Wire::open(proxy.address());
        client.send(&startup(&[]));
        let mut backend = self.accept();
        backend.packet();
        backend.welcome(&KEY);
        assert_eq!(client.until(b'Z', 1).len(), 3);
        (client, backend)
    }
}

/// One of the server's connections.
pub struct Backend(pub TcpStream);

impl Backend {
    fn new(stream: TcpStream) -> Self {
        stream.set_nonblocking(false).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    /// The first packet, whole.
    pub fn packet(&mut self) -> Vec<u8> {
        let mut packet = vec![0; 4];
        self.0.read_exact(&mut packet).unwrap();
        let length = u32::from_be_bytes(packet[..4].try_into().unwrap()) as usize;
        packet.resize(length, 0);
        self.0.read_exact(&mut packet[4..]).unwrap();
        packet
    }

    /// AuthenticationOk, BackendKeyData and ReadyForQuery.
    pub fn welcome(&mut self, key: &[u8]) {
        self.send(&[message(b'R', &[0; 4]), message(b'K', key), message(b'Z', b"I")].concat());
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// The next message's tag; its body is read and dropped.
    pub fn message(&mut self) -> u8 {
        let mut header = [0; 5];
        self.0.read_exact(&mut header).unwrap();
        let length = u32::from_be_bytes(header[1..].try_into().unwrap()) - 4;
        let read = io::copy(&mut (&self.0).take(length.into()), &mut io::sink()).unwrap();
        assert_eq!(read, u64::from(length));
        header[0]
    }

    /// Ends the connection with a reset instead of an end of file.
    pub fn reset(self) {
        SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Waits until the proxy has closed the connection; with input unread, it is reset.
    pub fn closed(mut self) {
        if let Err(error) = io::copy(&mut self.0, &mut io::sink()) {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
    }
}

/// An ErrorResponse of severity FATAL.
pub fn fatal(code: &str, text: &str) -> Vec<u8> {
    message(b'E', format!("SFATAL\0VFATAL\0C{code}\0M{text}\0\0").as_bytes())
}

/// A process id and a secret of the size that protocol 3.0 has.
const KEY: [u8; 8] = [0, 0, 0, 42, 1, 2, 3, 4];
