//! By rules: what a SELECT and a guarded INSERT take at one client, with more and more of them.

use super::{Figure, columns};
use crate::bench::{Bench, in_rounds, number};
use crate::contender::{Contender, Rules, SCHEMA};
use crate::plot::Scale;
use crate::transaction;

/// Measures both, with each number of rules, the last of which lists the table's key.
pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    bench.fill()?;
    bench.sql(SCHEMA)?;
    let cases: Vec<_> = [SELECT, INSERT]
        .into_iter()
        .flat_map(|name| RULES.map(|rules| (name.to_owned(), rules)))
        .collect();
    let name = |(name, rules): &(String, u32)| format!("{rules} rules, {name}");
    let rounds = bench.options.few_rounds();
    let measured = in_rounds(rounds, &cases, name, |(name, rules)| {
        let contender = Contender::Pgabsorb(Rules::React(*rules));
        if name == INSERT {
            transaction::guarded(bench, contender, bench.options.short())
        } else {
            select(bench, contender)
        }
    })?;
    Ok(vec![Figure {
        file: "rules",
        title: "Time of a statement by rules",
        x: "rules",
        y: "us, at one client",
        scale: Scale::Linear,
        decimals: 1,
        columns: columns(&cases, &measured, |us| Some(*us)),
        note: String::new(),
    }])
}

fn select(bench: &Bench, contender: Contender) -> anyhow::Result<f64> {
    let running = bench.run(contender)?;
    let seconds = bench.options.short().as_secs().to_string();
    let arguments = ["-S", "-M", "prepared", "-c", "1", "-T", &seconds];
    let report = bench.pgbench(running.address, &arguments)?;
    Ok(number(&report, "latency average = ")? * 1e3)
}

const RULES: [u32; 5] = [1, 10, 100, 1000, 10_000];

const SELECT: &str = "SELECT";

const INSERT: &str = "guarded INSERT in a transaction";
