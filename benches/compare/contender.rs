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
    /// pgabsorb with an empty list of rules.
    Pgabsorb,
    /// pgabsorb with rules for constraints that nothing violates.
    PgabsorbRules,
    /// pgabsorb with a rule for the key of the table that transactions insert into.
    PgabsorbGuards,
    /// pgabsorb with a rule that rewrites what is loaded into a table.
    PgabsorbRewrites,
    PgBouncer,
    HaProxy,
}

impl Contender {
    pub(crate) const ALL: [Self; 5] =
        [Self::Direct, Self::Pgabsorb, Self::PgabsorbRules, Self::PgBouncer, Self::HaProxy];

    /// The name on the command line.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Pgabsorb => "pgabsorb",
            Self::PgabsorbRules => "pgabsorb-rules",
            Self::PgabsorbGuards => "pgabsorb-guards",
            Self::PgabsorbRewrites => "pgabsorb-rewrites",
            Self::PgBouncer => "pgbouncer",
            Self::HaProxy => "haproxy",
        }
    }

    /// The name in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Pgabsorb => "pgabsorb, no rules",
            Self::PgabsorbRules => "pgabsorb, no rule matches",
            Self::PgabsorbGuards => "pgabsorb, a rule guards",
            Self::PgabsorbRewrites => "pgabsorb, a rule rewrites",
            Self::PgBouncer => "PgBouncer, session mode",
            Self::HaProxy => "HAProxy, mode tcp",
        }
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
            Self::PgabsorbRules => pgabsorb(listen, server) + &rules(),
            Self::PgabsorbGuards => pgabsorb(listen, server) + GUARDING,
            Self::PgabsorbRewrites => pgabsorb(listen, server) + REWRITING,
            _ => pgabsorb(listen, server),
        }
    }
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
    format!(
        "[proxy]\nlisten = \"{listen}\"\nupstream = \"{server}\"\n\
         [limits]\nconnections = {CONNECTIONS}\n"
    )
}

fn rules() -> String {
    let rule =
        |number| format!("[[rule]]\nid = \"r{number}\"\nconstraint = \"nothing_{number}_key\"\n");
    (1..=RULES).map(rule).collect()
}

fn pgbouncer(listen: SocketAddr, server: SocketAddr) -> String {
    format!(
        "[databases]\n\
         postgres = host={} port={} dbname=postgres user=postgres\n\
         [pgbouncer]\n\
         listen_addr = {}\n\
         listen_port = {}\n\
         unix_socket_dir =\n\
         auth_type = any\n\
         pool_mode = session\n\
         max_client_conn = {CONNECTIONS}\n\
         default_pool_size = {CONNECTIONS}\n\
         ignore_startup_parameters = extra_float_digits\n",
        server.ip(),
        server.port(),
        listen.ip(),
        listen.port()
    )
}

fn haproxy(listen: SocketAddr, server: SocketAddr) -> String {
    format!(
        "global\n    maxconn {CONNECTIONS}\n\
         defaults\n    mode tcp\n    maxconn {CONNECTIONS}\n    timeout connect 10s\n    \
         timeout client 1h\n    timeout server 1h\n\
         listen postgres\n    bind {listen}\n    server postgres {server}\n"
    )
}

const GUARDING: &str = "[[rule]]\nid = \"guarded\"\nconstraint = \"guarded_pkey\"\n";

const REWRITING: &str =
    "[[rule]]\nid = \"loads\"\nconstraint = \"loads_pkey\"\nstrategy = \"rewrite\"\n";

/// More than are ever opened.
const CONNECTIONS: u32 = 4000;

/// As many as a large application might list.
const RULES: u32 = 20;
