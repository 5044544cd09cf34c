//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::{Parser, ValueEnum};

use crate::contender::Contender;

/// What a hop costs: compares pgabsorb with PgBouncer, HAProxy and a direct connection, prints tables of
/// medians and ranges, and draws curves.
///
/// What is needed is installed by apt where that is possible. All parts with 5 rounds take about half
/// an hour, on a machine that should have nothing else to do. docs/performance.md says what each part
/// measures.
#[derive(Debug, Parser)]
#[command(name = "compare")]
pub(crate) struct Options {
    /// How often everything is measured; memory and the curves, at most 3 times.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// How long each measurement of load and connections takes; those of other parts, 2 at most.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: u32,
    /// Clients of the load, all on one thread of pgbench; commas between several.
    #[arg(long, value_delimiter = ',', default_value = "1,8,64",
        value_parser = clap::value_parser!(u16).range(1..=900))]
    pub(crate) clients: Vec<u16>,
    /// Idle connections that memory is measured with.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) idle: u16,
    /// Only these contenders, where several are compared: direct, pgabsorb, pgbouncer, haproxy.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only these parts; commas between several.
    #[arg(long = "part", value_delimiter = ',')]
    parts: Vec<Part>,
    /// Where the tables and plots are left, beside what is printed.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/compare"))]
    pub(crate) output: PathBuf,
    /// Puts them in docs/performance.md and docs/performance as well, in the place of the last ones.
    #[arg(long)]
    pub(crate) write: bool,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Throughput, latency and CPU time under load.
    Load,
    /// Memory per idle connection, and per busy one.
    Memory,
    /// Connections per second, and CPU time of each.
    Connections,
    /// MB/s of a large result, and of COPY both ways.
    Transfer,
    /// INSERTs with and without duplicates, in autocommit and in transactions.
    Insert,
    /// The savepoint around an INSERT inside a transaction, in each of pgbench's protocols.
    Transaction,
    /// A pipeline of INSERTs with duplicates.
    Bulk,
    /// Reading the texts of INSERTs.
    Classify,
    /// Curves: by clients, rules, depth of a pipeline and size of a message.
    Scale,
}

impl Options {
    /// Those of `contenders` that are to be measured.
    pub(crate) fn wanted(&self, contenders: &[Contender]) -> Vec<Contender> {
        let wanted =
            |it: &&Contender| self.only.is_empty() || self.only.iter().any(|n| n == it.key());
        contenders.iter().filter(wanted).copied().collect()
    }

    /// Fails if a name is nobody's.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let known = |name: &&String| Contender::ALL.iter().any(|it| it.key() == name.as_str());
        match self.only.iter().find(|name| !known(name)) {
            Some(name) => bail!("--only {name}: direct, pgabsorb, pgbouncer, haproxy are compared"),
            None => Ok(()),
        }
    }

    /// The parts to measure, in the order of the page.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let wanted = |part: &&Part| self.parts.is_empty() || self.parts.contains(part);
        Part::value_variants().iter().filter(wanted).copied().collect()
    }

    /// How long a measurement takes that needs less than the load's.
    pub(crate) fn short(&self) -> Duration {
        Duration::from_secs(self.seconds.min(2).into())
    }

    /// How often is measured what varies little.
    pub(crate) fn few_rounds(&self) -> u32 {
        self.rounds.min(3)
    }
}

impl Part {
    /// The name on the command line, and in the page.
    pub(crate) fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}
