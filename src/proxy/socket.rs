//! One end of a connection: TCP, with TLS or without, or a Unix-domain socket, as the session's
//! shell uses it.

use std::io;
use std::mem;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use mio::event::Event;
use mio::{Registry, Token};
use rustls::pki_types::CertificateDer;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsStream;

use crate::config::Address;

use super::polled::Polled;

/// How long a TCP peer may be silent before the kernel asks whether it is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_mins(1);

/// A connected stream socket.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
    /// TCP or Unix-domain, watched by a relay.
    Polled(Polled),
    /// Watched by nobody, on the way from one thread to another; none once it is taken.
    Unwatched(Option<Detached>),
}

impl Socket {
    /// One whose handshake is done.
    pub(super) fn encrypted(stream: TlsStream<TcpStream>) -> Self {
        Self::Tls(Box::new(stream))
    }

    pub(super) fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    /// The first byte, which is read again afterwards.
    pub(super) async fn peek(&self) -> io::Result<u8> {
        let mut first = [0];
        match self {
            Self::Tcp(stream) if stream.peek(&mut first).await? == 0 => {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            Self::Tcp(_) => Ok(u8::from_be_bytes(first)),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Whether something may have come that was not read yet; where it has not, none of it is known to
    /// the kernel either. It costs no system call, and wakes nobody later.
    pub(super) fn may_be_read(&self) -> bool {
        let known = match self {
            Self::Tcp(stream) => stream.try_io(Interest::READABLE, || Ok(())),
            Self::Unix(stream) => stream.try_io(Interest::READABLE, || Ok(())),
            Self::Polled(socket) => return socket.may_be_read(),
            // It may have been read, and not been decrypted yet.
            Self::Tls(_) | Self::Unwatched(_) => return true,
        };
        known.is_ok()
    }

    /// The same, and the task is woken when something may have come.
    pub(super) fn poll_may_be_read(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx).map(drop),
            Self::Unix(stream) => stream.poll_read_ready(cx).map(drop),
            Self::Polled(socket) if !socket.may_be_read() => Poll::Pending,
            Self::Tls(_) | Self::Polled(_) | Self::Unwatched(_) => Poll::Ready(()),
        }
    }

    /// What the peer has named as the protocol inside TLS.
    pub(super) fn alpn(&self) -> Option<&[u8]> {
        match self {
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol(),
            _ => None,
        }
    }

    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// The certificate that the peer has shown, if any.
    pub(super) fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        match self {
            Self::Tls(stream) => stream.get_ref().1.peer_certificates()?.first(),
            _ => None,
        }
    }

    /// Connects to a server, trying each address that a host name stands for.
    pub(super) async fn connect(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp { host, port } => {
                Self::from_tcp(TcpStream::connect((host.as_str(), *port)).await?)
            }
            Address::Unix { path } => Ok(Self::Unix(UnixStream::connect(path).await?)),
        }
    }

    fn from_tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE);
        SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
        Ok(Self::Tcp(stream))
    }

    /// Hands the socket to another thread's runtime: first out of this one ...
    pub(super) fn detach(self) -> io::Result<Detached> {
        match self {
            Self::Tcp(stream) => stream.into_std().map(Detached::Tcp),
            Self::Unix(stream) => stream.into_std().map(Detached::Unix),
            Self::Unwatched(socket) => socket.ok_or_else(taken),
            Self::Tls(_) | Self::Polled(_) => {
                Err(io::Error::other("such a connection stays where it is"))
            }
        }
    }

    fn take(&mut self) -> Self {
        mem::replace(self, Self::Unwatched(None))
    }

    /// A relay watches it from here on.
    pub(super) fn enter(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        *self = Self::Polled(Polled::new(self.take().detach()?, registry, token)?);
        Ok(())
    }

    /// The relay watches it no more.
    pub(super) fn leave(&mut self, registry: &Registry) -> io::Result<()> {
        *self = match self.take() {
            Self::Polled(socket) => Self::Unwatched(Some(socket.detach(registry)?)),
            socket => socket,
        };
        Ok(())
    }

    /// The runtime that this is called in watches it from here on.
    pub(super) fn attach(self) -> io::Result<Self> {
        match self {
            Self::Unwatched(socket) => socket.ok_or_else(taken)?.attach(),
            socket => Ok(socket),
        }
    }

    /// The kernel has told something of it to the relay that watches it.
    pub(super) fn has_changed(&mut self, event: &Event) {
        if let Self::Polled(socket) = self {
            socket.has_changed(event);
        }
    }
}

fn taken() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the socket has been taken")
}

/// A socket that no runtime watches.
#[derive(Debug)]
pub(super) enum Detached {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Detached {
    /// ... then into that one.
    pub(super) fn attach(self) -> io::Result<Socket> {
        Ok(match self {
            Self::Tcp(stream) => Socket::Tcp(TcpStream::from_std(stream)?),
            Self::Unix(stream) => Socket::Unix(UnixStream::from_std(stream)?),
        })
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            // That no goodbye came with the end is not worth telling: messages have a length.
            Self::Tls(stream) => match Pin::new(stream).poll_read(cx, buf) {
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Poll::Ready(Ok(()))
                }
                polled => polled,
            },
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Polled(socket) => {
                socket.read(buf.initialize_unfilled()).map_ok(|count| buf.advance(count))
            }
            Self::Unwatched(_) => Poll::Ready(Err(taken())),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Polled(socket) => socket.write(buf),
            Self::Unwatched(_) => Poll::Ready(Err(taken())),
        }
    }

    /// Only TLS keeps anything back.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Polled(socket) => Poll::Ready(socket.shut_down()),
            Self::Unwatched(_) => Poll::Ready(Err(taken())),
        }
    }
}

/// Whether other processes may listen in the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    Alone,
    /// By `SO_REUSEPORT`: each client gets to one of them.
    Shared,
}

/// A socket that clients connect to.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        path: std::path::PathBuf,
    },
    /// A Unix-domain socket whose path is another's to remove.
    Inherited(UnixListener),
}

impl Listener {
    /// Binds an address. A Unix socket that a dead process left behind is replaced; one that
    /// still answers is an error.
    pub(super) async fn bind(address: &Address, sharing: Sharing) -> io::Result<Self> {
        match address {
            Address::Tcp { host, port } => listen(host, *port, sharing).await.map(Self::Tcp),
            Address::Unix { path } => {
                remove_stale(path).await?;
                Ok(Self::Unix { listener: UnixListener::bind(path)?, path: path.clone() })
            }
        }
    }

    /// The address in use, with the port that the system chose for port 0.
    pub(super) fn address(&self) -> io::Result<Address> {
        Ok(match self {
            Self::Tcp(listener) => {
                let address = listener.local_addr()?;
                Address::Tcp { host: address.ip().to_string(), port: address.port() }
            }
            Self::Unix { path, .. } => Address::Unix { path: path.clone() },
            Self::Inherited(listener) => {
                let address = listener.local_addr()?;
                let unnamed = || io::Error::other("the socket has no path");
                Address::Unix { path: address.as_pathname().ok_or_else(unnamed)?.to_owned() }
            }
        })
    }

    /// The next client, and where it comes from.
    pub(super) async fn accept(&self) -> io::Result<(Socket, String)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Socket::from_tcp(stream)?, peer.to_string()))
            }
            Self::Unix { listener, .. } | Self::Inherited(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Socket::Unix(stream), "unix".to_owned()))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix { path, .. } = self
            && let Err(error) = std::fs::remove_file(&*path)
        {
            tracing::debug!(path = %path.display(), %error, "the socket was already gone");
        }
    }
}

/// Listens at the first address that a name stands for and that can be had, as
/// [`TcpListener::bind`] does with a shorter queue.
async fn listen(host: &str, port: u16, sharing: Sharing) -> io::Result<TcpListener> {
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in tokio::net::lookup_host((host, port)).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(sharing == Sharing::Shared)?;
        match socket.bind(address).and_then(|()| socket.listen(BACKLOG)) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Clients that may wait to be accepted: as many as the system allows (`net.core.somaxconn`). One
/// for whom there is no room waits a second before it tries again, so a crowd must not fill it.
const BACKLOG: u32 = 65_535;

async fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        // Connecting to it would be refused just like connecting to a socket left behind.
        Ok(metadata) if !metadata.file_type().is_socket() => {
            let why = "a file that is not a socket is in its place";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    match UnixStream::connect(path).await {
        Ok(_) => {
            Err(io::Error::new(io::ErrorKind::AddrInUse, "another process is listening there"))
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        Err(error) => Err(error),
    }
}
