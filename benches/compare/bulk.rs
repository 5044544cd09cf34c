//! What a bulk load costs: INSERTs of which every tenth is a duplicate, in one pipeline, plain ones
//! through pgabsorb with a rule that rewrites them, and others with an ON CONFLICT written by hand.

use std::time::Instant;

use anyhow::Context as _;
use pgabsorb::wire::build;

use crate::bench::{Bench, in_rounds};
use crate::client::{Client, bind};
use crate::contender::{Contender, Rules, SCHEMA};
use crate::report::Table;
use crate::sample::{Sample, Wanted, mark, ratio};

const REWRITES: Contender = Contender::Pgabsorb(Rules::Rewrite);

/// Through whom the load goes.
const WAYS: [Contender; 5] = [
    Contender::Direct,
    REWRITES,
    Contender::Pgabsorb(Rules::None),
    Contender::PgBouncer,
    Contender::HaProxy,
];

/// Measures each way, and prints the table.
pub(crate) fn measure(bench: &Bench) -> anyhow::Result<String> {
    let ways = bench.options.wanted(&WAYS);
    let name = |it: &Contender| format!("bulk, {}", it.name());
    let measured = in_rounds(bench.options.rounds, &ways, name, |it| rows_per_second(bench, *it))?;
    let samples: Vec<Sample> = measured.into_iter().map(|it| it.into_iter().collect()).collect();
    let direct = ways.iter().position(|it| *it == Contender::Direct);
    let direct = direct.and_then(|place| samples.get(place)?.median());
    let mut table = Table::new(&["", "ON CONFLICT"], &["rows/s", "/ direct"]);
    for (way, sample) in ways.iter().zip(&samples) {
        let clause = if *way == REWRITES { "by the rule" } else { "by hand" };
        let wanted = Some(Wanted::AtLeast(0.9)).filter(|_| way.is_pgabsorb());
        let of_direct = mark(ratio(sample.median(), direct), wanted);
        table.row(&[way.name(), clause.to_owned(), sample.show(0), of_direct]);
    }
    Ok(format!(
        "A load of {ROWS} rows in one pipeline, every tenth a duplicate: rows/s, medians of {} \
         rounds (ranges); wanted is at least 0.9 of the load sent directly\n\n{}",
        bench.options.rounds,
        table.text()
    ))
}

/// Loads the rows into an empty table, and sees that they are there.
fn rows_per_second(bench: &Bench, way: Contender) -> anyhow::Result<f64> {
    bench.sql(SCHEMA)?;
    let running = bench.run(way)?;
    let mut client = Client::connect(running.address)?;
    let load = pipeline(if way == REWRITES { PLAIN } else { BY_HAND });
    let began = Instant::now();
    client.exchange(&load)?;
    let took = began.elapsed();
    bench.sql(CHECK).context("other rows were stored than were sent")?;
    Ok(f64::from(ROWS) / took.as_secs_f64())
}

/// One pipeline, as an `executemany` sends it.
fn pipeline(text: &str) -> Vec<u8> {
    let mut pipeline = build::parse(b"load", text.as_bytes(), &[0, 0]).to_vec();
    for number in 0..ROWS {
        let key = (number - number % 10 / 9).to_string();
        pipeline.extend_from_slice(&bind("load", &[&key, "some value"]));
        pipeline.extend_from_slice(&build::execute(b"", 0));
    }
    pipeline.extend_from_slice(&build::sync());
    pipeline
}

const ROWS: u32 = 100_000;

const PLAIN: &str = "INSERT INTO guarded VALUES ($1, $2)";

const BY_HAND: &str = "INSERT INTO guarded VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";

/// Fails if not nine of ten rows are there.
const CHECK: &str = "SELECT 1 / (count(*) = 90000)::int FROM guarded";
