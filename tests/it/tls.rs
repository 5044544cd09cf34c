//! Encryption on both legs, with certificates made for the purpose, a server that has TLS, and the
//! clients that people use.

pub mod certificates;
mod commands;
mod drivers;
mod ending;
mod files;
mod greeting;
mod matrix;
mod scram;
mod upstream;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use pgabsorb::cli::throwaway::{Options, Throwaway};
use rustls::client::WantsClientCert;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

use crate::shell::process::Process;
use crate::support::wire::{Wire, lines, startup};

use certificates::{Authority, Identity};

/// A server with TLS, whose users log in by the method that they are called after. All files are
/// in its directory, and end with it.
fn server() -> &'static Throwaway {
    static SERVER: OnceLock<Throwaway> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = Throwaway::start(&options()).unwrap_or_else(|error| panic!("{error}"));
        let mut wire = Wire::connect(server.address(), &startup(&[]));
        let roles = "CREATE ROLE scram LOGIN PASSWORD 'secret'; CREATE ROLE cert LOGIN;
             CREATE ROLE sealed LOGIN PASSWORD 'secret';
             CREATE ROLE plain LOGIN; CREATE ROLE trust LOGIN;
             CREATE ROLE password LOGIN PASSWORD 'secret';
             SET password_encryption = md5; CREATE ROLE md5 LOGIN PASSWORD 'secret'";
        let reply = wire.query(roles);
        assert!(!reply.iter().any(|message| message.tag == b'E'), "{}", lines(&reply));
        server
    })
}

fn options() -> Options {
    let (authority, other) = (Authority::new("root"), Authority::new("another root"));
    let names = &["localhost", "127.0.0.1"];
    let mut options = Options::default()
        .setting("ssl", "on")
        .setting("ssl_cert_file", "../server.crt")
        .setting("ssl_key_file", "../server.key")
        .setting("ssl_ca_file", "../root.crt")
        .setting("password_encryption", "scram-sha-256")
        .hba("local all all trust")
        .hba("host all postgres 127.0.0.1/32 trust")
        .hba("host all trust 127.0.0.1/32 trust")
        .hba("host all scram,salted 127.0.0.1/32 scram-sha-256")
        .hba("host all md5 127.0.0.1/32 md5")
        .hba("host all password 127.0.0.1/32 password")
        .hba("hostnossl all plain 127.0.0.1/32 trust")
        .hba("hostssl all cert 127.0.0.1/32 cert")
        .hba("hostssl all sealed 127.0.0.1/32 scram-sha-256")
        .hba("host all all 127.0.0.1/32 reject")
        .file("root.crt", &authority.pem())
        .file("other.crt", &other.pem());
    let own = Identity::of_itself("localhost");
    let identities = [
        ("server", authority.issue("server", names)),
        ("proxy", authority.issue("proxy", names)),
        ("elsewhere", authority.issue("elsewhere", &["db.example"])),
        ("stranger", other.issue("stranger", names)),
        ("cert", authority.issue("cert", &[])),
        ("own", own),
    ];
    for (name, identity) in identities {
        options = options
            .file(&format!("{name}.crt"), &identity.certificate)
            .file(&format!("{name}.key"), &identity.key);
    }
    options
}

/// The path of one of the server's files.
fn file(name: &str) -> PathBuf {
    server().socket_directory().join(name)
}

/// A `[client_tls]` that shows this certificate.
fn client_tls(mode: &str, identity: &str) -> String {
    let path = |kind| file(&format!("{identity}.{kind}")).display().to_string();
    let (certificate, key) = (path("crt"), path("key"));
    format!("[client_tls]\nmode = '{mode}'\ncertificate = '{certificate}'\nkey = '{key}'\n")
}

/// A `[server_tls]` of this mode, which verifies by the server's own root.
fn server_tls(mode: &str) -> String {
    let ca = format!("ca = '{}'\n", file("root.crt").display());
    let ca = if mode.starts_with("verify") { &ca } else { "" };
    format!("[server_tls]\nmode = '{mode}'\n{ca}")
}

/// A proxy in front of the server, which it calls by the name in its certificate.
fn proxy(config: &str) -> Process {
    Process::start(config, &format!("localhost:{}", server().port()))
}

/// A client that believes whoever shows a certificate of this root, in PEM.
pub fn trusting(root: &[u8]) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root).unwrap()).unwrap();
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
}
