//! Listening sockets that whoever started the process has opened for it, as
//! [systemd](https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html) does.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use socket2::SockRef;
use thiserror::Error;

use super::socket::Listener;

/// One of them.
#[derive(Debug)]
pub struct Inherited(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Why one of them is of no use.
#[derive(Debug, Error)]
#[error("cannot listen on socket {number} of {count} that LISTEN_FDS passes: {error}")]
pub struct InheritedError {
    number: usize,
    count: usize,
    error: io::Error,
}

impl Inherited {
    /// Those that `LISTEN_FDS` tells of, in its order.
    ///
    /// The variables are taken out of the environment: to be called before there is another thread.
    pub fn from_environment() -> Result<Vec<Self>, InheritedError> {
        let mut passed = ListenFd::from_env();
        let count = passed.len();
        let take = |index| {
            let error = |error| InheritedError { number: index + 1, count, error };
            Self::take(&mut passed, index).map_err(error)
        };
        (0..count).map(take).collect()
    }

    fn take(passed: &mut ListenFd, index: usize) -> io::Result<Self> {
        // What is not TCP is left in its place.
        if let Ok(Some(listener)) = passed.take_tcp_listener(index) {
            check(&SockRef::from(&listener))?;
            return Ok(Self(Kind::Tcp(listener)));
        }
        let why = "it is neither a TCP socket nor a Unix-domain stream socket";
        let other = || io::Error::new(io::ErrorKind::InvalidInput, why);
        let listener = passed.take_unix_listener(index).ok().flatten().ok_or_else(other)?;
        check(&SockRef::from(&listener))?;
        Ok(Self(Kind::Unix(listener)))
    }

    /// Hands it to the runtime that is entered.
    pub(super) fn listen(self) -> io::Result<Listener> {
        match self.0 {
            Kind::Tcp(listener) => tokio::net::TcpListener::from_std(listener).map(Listener::Tcp),
            Kind::Unix(listener) => {
                tokio::net::UnixListener::from_std(listener).map(Listener::Inherited)
            }
        }
    }
}

/// That clients can come to it, and are not waited for by the thread that asks.
fn check(socket: &SockRef<'_>) -> io::Result<()> {
    if !socket.is_listener()? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "nobody listens on it"));
    }
    socket.set_nonblocking(true)
}
