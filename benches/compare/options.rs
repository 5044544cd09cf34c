//! The command line.

use anyhow::bail;
use clap::{Parser, ValueEnum};

use crate::contender::Contender;

/// Compares pgabsorb with PgBouncer, HAProxy and a direct connection.
#[derive(Debug, Parser)]
#[command(name = "compare")]
pub(crate) struct Options {
    /// How often each contender is measured.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// How long each measurement of a load takes.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: u32,
    /// Clients of the load, all on one thread of pgbench.
    #[arg(long, default_value_t = 8)]
    pub(crate) clients: usize,
    /// Idle connections that memory is measured with.
    #[arg(long, default_value_t = 2000)]
    pub(crate) idle: u32,
    /// Only these contenders, by the names of the tables; commas between several.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only this part.
    #[arg(long)]
    part: Option<Part>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Throughput, latency and CPU time under load.
    Load,
    /// Memory per idle connection.
    Idle,
    /// The savepoint around an INSERT inside a transaction.
    Transaction,
    /// A pipeline of INSERTs with duplicates.
    Bulk,
    /// Reading the texts of INSERTs.
    Classify,
}

impl Options {
    /// The contenders to measure, in the order of the tables.
    pub(crate) fn contenders(&self) -> anyhow::Result<Vec<Contender>> {
        let known = |name: &&String| Contender::ALL.iter().any(|it| it.key() == name.as_str());
        if let Some(name) = self.only.iter().find(|name| !known(name)) {
            bail!(
                "--only {name}: the contenders are {}",
                Contender::ALL.map(Contender::key).join(", ")
            );
        }
        let wanted =
            |it: &Contender| self.only.is_empty() || self.only.iter().any(|n| n == it.key());
        Ok(Contender::ALL.into_iter().filter(wanted).collect())
    }

    pub(crate) fn measures(&self, part: Part) -> bool {
        self.part.is_none_or(|only| only == part)
    }
}
