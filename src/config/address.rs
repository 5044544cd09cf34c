//! Addresses as they are written: `host:port`, `[ipv6]:port`, `unix:/path`, `unix:/directory:port`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::{fmt, path::PathBuf, str::FromStr};

/// Where to listen or where the server is. A host may be a name; whoever connects resolves it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// TCP.
    Tcp {
        /// A name or an IP address, without brackets.
        host: String,
        /// The port; 0 lets the system choose where to listen.
        port: u16,
    },
    /// A Unix-domain socket.
    Unix {
        /// The absolute path of the socket.
        path: PathBuf,
    },
}

impl Address {
    /// The address of a server: unlike one to listen on, its port is known.
    pub fn of_server(text: &str) -> Result<Self, AddressError> {
        match text.parse()? {
            Self::Tcp { port: 0, .. } => Err(AddressError::NoServerPort),
            address => Ok(address),
        }
    }

    /// Whether only this machine can reach it: a loopback address, `localhost` (which is one by
    /// [RFC 6761](https://www.rfc-editor.org/rfc/rfc6761#section-6.3)), or a Unix-domain socket.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp { host, .. } => {
                let numeric = host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
                numeric || host.eq_ignore_ascii_case("localhost")
            }
            Self::Unix { .. } => true,
        }
    }

    /// Whether a listener there would be in the way of one at the other address. A port is taken
    /// as a whole, since an address may stand for several, or all, of a machine's.
    pub(super) fn collides(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp { port, .. }, Self::Tcp { port: other, .. }) => *port != 0 && port == other,
            _ => self == other,
        }
    }

    fn tcp(text: &str) -> Result<Self, AddressError> {
        if text.contains("//") {
            return Err(AddressError::Url);
        }
        let (host, port) = split_port(text)?;
        if port.is_empty() || !port.bytes().all(|it| it.is_ascii_digit()) {
            return Err(AddressError::BadPort);
        }
        let port = port.parse().map_err(|_| AddressError::BadPort)?;
        Ok(Self::Tcp { host: host.to_owned(), port })
    }

    /// `/path`, or `/directory:port` for the socket that
    /// [libpq](https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-HOST)
    /// looks for in a directory.
    fn unix(text: &str) -> Result<Self, AddressError> {
        let path = match text.rsplit_once(':') {
            Some((directory, port)) if port.parse::<u16>().is_ok() => {
                format!("{}/.s.PGSQL.{port}", directory.trim_end_matches('/'))
            }
            _ => text.to_owned(),
        };
        if !text.starts_with('/') || text.contains('\0') {
            Err(AddressError::RelativeSocket)
        } else if path.len() > SOCKET_PATH_BYTES {
            Err(AddressError::LongSocket)
        } else {
            Ok(Self::Unix { path: PathBuf::from(path) })
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix("unix:") {
            Some(path) => Self::unix(path),
            None => Self::tcp(text),
        }
    }
}

impl fmt::Display for Address {
    /// As [`FromStr`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix { path } => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a text is no [`Address`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// `postgres://...`
    #[error("is a URL; write \"host:port\" or \"unix:/path\"")]
    Url,
    /// Nothing after the host.
    #[error("has no port; write \"host:port\"")]
    NoPort,
    /// Not a number, or too large a one.
    #[error("has no valid port; write a number up to 65535 after the colon")]
    BadPort,
    /// Port 0 of a server.
    #[error("has port 0, where no server is")]
    NoServerPort,
    /// Nothing before the port, or what no host is called.
    #[error("has no valid host; write a name or an IP address before the colon")]
    BadHost,
    /// `*:7432`
    #[error("has * for a host; write 0.0.0.0 for all IPv4 addresses or [::] for all addresses")]
    Star,
    /// `::1:5432`
    #[error("has an IPv6 address without brackets; write \"[::1]:5432\"")]
    NoBrackets,
    /// `unix:socket`
    #[error("has no absolute path after unix:; write \"unix:/path\" or \"unix:/directory:port\"")]
    RelativeSocket,
    /// More than the system takes.
    #[error("is longer than 107 bytes, the longest path of a Unix socket")]
    LongSocket,
}

/// Parts the host, without brackets, from the port.
fn split_port(text: &str) -> Result<(&str, &str), AddressError> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or(AddressError::BadHost)?;
        let (address, _zone) = host.split_once('%').unwrap_or((host, ""));
        let port = port.strip_prefix(':').ok_or(AddressError::NoPort)?;
        return match address.parse::<Ipv6Addr>() {
            Ok(_) => Ok((host, port)),
            Err(_) => Err(AddressError::BadHost),
        };
    }
    let (host, port) = text.rsplit_once(':').ok_or(AddressError::NoPort)?;
    check_host(host)?;
    Ok((host, port))
}

/// Whether something can be the name of a host, or an IPv4 address.
pub(super) fn check_host(host: &str) -> Result<(), AddressError> {
    let allowed = |it: char| it.is_alphanumeric() || matches!(it, '.' | '-' | '_');
    let name = (1..=HOST_BYTES).contains(&host.len()) && host.chars().all(allowed);
    let numeric = host.bytes().all(|it| it.is_ascii_digit() || it == b'.');
    if host == "*" {
        Err(AddressError::Star)
    } else if host.contains(':') {
        Err(AddressError::NoBrackets)
    } else if name && (!numeric || host.parse::<Ipv4Addr>().is_ok()) {
        Ok(())
    } else {
        Err(AddressError::BadHost)
    }
}

/// `sun_path` holds 108 bytes, the last of them a NUL.
const SOCKET_PATH_BYTES: usize = 107;

/// The longest name that the domain name system knows.
const HOST_BYTES: usize = 253;

#[cfg(test)]
mod tests;
