//! Instructions, as valgrind counts them.

use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, bail};

use crate::cases::{CASES, Case};

/// The argument that has a case run.
pub(crate) const RUN: &str = "--run";

/// What is run before, so that what is done once is not counted.
const BEFORE: u64 = 20;

/// Of all cases, in their order.
pub(crate) fn all() -> anyhow::Result<Vec<(&'static str, u64)>> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut figures = Vec::new();
    for some in CASES.chunks(threads) {
        let counts = thread::scope(|scope| {
            let counting: Vec<_> = some.iter().map(|case| scope.spawn(|| of(case))).collect();
            counting.into_iter().map(|it| it.join().expect("no panic")).collect::<Vec<_>>()
        });
        for (case, count) in some.iter().zip(counts) {
            figures.push((case.name, count?));
        }
    }
    Ok(figures)
}

/// Of one time of a case: what more times take more.
fn of(case: &Case) -> anyhow::Result<u64> {
    let (few, many) = (run(case, BEFORE)?, run(case, BEFORE + case.times)?);
    let more = many.checked_sub(few).context("more times take fewer instructions")?;
    Ok(more / case.times)
}

fn run(case: &Case, times: u64) -> anyhow::Result<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.arg(std::env::current_exe()?).args([RUN, case.name, &times.to_string()]);
    let output = command.stdin(Stdio::null()).output().context(
        "valgrind, which counts instructions, does not run; on Debian or Ubuntu: apt-get install \
         valgrind",
    )?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{} failed: {said}", case.name);
    }
    let line = said.lines().find_map(|line| line.split_once("Collected : "));
    let (_, number) = line.with_context(|| format!("valgrind counted nothing: {said}"))?;
    number.trim().parse().with_context(|| format!("{number:?} is no number"))
}
