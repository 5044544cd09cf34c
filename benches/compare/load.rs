//! The load: pgbench's primary-key lookups with prepared statements, through one contender.

use std::fmt;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::contender::Contender;
use crate::needs::Programs;
use crate::options::Options;
use crate::proc;
use crate::sample::Sample;

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    transactions_per_second: f64,
    latency_ms: f64,
    /// Of the proxy; none where there is none.
    cpu_us: Option<f64>,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>7.0} tps, {:.3} ms", self.transactions_per_second, self.latency_ms)?;
        self.cpu_us.map_or(Ok(()), |cpu| write!(f, ", {cpu:.1} us of CPU a transaction"))
    }
}

/// Every round's measurements of one contender.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    pub(crate) transactions_per_second: Sample,
    pub(crate) latency_ms: Sample,
    pub(crate) cpu_us: Sample,
}

impl Loads {
    pub(crate) fn push(&mut self, load: Load) {
        self.transactions_per_second.push(load.transactions_per_second);
        self.latency_ms.push(load.latency_ms);
        load.cpu_us.into_iter().for_each(|cpu| self.cpu_us.push(cpu));
    }
}

/// Fills the server with pgbench's tables.
pub(crate) fn prepare(programs: &Programs, server: SocketAddr) -> anyhow::Result<()> {
    pgbench(programs, server, &["-i", "-q", "-s", SCALE]).map(drop)
}

/// Starts a contender in front of the server and runs the load through it.
pub(crate) fn measure(
    contender: Contender,
    programs: &Programs,
    options: &Options,
    server: SocketAddr,
) -> anyhow::Result<Load> {
    let running = contender.start(programs, server)?;
    let clients = options.clients.to_string();
    let run = |seconds: &str| {
        let arguments = ["-n", "-S", "-M", "prepared", "-j", "1", "-c", &clients, "-T", seconds];
        pgbench(programs, running.address, &arguments)
    };
    run(WARM_UP)?;
    let cpu_time = || running.pid().map(proc::cpu_time).transpose();
    let before = cpu_time()?;
    let report = run(&options.seconds.to_string())?;
    let used = cpu_time()?.zip(before).map(|(after, before)| after.saturating_sub(before));
    let transactions = number(&report, "number of transactions actually processed: ")?;
    Ok(Load {
        transactions_per_second: number(&report, "tps = ")?,
        latency_ms: number(&report, "latency average = ")?,
        cpu_us: used.map(|used| used.as_secs_f64() * 1e6 / transactions),
    })
}

/// Runs pgbench and returns its report.
pub(crate) fn pgbench(
    programs: &Programs,
    at: SocketAddr,
    arguments: &[&str],
) -> anyhow::Result<String> {
    let output = Command::new(&programs.pgbench)
        .args(["-h", &at.ip().to_string(), "-p", &at.port().to_string(), "-U", "postgres"])
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

/// The number behind a label of pgbench's report.
pub(crate) fn number(report: &str, label: &str) -> anyhow::Result<f64> {
    let text = report.lines().find_map(|line| line.strip_prefix(label));
    let text = text.and_then(|text| text.split([' ', '/']).next());
    text.and_then(|text| text.parse().ok())
        .with_context(|| format!("pgbench's report has no {label:?}:\n{report}"))
}

/// A million rows: the whole table is in the server's memory after the warm-up.
const SCALE: &str = "10";

/// Seconds of load before the measurement.
const WARM_UP: &str = "1";
