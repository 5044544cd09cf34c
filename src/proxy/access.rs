//! Who gets in, and how: encryption on both legs and the users that the proxy makes sure of. What
//! the files hold is replaced as a whole when they are read again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ring::rand::{SecureRandom as _, SystemRandom};
use thiserror::Error;

use crate::auth::{Mock, UserlistError, Users};
use crate::config::Settings;

use super::tls::{Tls, TlsError};

/// What the files of `[client_tls]`, `[server_tls]` and `[auth]` hold.
#[derive(Debug, Default)]
pub struct Access {
    pub(super) tls: Tls,
    /// None where the server makes sure of clients.
    pub(super) users: Option<Users>,
}

/// Why nobody would get in as the rules file says.
#[derive(Debug, Error)]
pub enum AccessError {
    /// A certificate or a key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The users file cannot be read.
    #[error("[auth] users {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The system has no random numbers.
    #[error("[auth] mode = \"scram\" takes random numbers, and the system gives none")]
    NoRandomNumbers,
    /// The users file has a mistake.
    #[error("[auth] users {}: {error}", path.display())]
    Users {
        /// The file.
        path: PathBuf,
        /// The mistake.
        error: UserlistError,
    },
}

impl Access {
    /// Reads the files that these settings name.
    pub fn load(settings: &Settings) -> Result<Self, AccessError> {
        let (client, server) = (settings.client_tls.as_ref(), settings.server_tls.as_ref());
        let tls = Tls::load(client, server, &settings.upstream)?;
        let users = settings.users.as_deref().map(read_users).transpose()?;
        Ok(Self { tls, users })
    }
}

/// The same for as long as the process lives: a file that is read again changes nothing for users
/// that are not in it, and so tells nobody who is.
fn mock() -> Option<Mock> {
    static MOCK: OnceLock<Mock> = OnceLock::new();
    if MOCK.get().is_none() {
        let mut random = [0; 32];
        SystemRandom::new().fill(&mut random).ok()?;
        // Whoever was first has made it.
        let _ = MOCK.set(Mock::new(&random));
    }
    MOCK.get().cloned()
}

fn read_users(path: &Path) -> Result<Users, AccessError> {
    let text = fs::read_to_string(path)
        .map_err(|error| AccessError::Unreadable { path: path.to_owned(), error })?;
    let mock = mock().ok_or(AccessError::NoRandomNumbers)?;
    Users::parse(&text, mock).map_err(|error| AccessError::Users { path: path.to_owned(), error })
}
