//! What a hop costs: pgabsorb beside PgBouncer, HAProxy and no proxy at all, measured in one run.
//!
//! `cargo bench --bench compare` installs what it needs, starts one PostgreSQL, runs the same load
//! through every contender in turn, round after round, and prints tables of medians and ranges.
//! docs/performance.md says how to read them. Only ratios within one run mean anything.

mod bulk;
mod classify;
mod contender;
mod idle;
mod keeper;
mod load;
mod needs;
mod options;
mod proc;
mod report;
mod sample;
mod stand_in;
mod transaction;

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use clap::Parser as _;
use pgabsorb::cli::throwaway::{Options as ServerOptions, Throwaway};

use contender::Contender;
use load::Loads;
use needs::Programs;
use options::{Options, Part};

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    let contenders = options.contenders()?;
    let programs = Programs::find_or_install()?;
    raise_descriptor_limit()?;
    println!("{}", report::machine(&programs));
    if options.measures(Part::Load) {
        println!("{}", report::loads(options, &measure_loads(options, &contenders, &programs)?));
    }
    if options.measures(Part::Idle) {
        let proxies = contenders.iter().filter(|contender| contender.is_proxy());
        let costs = proxies
            .map(|&contender| Ok((contender, idle::measure(contender, &programs, options.idle)?)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        println!("{}", report::idle(options, &costs));
    }
    if options.measures(Part::Transaction) {
        println!("{}", transaction::measure(options, &programs)?);
    }
    if options.measures(Part::Classify) {
        println!("{}", classify::measure(options)?);
    }
    if options.measures(Part::Bulk) {
        println!("{}", bulk::measure(options, &programs)?);
    }
    Ok(())
}

fn measure_loads(
    options: &Options,
    contenders: &[Contender],
    programs: &Programs,
) -> anyhow::Result<Vec<(Contender, Loads)>> {
    let settings = ServerOptions::default()
        .setting("max_connections", &(options.clients + SPARE_CONNECTIONS).to_string())
        .setting("shared_buffers", "256MB");
    let server = Throwaway::start(&settings)?;
    load::prepare(programs, server.address())?;
    let mut results: Vec<_> =
        contenders.iter().map(|&contender| (contender, Loads::default())).collect();
    for round in 1..=options.rounds {
        for (contender, loads) in &mut results {
            let load = load::measure(*contender, programs, options, server.address())
                .with_context(|| format!("{}, round {round}", contender.name()))?;
            eprintln!("round {round}: {:<24} {load}", contender.name());
            loads.push(load);
        }
    }
    Ok(results)
}

/// Starts this program anew with room for the idle connections, which it holds at both ends and
/// every proxy in the middle; a limit can only be changed by a shell or with unsafe code.
fn raise_descriptor_limit() -> anyhow::Result<()> {
    if proc::descriptor_limit()? >= DESCRIPTORS || std::env::var_os(RAISED).is_some() {
        return Ok(());
    }
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", RAISE, &DESCRIPTORS.to_string()]).arg(std::env::current_exe()?);
    Err(shell.args(std::env::args_os().skip(1)).env(RAISED, "1").exec())
        .context("starting with more file descriptors")
}

/// Connections of the server beside those of the load: pgbench's own and the superuser's.
const SPARE_CONNECTIONS: usize = 20;

/// Enough for the default number of idle connections, twice.
const DESCRIPTORS: u64 = 8192;
const RAISED: &str = "PGABSORB_COMPARE_RAISED";
const RAISE: &str = r#"ulimit -n "$0" 2>/dev/null || ulimit -n "$(ulimit -Hn)"; exec "$@""#;
