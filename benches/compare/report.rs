//! The tables.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::{fs, thread};

use crate::contender::Contender;
use crate::load::Loads;
use crate::needs::Programs;
use crate::options::Options;
use crate::sample::Sample;

/// The machine's kind, how busy it is already, and the versions of what is compared.
pub(crate) fn machine(programs: &Programs) -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.split('-').next().unwrap_or_default().trim();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!(
        "{cores} cores, Linux {kernel}, load average {load} at the start; {}; {}; {}\n",
        version(&programs.pgbench, "--version"),
        version(&programs.pgbouncer, "--version"),
        version(&programs.haproxy, "-v"),
    )
}

fn version(program: &Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let text =
        output.map(|it| String::from_utf8_lossy(&it.stdout).into_owned()).unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    line.split(" - ").next().unwrap_or_default().to_owned()
}

/// Throughput, latency and CPU time under load.
pub(crate) fn loads(options: &Options, results: &[(Contender, Loads)]) -> String {
    let reference = results.iter().find(|(contender, _)| *contender == Contender::PgBouncer);
    let mut text = format!(
        "`pgbench -S -M prepared -c {} -j 1 -T {}`: medians of {} rounds (ranges)\n\n\
         | | transactions/s | latency, ms | proxy CPU, us/transaction | throughput / PgBouncer's \
         | CPU / PgBouncer's |\n|---|--:|--:|--:|--:|--:|\n",
        options.clients, options.seconds, options.rounds
    );
    for (contender, loads) in results {
        let of_reference = |quantity: fn(&Loads) -> &Sample| {
            let reference = reference.and_then(|(_, loads)| quantity(loads).median());
            ratio(quantity(loads).median(), reference)
        };
        let _infallible = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            contender.name(),
            loads.transactions_per_second.show(0),
            loads.latency_ms.show(3),
            loads.cpu_us.show(1),
            of_reference(|loads| &loads.transactions_per_second),
            of_reference(|loads| &loads.cpu_us),
        );
    }
    text
}

/// Memory per idle connection.
pub(crate) fn idle(options: &Options, costs: &[(Contender, f64)]) -> String {
    let mut text = format!(
        "Resident memory per idle connection, {} connections to a stand-in server\n\n\
         | | KiB |\n|---|--:|\n",
        options.idle
    );
    for (contender, bytes) in costs {
        let _infallible = writeln!(text, "| {} | {:.1} |", contender.name(), bytes / 1024.0);
    }
    text
}

/// How many times the reference a value is, for a table.
pub(crate) fn ratio(value: Option<f64>, reference: Option<f64>) -> String {
    match (value, reference) {
        (Some(value), Some(reference)) => format!("{:.2}", value / reference),
        _ => "-".to_owned(),
    }
}
