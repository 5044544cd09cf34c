//! What every part needs: the options, the programs, one server, and rounds.

use std::fmt;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use pgabsorb::cli::throwaway::{Options as ServerOptions, Throwaway};

use crate::client::Client;
use crate::contender::{Contender, Running};
use crate::memory;
use crate::needs::Programs;
use crate::options::Options;
use crate::proc;
use crate::sample::turned;

/// One run of this program.
pub(crate) struct Bench {
    pub(crate) options: Options,
    pub(crate) programs: Programs,
    server: Throwaway,
}

impl Bench {
    /// Finds or installs the programs, and starts the server.
    pub(crate) fn start(options: Options) -> anyhow::Result<Self> {
        let programs = Programs::find_or_install()?;
        let most = options.clients.iter().copied().max().unwrap_or(0).max(memory::BUSY);
        let settings = ServerOptions::default()
            .setting("max_connections", &(most + SPARE_CONNECTIONS).to_string())
            .setting("shared_buffers", "512MB")
            .setting("max_wal_size", "8GB");
        Ok(Self { options, programs, server: Throwaway::start(&settings)? })
    }

    pub(crate) fn server(&self) -> SocketAddr {
        self.server.address()
    }

    /// Starts a contender in front of the server.
    pub(crate) fn run(&self, contender: Contender) -> anyhow::Result<Running> {
        contender.start(&self.programs, self.server())
    }

    /// Runs a statement at the server itself.
    pub(crate) fn sql(&self, text: &str) -> anyhow::Result<()> {
        Client::connect(self.server())?.query(text).map(drop).with_context(|| text.to_owned())
    }

    /// Fills the server with pgbench's tables.
    pub(crate) fn fill(&self) -> anyhow::Result<()> {
        self.pgbench(self.server(), &["-i", "-q", "-s", SCALE]).map(drop)
    }

    /// Runs pgbench and returns its report.
    pub(crate) fn pgbench(&self, at: SocketAddr, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(&self.programs.pgbench)
            .args([
                "-h",
                &at.ip().to_string(),
                "-p",
                &at.port().to_string(),
                "-U",
                "postgres",
                "-n",
            ])
            .args(arguments)
            .arg("postgres")
            .stdin(Stdio::null())
            .output()
            .context("running pgbench")?;
        if !output.status.success() {
            bail!("pgbench failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Measures each case once in each round, in another order each time; returns what was measured of each,
/// in the order of the cases.
pub(crate) fn in_rounds<C, M: fmt::Debug>(
    rounds: u32,
    cases: &[C],
    name: impl Fn(&C) -> String,
    mut measure: impl FnMut(&C) -> anyhow::Result<M>,
) -> anyhow::Result<Vec<Vec<M>>> {
    let mut measured: Vec<_> = cases.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for place in turned(cases.len(), usize::try_from(round)?) {
            if let (Some(case), Some(measured)) = (cases.get(place), measured.get_mut(place)) {
                let name = format!("round {}: {}", round + 1, name(case));
                let one = measure(case).with_context(|| name.clone())?;
                eprintln!("{name}: {one:.1?}");
                measured.push(one);
            }
        }
    }
    Ok(measured)
}

/// The CPU time of a proxy, if there is one, while something is done.
pub(crate) fn cpu_of<T>(
    running: &Running,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(T, Option<Duration>)> {
    let cpu_time = || running.pid().map(proc::cpu_time).transpose();
    let before = cpu_time()?;
    let done = work()?;
    let used = cpu_time()?.zip(before).map(|(after, before)| after.saturating_sub(before));
    Ok((done, used))
}

/// The number behind a label of pgbench's report.
pub(crate) fn number(report: &str, label: &str) -> anyhow::Result<f64> {
    let text = report.lines().find_map(|line| line.strip_prefix(label));
    let text = text.and_then(|text| text.split([' ', '/']).next());
    text.and_then(|text| text.parse().ok())
        .with_context(|| format!("pgbench's report has no {label:?}:\n{report}"))
}

/// pgbench's label of how many transactions there were.
pub(crate) const TRANSACTIONS: &str = "number of transactions actually processed: ";

/// A million rows: the whole table is in the server's memory after the warm-up.
const SCALE: &str = "10";

/// Connections of the server beside those of the load: pgbench's own and the superuser's.
const SPARE_CONNECTIONS: u16 = 30;
