//! `[client_tls]`, `[server_tls]` and `[auth]`: encryption on either side, and who makes sure of
//! clients. The files are named here, and read by who uses them.

use std::path::PathBuf;

use toml::de::DeTable;

use super::{
    Address, Problem,
    reader::{Placed, Reader, Section},
    shape::{AUTH, CLIENT_TLS, SERVER_TLS},
    value::{self, AuthMode, ClientMode},
};

/// Encryption between clients and the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// Whether a client that asks for none is refused.
    pub required: bool,
    /// What the proxy shows to clients.
    pub identity: Identity,
    /// What clients may show to the proxy, if anything.
    pub clients: Option<ClientCertificates>,
}

/// A certificate, and the key that belongs to it; both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The file with the certificate, and those between it and its root.
    pub certificate: PathBuf,
    /// The file with the private key, without a passphrase.
    pub key: PathBuf,
}

/// Who has to have signed the certificates of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// The file with the roots, in PEM.
    pub ca: PathBuf,
    /// Whether a client that shows none is refused.
    pub required: bool,
}

/// Encryption between the proxy and the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// What is asked of the server.
    pub mode: ServerMode,
    /// Who has to have signed its certificate, where that is verified.
    pub roots: Option<Roots>,
    /// What its certificate has to be for, if not for the host of `upstream`.
    pub name: Option<String>,
    /// What the proxy shows to the server, if anything.
    pub identity: Option<Identity>,
}

/// How sure the proxy has to be of the server, as libpq's
/// [sslmode](https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerMode {
    /// Encrypted if the server offers it, by whoever answers.
    Prefer,
    /// Encrypted, with whoever answers.
    Require,
    /// Encrypted, with one who has a certificate by the roots.
    VerifyCa,
    /// Encrypted, with one who has a certificate by the roots for the server's name.
    VerifyFull,
}

impl ServerMode {
    /// The word for it in the rules file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    /// Whether it is made sure who the server is.
    #[must_use]
    pub fn verifies(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyFull)
    }
}

/// Whose signatures are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Those of the certificates in a file, in PEM.
    File(PathBuf),
    /// Those that the system trusts.
    System,
}

/// The users file of `[auth]`, where the proxy makes sure of clients by itself.
pub(super) fn read_users(root: &DeTable<'_>, reader: &mut Reader<'_>) -> Option<PathBuf> {
    let section = reader.section(root, &AUTH);
    let mode = reader.value(&section, "mode", &value::AUTH_MODE);
    let users = reader.value(&section, "users", &value::FILE);
    if section.is_written() {
        reader.require(&section, "mode", "mode = \"scram\"");
    }
    match (mode?.value, users) {
        (AuthMode::Relay, None) => None,
        (AuthMode::Relay, Some(users)) => {
            reader.reject(users.at, Problem::Alone { key: "users", other: "mode = \"scram\"" });
            None
        }
        (AuthMode::Scram, users) => {
            reader.require(&section, "users", "users = \"/etc/pgabsorb/userlist.txt\"");
            Some(users?.value)
        }
    }
}

pub(super) fn read_client(
    root: &DeTable<'_>,
    reader: &mut Reader<'_>,
) -> Option<Placed<ClientTls>> {
    let section = reader.section(root, &CLIENT_TLS);
    let certificate = reader.value(&section, "certificate", &value::FILE);
    let key = reader.value(&section, "key", &value::FILE);
    let clients = read_clients(&section, reader);
    let mode = reader.value(&section, "mode", &value::CLIENT_MODE);
    if section.is_written() {
        reader.require(&section, "mode", "mode = \"require\"");
    }
    let Placed { at, value: mode } = mode.filter(|it| it.value != ClientMode::Disable)?;
    reader.require(&section, "certificate", "certificate = \"/etc/pgabsorb/server.crt\"");
    reader.require(&section, "key", "key = \"/etc/pgabsorb/server.key\"");
    let identity = Identity { certificate: certificate?.value, key: key?.value };
    let required = mode == ClientMode::Require;
    Some(Placed { at, value: ClientTls { required, identity, clients } })
}

fn read_clients(section: &Section<'_>, reader: &mut Reader<'_>) -> Option<ClientCertificates> {
    let ca = reader.value(section, "ca", &value::FILE);
    let required = reader.value(section, "client_certificate", &value::CLIENT_CERTIFICATE);
    if let (Some(required), None) = (&required, section.get("ca")) {
        reader.reject(required.at, Problem::Alone { key: "client_certificate", other: "ca" });
    }
    Some(ClientCertificates { ca: ca?.value, required: required.is_some_and(|it| it.value) })
}

pub(super) fn read_server(
    root: &DeTable<'_>,
    upstream: &[Placed<Address>],
    reader: &mut Reader<'_>,
) -> Option<ServerTls> {
    let section = reader.section(root, &SERVER_TLS);
    let identity = read_identity(&section, reader);
    let roots = reader.value(&section, "ca", &value::ROOTS);
    let name = reader.value(&section, "name", &value::SERVER_NAME).map(|it| it.value);
    let written = reader.value(&section, "mode", &value::SERVER_MODE);
    if section.is_written() {
        reader.require(&section, "mode", "mode = \"verify-full\"");
    }
    let written = written?;
    let mode = written.value;
    if let (Some(roots), false) = (&roots, mode.is_some_and(ServerMode::verifies)) {
        let mode = mode.map_or("disable", ServerMode::as_str);
        reader.reject(roots.at, Problem::Unverified(mode));
    }
    let mode = mode?;
    if mode.verifies() {
        reader.require(&section, "ca", "ca = \"/etc/pgabsorb/root.crt\", or ca = \"system\"");
    }
    if mode != ServerMode::Prefer
        && upstream.iter().any(|it| matches!(it.value, Address::Unix { .. }))
    {
        reader.reject(written.at, Problem::EncryptedSocket(mode.as_str()));
    }
    Some(ServerTls { mode, roots: roots.map(|it| it.value), name, identity })
}

/// A certificate and its key, of which neither says anything without the other.
fn read_identity(section: &Section<'_>, reader: &mut Reader<'_>) -> Option<Identity> {
    let certificate = reader.value(section, "certificate", &value::FILE);
    let key = reader.value(section, "key", &value::FILE);
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            Some(Identity { certificate: certificate.value, key: key.value })
        }
        (Some(certificate), None) if section.get("key").is_none() => {
            let problem = Problem::Alone { key: "certificate", other: "key" };
            reader.reject(certificate.at, problem);
            None
        }
        (None, Some(key)) if section.get("certificate").is_none() => {
            reader.reject(key.at, Problem::Alone { key: "key", other: "certificate" });
            None
        }
        _ => None,
    }
}

/// Where both sides may be encrypted, clients that fail to bind SCRAM to the channel must not come
/// back without encryption.
pub(super) fn reject_silent_fallback(
    client: Option<&Placed<ClientTls>>,
    server: Option<&ServerTls>,
    reader: &mut Reader<'_>,
) {
    if let (Some(client), Some(_)) = (client.filter(|it| !it.value.required), server) {
        reader.reject(client.at, Problem::SilentFallback);
    }
}
