//! TLS on both legs, by rustls: what the files of `[client_tls]` and `[server_tls]` make.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig};
use rustls::{SignatureScheme, SupportedProtocolVersion, version};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream, client};
use x509_cert::der::Decode as _;

use crate::auth::Binding;
use crate::config::{Address, ClientTls, Identity, Roots, ServerMode, ServerTls};

/// What a client that starts with TLS, without asking, has to name: see the manual's
/// [Protocol Flow](https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL).
pub(super) const ALPN: &[u8] = b"postgresql";

/// Those that have no known weakness; PostgreSQL's own default is the same.
const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

/// Encryption on both legs, ready for use.
#[derive(Debug, Default)]
pub struct Tls {
    pub(super) client: Option<ClientLeg>,
    pub(super) server: Option<ServerLeg>,
}

/// Encryption between clients and the proxy.
#[derive(Clone)]
pub(super) struct ClientLeg {
    pub(super) required: bool,
    acceptor: TlsAcceptor,
    /// The proxy's own certificate.
    certificate: CertificateDer<'static>,
    /// What clients may bind their login to.
    pub(super) end_point: Binding,
}

/// Encryption between the proxy, or one of the commands, and the server.
#[derive(Clone)]
pub(crate) struct ServerLeg {
    pub(super) mode: ServerMode,
    connector: TlsConnector,
    /// Whom the certificate has to be for, if not for the host.
    name: Option<String>,
    /// Whose signatures are good, for who is told that one is not.
    roots: Option<Roots>,
}

/// A connection to the server once its handshake is done.
pub(crate) trait Encrypted: AsyncRead + AsyncWrite + Send + Unpin {
    /// What a login over it may be bound to.
    fn end_point(&self) -> Binding;
}

/// Why a connection cannot be encrypted as the rules file says.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read, or holds something else.
    #[error("{section} {key} {}: {error}", path.display())]
    File {
        /// The section that names it.
        section: &'static str,
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: String,
    },
    /// The system trusts nobody.
    #[error("[server_tls] ca = \"system\": the system has no usable root certificates: {0}")]
    NoSystemRoots(String),
    /// The certificate and the key do not belong together, or are of a kind that is not supported.
    #[error("{section} certificate and key: {error}")]
    Identity {
        /// The section that names them.
        section: &'static str,
        /// What is wrong.
        error: rustls::Error,
    },
    /// The server has no name that a certificate could be for.
    #[error("[server_tls] name {0:?} cannot be the name in a certificate")]
    Name(String),
}

impl Tls {
    /// Reads the files that these settings name.
    pub fn load(
        client: Option<&ClientTls>,
        server: Option<&ServerTls>,
        upstreams: &[Address],
    ) -> Result<Self, TlsError> {
        let client = client.map(ClientLeg::load).transpose()?;
        let server = server.map(|it| ServerLeg::load(it, upstreams)).transpose()?;
        Ok(Self { client, server })
    }

    /// Whether channel binding from a client to the server would hold: whoever binds to our
    /// certificate binds to the server's, since they are one.
    pub(super) fn is_same_certificate(&self, server: &CertificateDer<'_>) -> bool {
        self.client.as_ref().is_some_and(|it| it.certificate == *server)
    }
}

impl ClientLeg {
    fn load(settings: &ClientTls) -> Result<Self, TlsError> {
        const SECTION: &str = "[client_tls]";
        let (chain, key) = read_identity(SECTION, &settings.identity)?;
        let certificate = chain.first().cloned();
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&VERSIONS)
            .map_err(|error| TlsError::Identity { section: SECTION, error })?;
        let builder = match &settings.clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let file = read_roots(SECTION, &clients.ca)?;
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(file.store), provider());
                let verifier =
                    if clients.required { verifier } else { verifier.allow_unauthenticated() };
                let verifier = verifier
                    .build()
                    .map_err(|error| TlsError::file(SECTION, "ca", &clients.ca, &error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let config = builder.with_single_cert(chain, key);
        let mut config = config.map_err(|error| TlsError::Identity { section: SECTION, error })?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        // No driver resumes a TLS session: libpq and the server switch it off as well.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let certificate = certificate.ok_or_else(|| {
            TlsError::file(
                SECTION,
                "certificate",
                &settings.identity.certificate,
                &pem::Error::NoItemsFound,
            )
        })?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let end_point = end_point(&certificate);
        Ok(Self { required: settings.required, acceptor, certificate, end_point })
    }

    /// The handshake with a client.
    pub(super) async fn accept(&self, client: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        Ok(TlsStream::Server(self.acceptor.accept(client).await?))
    }
}

impl ServerLeg {
    /// Reads the files that these settings name.
    pub(crate) fn load(settings: &ServerTls, upstreams: &[Address]) -> Result<Self, TlsError> {
        const SECTION: &str = "[server_tls]";
        let verifier = Verifier::load(settings)?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&VERSIONS)
            .map_err(|error| TlsError::Identity { section: SECTION, error })?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &settings.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = read_identity(SECTION, identity)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| TlsError::Identity { section: SECTION, error })?
            }
        };
        // PostgreSQL before 17 has never heard of it, and ignores it.
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        let connector = TlsConnector::from(Arc::new(config));
        let (mode, name) = (settings.mode, settings.name.clone());
        let leg = Self { mode, connector, name, roots: settings.roots.clone() };
        for upstream in upstreams {
            // PostgreSQL has no TLS on a Unix-domain socket, and there is nobody in between.
            if let Address::Tcp { host, .. } = upstream {
                leg.name_of(host)?;
            }
        }
        Ok(leg)
    }

    /// The handshake with the server at this address.
    pub(super) async fn connect(
        &self,
        server: TcpStream,
        address: &Address,
    ) -> io::Result<TlsStream<TcpStream>> {
        let Address::Tcp { host, .. } = address else {
            return Err(io::Error::other("it is not a TCP address"));
        };
        Ok(TlsStream::Client(self.shake_hands(server, host).await?))
    }

    /// The handshake with the server of this host, over whatever leads to it.
    pub(crate) async fn encrypt<S>(&self, server: S, host: &str) -> io::Result<Box<dyn Encrypted>>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Ok(Box::new(self.shake_hands(server, host).await?))
    }

    async fn shake_hands<S>(&self, server: S, host: &str) -> io::Result<client::TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = self.name_of(host).map_err(io::Error::other)?;
        self.connector.connect(name, server).await.map_err(|error| self.explain(error))
    }

    /// Whom the certificate of the server of this host has to be for.
    fn name_of(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        let name = self.name.as_deref().unwrap_or(host).to_owned();
        ServerName::try_from(name.clone()).map_err(|_| TlsError::Name(name))
    }

    /// Says whose signature was missed.
    fn explain(&self, error: io::Error) -> io::Error {
        let why = error.get_ref().and_then(|it| it.downcast_ref());
        match (why, &self.roots) {
            (
                Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)),
                Some(roots),
            ) => {
                let whose = match roots {
                    Roots::File(path) => format!("in {}", path.display()),
                    Roots::System => "that the system trusts".to_owned(),
                };
                io::Error::other(format!("{error}: no root {whose} has signed it"))
            }
            _ => error,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Encrypted for client::TlsStream<S> {
    fn end_point(&self) -> Binding {
        let (_, session) = self.get_ref();
        session.peer_certificates().and_then(<[_]>::first).map_or(Binding::None, end_point)
    }
}

/// What a login is bound to by whoever has been shown this certificate: its hash, by the algorithm
/// that it was signed with, but never by MD5 or SHA-1
/// ([RFC 5929, section 4.1](https://www.rfc-editor.org/rfc/rfc5929#section-4.1)). None for the
/// algorithms that have no hash of their own; PostgreSQL has no binding there either.
pub(super) fn end_point(certificate: &CertificateDer<'_>) -> Binding {
    let parsed = x509_cert::Certificate::from_der(certificate);
    let oid = parsed.map(|it| it.signature_algorithm().oid.to_string()).unwrap_or_default();
    let algorithm = match oid.as_str() {
        // MD5, SHA-1 and SHA-256 with RSA, SHA-1 and SHA-256 with ECDSA.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => &digest::SHA256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => &digest::SHA384,
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => &digest::SHA512,
        _ => return Binding::None,
    };
    Binding::EndPoint(digest::digest(algorithm, certificate).as_ref().to_vec())
}

impl std::fmt::Debug for ClientLeg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientLeg").field("required", &self.required).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ServerLeg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerLeg").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// What is made sure of about the server's certificate. That the server has its key is made sure
/// of in every mode.
#[derive(Debug)]
struct Verifier {
    algorithms: WebPkiSupportedAlgorithms,
    /// `None`: whoever it is.
    roots: Option<FileOfRoots>,
    checks_name: bool,
}

impl Verifier {
    fn load(settings: &ServerTls) -> Result<Self, TlsError> {
        let roots = match &settings.roots {
            None => None,
            Some(Roots::System) => Some(system_roots()?),
            Some(Roots::File(path)) => Some(read_roots("[server_tls]", path)?),
        };
        Ok(Self {
            algorithms: provider().signature_verification_algorithms,
            roots,
            checks_name: settings.mode == ServerMode::VerifyFull,
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(roots) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let signed = rustls::client::verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &roots.store,
            intermediates,
            now,
            self.algorithms.all,
        );
        match signed {
            // A server that shows its own root, as `openssl req -x509` makes one. That its time has
            // not come or is over is an error of its own.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(_)))
                if roots.certificates.iter().any(|it| it == end_entity) => {}
            signed => signed?,
        }
        if self.checks_name {
            rustls::client::verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Certificates that are trusted, and what they make.
#[derive(Debug)]
struct FileOfRoots {
    certificates: Vec<CertificateDer<'static>>,
    store: RootCertStore,
}

fn read_roots(section: &'static str, path: &Path) -> Result<FileOfRoots, TlsError> {
    let certificates = read_certificates(section, "ca", path)?;
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store
            .add(certificate.clone())
            .map_err(|error| TlsError::file(section, "ca", path, &error))?;
    }
    Ok(FileOfRoots { certificates, store })
}

fn system_roots() -> Result<FileOfRoots, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    // Among a system's many there may be some that only others understand.
    store.add_parsable_certificates(found.certs);
    if store.is_empty() {
        let why: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        return Err(TlsError::NoSystemRoots(why.join("; ")));
    }
    Ok(FileOfRoots { certificates: Vec::new(), store })
}

fn read_identity(
    section: &'static str,
    identity: &Identity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain = read_certificates(section, "certificate", &identity.certificate)?;
    let text = read(section, "key", &identity.key)?;
    let key = PrivateKeyDer::from_pem_slice(&text);
    let key = key.map_err(|error| TlsError::file(section, "key", &identity.key, &error))?;
    Ok((chain, key))
}

/// The certificates of a file, at least one.
fn read_certificates(
    section: &'static str,
    key: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(section, key, path)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => {
            Err(TlsError::file(section, key, path, &"there is no certificate in PEM form in it"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(TlsError::file(section, key, path, &error)),
    }
}

fn read(section: &'static str, key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::file(section, key, path, &error))
}

impl TlsError {
    fn file(section: &'static str, key: &'static str, path: &Path, error: &impl ToString) -> Self {
        Self::File { section, key, path: path.to_owned(), error: error.to_string() }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
