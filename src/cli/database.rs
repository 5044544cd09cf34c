//! A connection to a database for the commands that read a catalog; the proxy itself has none.

use std::str::FromStr as _;

use anyhow::Context as _;
use postgres::config::{Host, SslMode};
use postgres::{Client, Config, NoTls};

/// How a database is told to the commands.
const FORM: &str = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or host=... user=... dbname=...";

/// Connects as libpq does with such a string: a URL, or words with `=`. A password that it lacks is
/// taken from `PGPASSWORD`. What this session does is read-only.
pub(super) fn connect(url: &str) -> anyhow::Result<Client> {
    let mut config =
        Config::from_str(url).with_context(|| format!("the database has to be told as {FORM}"))?;
    if config.get_password().is_none()
        && let Ok(password) = std::env::var("PGPASSWORD")
    {
        config.password(password);
    }
    if config.get_application_name().is_none() {
        config.application_name("pgabsorb");
    }
    anyhow::ensure!(
        config.get_ssl_mode() != SslMode::Require,
        "sslmode=require: TLS is not built yet"
    );
    let place = place(&config);
    let mut client = config.connect(NoTls).with_context(|| format!("cannot connect to {place}"))?;
    client
        .batch_execute("SET default_transaction_read_only = on; SET statement_timeout = '30s'")
        .context("cannot set up the session")?;
    Ok(client)
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
