//! Who gets in, and how: encryption on both legs and the users that the proxy makes sure of. What
//! the files hold is replaced as a whole when they are read again.

use std::fs;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::auth::{UserlistError, Users};
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

fn read_users(path: &Path) -> Result<Users, AccessError> {
    let text = fs::read_to_string(path)
        .map_err(|error| AccessError::Unreadable { path: path.to_owned(), error })?;
    Users::parse(&text).map_err(|error| AccessError::Users { path: path.to_owned(), error })
}
