//! A connection to a database for the commands that read a catalog; the proxy itself has none.

mod connector;
mod words;

use std::path::Path;
use std::str::FromStr as _;

use anyhow::Context as _;
use postgres::config::{Host, SslMode, TargetSessionAttrs as Wanted};
use postgres::{Client, Config, NoTls};

use crate::config::{Address, ServerMode, ServerTls, Settings};
use crate::proxy::tls::{ServerLeg, TlsError};
use crate::wire::target::TargetSessionAttrs;

use connector::Connector;

/// How a database is told to the commands.
const FORM: &str = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or host=... user=... dbname=...";

/// Connects as libpq does with such a string: a URL, or words with `=`. A password that it lacks is
/// taken from `PGPASSWORD`, and a server that it does not name is the one of the rules file, if
/// there is one. What this session does is read-only.
pub(super) fn connect(told: &str, rules_file: Option<&Settings>) -> anyhow::Result<Client> {
    let (rest, words) = words::take(told);
    let mut config = Config::from_str(&rest)
        .with_context(|| format!("the database has to be told as {FORM}"))?;
    if config.get_password().is_none()
        && let Ok(password) = std::env::var("PGPASSWORD")
    {
        config.password(password);
    }
    if config.get_application_name().is_none() {
        config.application_name("pgabsorb");
    }
    let names_nobody = config.get_hosts().is_empty()
        && config.get_hostaddrs().is_empty()
        && config.get_ports().is_empty();
    let (source, tls) = match rules_file.filter(|_| names_nobody) {
        Some(settings) => {
            anyhow::ensure!(
                words.is_empty(),
                "no host is named, so the server is that of [proxy] upstream, and [server_tls] says \
                 how it is encrypted: name the host, or leave out what begins with ssl"
            );
            lead_upstream(&mut config, settings)?;
            (Source::RulesFile, settings.server_tls.clone())
        }
        None => (Source::Words, words.settings()?),
    };
    // PostgreSQL has no TLS on a Unix-domain socket; libpq looks past what is said of it, too.
    let is_local = config.get_hosts().iter().all(|it| matches!(it, Host::Unix(_)));
    let tls = tls.filter(|_| !is_local || !config.get_hostaddrs().is_empty());
    let mut client = log_in(&mut config, tls.as_ref(), source)?;
    client
        .batch_execute("SET default_transaction_read_only = on; SET statement_timeout = '30s'")
        .context("cannot set up the session")?;
    Ok(client)
}

/// Who says where the server is, and how the connection is encrypted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Words,
    RulesFile,
}

impl Source {
    /// What is wrong with a file, in the words in which it was named.
    fn explain(self, error: TlsError) -> anyhow::Error {
        match (self, error) {
            (Self::RulesFile, error) => error.into(),
            (Self::Words, TlsError::File { key, path, error, .. }) => {
                let word = match key {
                    "ca" => "sslrootcert",
                    "certificate" => "sslcert",
                    _ => "sslkey",
                };
                anyhow::anyhow!("{word} {}: {error}", path.display())
            }
            (Self::Words, TlsError::NoSystemRoots(why)) => {
                anyhow::anyhow!("sslrootcert=system: the system has no usable roots: {why}")
            }
            (Self::Words, TlsError::Identity { error, .. }) => {
                anyhow::anyhow!("sslcert and sslkey: {error}")
            }
            (Self::Words, TlsError::Name(name)) => {
                anyhow::anyhow!("{name:?} cannot be the name in a certificate")
            }
        }
    }

    /// What to do where the server lets nobody in without encryption.
    fn advice(self) -> &'static str {
        match self {
            Self::Words => {
                "if it lets this user in with TLS alone, say sslmode=verify-full and \
                 sslrootcert=FILE"
            }
            Self::RulesFile => {
                "if it lets this user in with TLS alone, the proxy gets in no more than this: \
                 write [server_tls]"
            }
        }
    }
}

/// The servers of the rules file, in its order, as the proxy would choose among them.
fn lead_upstream(config: &mut Config, settings: &Settings) -> anyhow::Result<()> {
    for address in &settings.upstream {
        match address {
            Address::Tcp { host, port } => config.host(host).port(*port),
            Address::Unix { path } => {
                let (folder, port) = socket(path).with_context(|| {
                    format!(
                        "[proxy] upstream {address} has no name that ends with .s.PGSQL.PORT: \
                             name the host as well"
                    )
                })?;
                config.host_path(folder).port(port)
            }
        };
    }
    config.target_session_attrs(match settings.target_session_attrs {
        TargetSessionAttrs::Any | TargetSessionAttrs::PreferStandby => Wanted::Any,
        TargetSessionAttrs::ReadWrite | TargetSessionAttrs::Primary => Wanted::ReadWrite,
        TargetSessionAttrs::ReadOnly | TargetSessionAttrs::Standby => Wanted::ReadOnly,
    });
    Ok(())
}

/// The folder and the port of a server's socket.
fn socket(path: &Path) -> Option<(&Path, u16)> {
    let name = path.file_name()?.to_str()?;
    Some((path.parent()?, name.strip_prefix(".s.PGSQL.")?.parse().ok()?))
}

fn log_in(config: &mut Config, tls: Option<&ServerTls>, source: Source) -> anyhow::Result<Client> {
    let place = place(config);
    let tried = match tls {
        None => config.ssl_mode(SslMode::Disable).connect(NoTls),
        Some(tls) => {
            let leg = ServerLeg::load(tls, &[]).map_err(|error| source.explain(error))?;
            let is_preferred = tls.mode == ServerMode::Prefer;
            config.ssl_mode(if is_preferred { SslMode::Prefer } else { SslMode::Require });
            let tried = config.connect(Connector(leg));
            match tried {
                // Some are let in in plain text alone: libpq tries that too, and the proxy does not.
                Err(error) if is_preferred && source == Source::Words && is_kept_out(&error) => {
                    config.ssl_mode(SslMode::Disable).connect(NoTls).map_err(|_| error)
                }
                tried => tried,
            }
        }
    };
    tried
        .map_err(|error| {
            let advice = (tls.is_none() && is_kept_out(&error)).then(|| source.advice());
            let error = anyhow::Error::from(error);
            match advice {
                Some(advice) => anyhow::anyhow!("{error:#}: {advice}"),
                None => error,
            }
        })
        .with_context(|| format!("cannot connect to {place}"))
}

/// Whether `pg_hba.conf` has no line for such a connection, or one that rejects it. Others are
/// refused with the same SQLSTATE, but not in that place of the server.
fn is_kept_out(error: &postgres::Error) -> bool {
    error.as_db_error().is_some_and(|it| it.routine() == Some("ClientAuthentication"))
}

/// Where the database is, without the password.
fn place(config: &Config) -> String {
    let mut ports = config.get_ports().iter().cycle();
    let hosts = config.get_hosts().iter().map(|host| {
        let port = ports.next().copied().unwrap_or(DEFAULT_PORT);
        match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            Host::Unix(path) => format!("{}:{port}", path.display()),
        }
    });
    let hosts: Vec<_> = hosts.collect();
    let hosts = if hosts.is_empty() { "no host".to_owned() } else { hosts.join(" or ") };
    let user = config.get_user().unwrap_or("the default user");
    let database = config.get_dbname().unwrap_or(user);
    format!("database {database} on {hosts} as {user}")
}

const DEFAULT_PORT: u16 = 5432;
