//! A socket of a session that a [relay](super::relay) serves: what the kernel last said of it is kept
//! here, so that it is asked again only when that has changed.
//!
//! The kernel tells each change once (edge-triggered). A read that does not fill the buffer has taken all
//! there was, and a write that is cut short has filled what there was: what comes next is told. But an end
//! that was told with the last bytes is not told again, so it is remembered.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::task::Poll;

use mio::event::{Event, Source};
use mio::{Interest, Registry, Token};

use super::socket::Detached;

/// A socket, and what is known of it.
#[derive(Debug)]
pub(super) struct Polled {
    stream: Stream,
    readable: bool,
    /// The peer has ended its sending, or the connection is broken: reading always gives something.
    ended: bool,
    writable: bool,
}

#[derive(Debug)]
enum Stream {
    Tcp(mio::net::TcpStream),
    Unix(mio::net::UnixStream),
}

impl Stream {
    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }
}

impl Polled {
    /// A socket of which nothing is known yet, watched by `registry` from here on.
    pub(super) fn new(socket: Detached, registry: &Registry, token: Token) -> io::Result<Self> {
        let mut stream = match socket {
            Detached::Tcp(stream) => Stream::Tcp(mio::net::TcpStream::from_std(stream)),
            Detached::Unix(stream) => Stream::Unix(mio::net::UnixStream::from_std(stream)),
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        stream.source().register(registry, token, interest)?;
        Ok(Self { stream, readable: true, ended: false, writable: true })
    }

    /// The socket, not watched any more.
    pub(super) fn detach(mut self, registry: &Registry) -> io::Result<Detached> {
        self.stream.source().deregister(registry)?;
        Ok(match self.stream {
            Stream::Tcp(stream) => Detached::Tcp(stream.into()),
            Stream::Unix(stream) => Detached::Unix(stream.into()),
        })
    }

    /// The kernel has told something.
    pub(super) fn has_changed(&mut self, event: &Event) {
        self.ended |= event.is_read_closed() || event.is_error();
        self.readable |= event.is_readable() || self.ended;
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// Whether there may be something to read.
    pub(super) fn may_be_read(&self) -> bool {
        self.readable
    }

    /// Reads what has come; nothing is its end. Where nothing has, the relay will be told.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        while self.readable {
            match self.stream.read(buffer) {
                Ok(count) => {
                    self.readable = self.ended || count == 0 || count == buffer.len();
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Pending
    }

    /// Writes as much as the socket takes. Where it takes nothing, the relay will be told.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        while self.writable {
            match self.stream.write(bytes) {
                Ok(count) => {
                    self.writable = count == bytes.len();
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Pending
    }

    /// Ends sending. That the peer is gone already is no error.
    pub(super) fn shut_down(&self) -> io::Result<()> {
        let shut = match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
        match shut {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            shut => shut,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use mio::{Events, Poll as Poller};

    use super::*;

    /// One end of a connection, watched, and the other.
    fn pair(poller: &Poller) -> (Polled, UnixStream) {
        let (here, there) = UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        there.set_nonblocking(true).unwrap();
        (Polled::new(Detached::Unix(here), poller.registry(), Token(7)).unwrap(), there)
    }

    /// Marks what the kernel has to say; whether it had anything.
    fn is_told(poller: &mut Poller, socket: &mut Polled) -> bool {
        let mut events = Events::with_capacity(8);
        poller.poll(&mut events, Some(Duration::from_millis(20))).unwrap();
        events.iter().for_each(|event| socket.has_changed(event));
        !events.is_empty()
    }

    fn read(socket: &mut Polled, length: usize) -> Poll<usize> {
        socket.read(&mut vec![0; length]).map(Result::unwrap)
    }

    #[test]
    fn what_came_before_it_was_watched_is_read() {
        let mut poller = Poller::new().unwrap();
        let (here, mut there) = UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        there.write_all(b"early").unwrap();
        let mut socket = Polled::new(Detached::Unix(here), poller.registry(), Token(7)).unwrap();
        assert_eq!(read(&mut socket, 64), Poll::Ready(5));
        assert_eq!(read(&mut socket, 64), Poll::Pending);
        there.write_all(b"late").unwrap();
        assert!(is_told(&mut poller, &mut socket));
        assert_eq!(read(&mut socket, 64), Poll::Ready(4));
    }

    #[test]
    fn an_end_that_was_told_with_the_last_bytes_is_read_though_it_is_not_told_again() {
        let mut poller = Poller::new().unwrap();
        let (mut socket, mut there) = pair(&poller);
        there.write_all(b"bye").unwrap();
        drop(there);
        assert!(is_told(&mut poller, &mut socket));
        assert_eq!(read(&mut socket, 64), Poll::Ready(3));
        assert!(!is_told(&mut poller, &mut socket), "the kernel says it once");
        assert_eq!(read(&mut socket, 64), Poll::Ready(0));
        assert_eq!(read(&mut socket, 64), Poll::Ready(0));
    }

    #[test]
    fn a_full_buffer_may_not_be_all() {
        let poller = Poller::new().unwrap();
        let (mut socket, mut there) = pair(&poller);
        there.write_all(b"abcdef").unwrap();
        for _ in 0..3 {
            assert_eq!(read(&mut socket, 2), Poll::Ready(2));
        }
        assert_eq!(read(&mut socket, 2), Poll::Pending);
        assert!(!socket.may_be_read());
    }

    #[test]
    fn who_is_full_is_written_to_again_once_there_is_room() {
        let mut poller = Poller::new().unwrap();
        let (mut socket, mut there) = pair(&poller);
        let (mut sent, bytes) = (0, vec![0; 64 * 1024]);
        while let Poll::Ready(written) = socket.write(&bytes) {
            sent += written.unwrap();
        }
        while is_told(&mut poller, &mut socket) {}
        assert!(socket.write(b"more").is_pending());
        let mut read = vec![0; sent];
        there.read_exact(&mut read).unwrap();
        assert!(is_told(&mut poller, &mut socket));
        assert!(socket.write(b"more").is_ready());
    }

    #[test]
    fn what_is_handed_on_is_not_watched_any_more() {
        let mut poller = Poller::new().unwrap();
        let (mut socket, mut there) = pair(&poller);
        while is_told(&mut poller, &mut socket) {}
        let Detached::Unix(mut here) = socket.detach(poller.registry()).unwrap() else { panic!() };
        there.write_all(b"x").unwrap();
        let mut events = Events::with_capacity(8);
        poller.poll(&mut events, Some(Duration::from_millis(20))).unwrap();
        assert!(events.is_empty());
        assert_eq!(here.read(&mut [0; 8]).unwrap(), 1);
    }
}
