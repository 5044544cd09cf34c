//! Who is compared, and how each is started: with its defaults, save for what the comparison needs.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use crate::keeper::Kept;
use crate::needs::Programs;

/// A way from a client to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    Direct,
    Pgabsorb(Rules),
    PgBouncer,
    HaProxy,
}

/// What rules pgabsorb has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    None,
    /// So many, for constraints that nothing violates.
    Unmatched(u32),
    /// So many; the last lists the key of the table `guarded`.
    React(u32),
    /// One, which lists the same key and rewrites what is inserted.
    Rewrite,
}

impl Contender {
    /// Those of the load.
    pub(crate) const ALL: [Self; 7] = [
        Self::Direct,
        Self::Pgabsorb(Rules::None),
        Self::Pgabsorb(Rules::Unmatched(SOME)),
        Self::Pgabsorb(Rules::Unmatched(MANY)),
        Self::Pgabsorb(Rules::React(1)),
        Self::PgBouncer,
        Self::HaProxy,
    ];

    /// Those of all parts in which rules cannot matter.
    pub(crate) const PLAIN: [Self; 4] =
        [Self::Direct, Self::Pgabsorb(Rules::None), Self::PgBouncer, Self::HaProxy];

    /// The name on the command line.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Pgabsorb(_) => "pgabsorb",
            Self::PgBouncer => "pgbouncer",
            Self::HaProxy => "haproxy",
        }
    }

    /// The name in the tables.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Direct => "direct".to_owned(),
            Self::Pgabsorb(Rules::None) => "pgabsorb, no rules".to_owned(),
            Self::Pgabsorb(Rules::Unmatched(count)) => {
                format!("pgabsorb, {count} rules, none matches")
            }
            Self::Pgabsorb(Rules::React(_)) => "pgabsorb, a rule reacts".to_owned(),
            Self::Pgabsorb(Rules::Rewrite) => "pgabsorb, a rule rewrites".to_owned(),
            Self::PgBouncer => "PgBouncer, session mode".to_owned(),
            Self::HaProxy => "HAProxy, mode tcp".to_owned(),
        }
    }

    pub(crate) fn is_pgabsorb(self) -> bool {
        matches!(self, Self::Pgabsorb(_))
    }

    pub(crate) fn is_proxy(self) -> bool {
        self != Self::Direct
    }

    /// Starts the proxy on a free port in front of `server`; nothing to start for a direct
    /// connection.
    pub(crate) fn start(self, programs: &Programs, server: SocketAddr) -> anyhow::Result<Running> {
        if !self.is_proxy() {
            return Ok(Running { address: server, proxy: None });
        }
        let listen = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let directory = tempfile::Builder::new().prefix("pgabsorb-compare-").tempdir()?;
        let config = directory.path().join("config");
        fs::write(&config, self.config(listen, server))?;
        let kept = Kept::start(directory, &self.command(programs, &config), listen)?;
        Ok(Running { address: listen, proxy: Some(kept) })
    }

    fn command(self, programs: &Programs, config: &Path) -> Command {
        let mut command = Command::new(match self {
            Self::PgBouncer => programs.pgbouncer.as_path(),
            Self::HaProxy => programs.haproxy.as_path(),
            _ => Path::new(env!("CARGO_BIN_EXE_pgabsorb")),
        });
        match self {
            Self::PgBouncer => command.args(&programs.pgbouncer_user).arg(config),
            Self::HaProxy => command.arg("-db").arg("-f").arg(config),
            _ => command.args(["run", "--config"]).arg(config),
        };
        command
    }

    fn config(self, listen: SocketAddr, server: SocketAddr) -> String {
        match self {
            Self::PgBouncer => pgbouncer(listen, server),
            Self::HaProxy => haproxy(listen, server),
            Self::Pgabsorb(rules) => pgabsorb(listen, server) + &rules.text(),
            Self::Direct => String::new(),
        }
    }
}

impl Rules {
    fn text(self) -> String {
        let unmatched = |count| {
            let rule = |number| rule(&format!("nothing_{number}_key"));
            (0..count).map(rule).collect::<String>()
        };
        match self {
            Self::None => String::new(),
            Self::Unmatched(count) => unmatched(count),
            Self::React(count) => unmatched(count.saturating_sub(1)) + &rule(GUARDED),
            Self::Rewrite => rule(GUARDED) + "strategy = \"rewrite\"\n",
        }
    }
}

fn rule(constraint: &str) -> String {
    format!("[[rule]]\nid = \"{constraint}\"\nconstraint = \"{constraint}\"\n")
}

/// A contender that takes connections, until it is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    proxy: Option<Kept>,
}

impl Running {
    /// The proxy's process, if there is a proxy.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.proxy.as_ref().map(Kept::pid)
    }
}

fn pgabsorb(listen: SocketAddr, server: SocketAddr) -> String {
    let connections = connections();
    format!(
        "[proxy]\nlisten = \"{listen}\"\nupstream = \"{server}\"\n\
         [limits]\nconnections = {connections}\n"
    )
}

fn pgbouncer(listen: SocketAddr, server: SocketAddr) -> String {
    let connections = connections();
    format!(
        "[databases]\n\
         postgres = host={} port={} dbname=postgres user=postgres\n\
         [pgbouncer]\n\
         listen_addr = {}\n\
         listen_port = {}\n\
         unix_socket_dir =\n\
         auth_type = any\n\
         pool_mode = session\n\
         max_client_conn = {connections}\n\
         default_pool_size = {connections}\n\
         ignore_startup_parameters = extra_float_digits\n",
        server.ip(),
        server.port(),
        listen.ip(),
        listen.port()
    )
}

fn haproxy(listen: SocketAddr, server: SocketAddr) -> String {
    let connections = connections();
    format!(
        "global\n    maxconn {connections}\n\
         defaults\n    mode tcp\n    maxconn {connections}\n    timeout connect 10s\n    \
         timeout client 1h\n    timeout server 1h\n\
         listen postgres\n    bind {listen}\n    server postgres {server}\n"
    )
}

/// The key that rules list where they list one.
const GUARDED: &str = "guarded_pkey";

/// The table of that key.
pub(crate) const SCHEMA: &str = "DROP TABLE IF EXISTS guarded; \
     CREATE TABLE guarded (key bigint PRIMARY KEY, value text)";

/// The most that a proxy is given: more than are wanted, or as many as there are file descriptors for,
/// two each.
pub(crate) fn connections() -> u64 {
    MOST_CONNECTIONS.min(descriptors().saturating_sub(SPARE_DESCRIPTORS) / 2)
}

/// How many files a process may have open.
pub(crate) fn descriptors() -> u64 {
    // Where the limit cannot be read the proxies say what they lack.
    rlimit::Resource::NOFILE.get_soft().unwrap_or(u64::MAX)
}

const MOST_CONNECTIONS: u64 = 12_000;

/// For what a process opens beside its connections.
const SPARE_DESCRIPTORS: u64 = 400;

/// As many rules as a large application might list.
pub(crate) const SOME: u32 = 20;

/// As many as nobody lists.
pub(crate) const MANY: u32 = 10_000;
