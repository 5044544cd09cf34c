//! What a hop costs: pgabsorb beside PgBouncer, HAProxy and no proxy at all, measured in one run.
//!
//! `cargo bench --bench compare` installs what it needs, starts one PostgreSQL, runs the same load
//! through every contender in turn, round after round, and prints tables of medians and ranges.
//! docs/performance.md says how to read them. Only ratios within one run mean anything.

mod bench;
mod bulk;
mod classify;
mod client;
mod connections;
mod contender;
mod insert;
mod keeper;
mod load;
mod memory;
mod needs;
mod options;
mod output;
mod plot;
mod proc;
mod report;
mod sample;
mod scale;
mod stand_in;
mod transaction;
mod transfer;

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use clap::Parser as _;

use bench::Bench;
use options::{Options, Part};
use output::Output;
use rlimit::Resource;

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> anyhow::Result<()> {
    options.check()?;
    let parts = options.parts();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/performance.md");
    let output = Output::new(&options.output, Some(page).filter(|_| options.write));
    output.check(&parts.iter().map(|it| it.name()).collect::<Vec<_>>())?;
    raise_descriptor_limit().context("more file descriptors")?;
    let bench = Bench::start(options)?;
    for part in parts {
        let machine = report::machine(&bench.programs);
        let began = Instant::now();
        let tables = measure(part, &bench, &output).with_context(|| part.name())?;
        let load = report::load_average();
        let legend = if tables.contains("**") { LEGEND } else { "" };
        let text = format!("{machine}, {load} at the end.\n\n{}\n{legend}", tables.trim_end());
        println!("## {}\n\n{text}", part.name());
        eprintln!("{} took {:.0?}", part.name(), began.elapsed());
        output.text(&part.name(), &text)?;
    }
    Ok(())
}

fn measure(part: Part, bench: &Bench, output: &Output) -> anyhow::Result<String> {
    match part {
        Part::Load => load::measure(bench),
        Part::Memory => memory::measure(bench),
        Part::Connections => connections::measure(bench),
        Part::Transfer => transfer::measure(bench),
        Part::Insert => insert::measure(bench),
        Part::Transaction => transaction::measure(bench),
        Part::Bulk => bulk::measure(bench),
        Part::Classify => classify::measure(&bench.options),
        Part::Scale => scale::measure(bench, output),
    }
}

/// The proxies inherit it. Root may have more than it was given, and others what there is: the curve by
/// clients is the shorter then, and says so.
fn raise_descriptor_limit() -> io::Result<()> {
    let (_, hard) = Resource::NOFILE.get()?;
    Resource::NOFILE
        .set(DESCRIPTORS, hard.max(DESCRIPTORS))
        .or_else(|_| rlimit::increase_nofile_limit(DESCRIPTORS).map(drop))
}

/// Enough for ten thousand idle connections at both ends of this process.
const DESCRIPTORS: u64 = 24_400;

/// Below the tables of a part in which something is bold.
const LEGEND: &str = "\n**Bold**: a loss, a ratio on the wrong side of what is wanted.\n";
