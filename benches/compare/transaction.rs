//! What the savepoint around an INSERT costs: transactions of INSERTs without duplicates, through
//! pgabsorb with and without a rule that guards them, and with savepoints of the client's own.

use std::fs;
use std::time::Duration;

use crate::bench::{Bench, in_rounds, number};
use crate::contender::{Contender, Rules, SCHEMA};
use crate::report::Table;
use crate::sample::{Sample, Wanted, mark, ratio};

/// Who inserts how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// No rule, no savepoint: what the others are compared with.
    Plain,
    /// A rule lists the key.
    Guarded,
    /// The client sends SAVEPOINT before and RELEASE behind, and waits for each.
    OwnSavepoints,
}

impl Way {
    const ALL: [Self; 3] = [Self::Plain, Self::Guarded, Self::OwnSavepoints];

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "no rules",
            Self::Guarded => "guarded by a rule",
            Self::OwnSavepoints => "no rules, savepoints by the client",
        }
    }

    fn contender(self) -> Contender {
        match self {
            Self::Guarded => Contender::Pgabsorb(Rules::React(1)),
            Self::Plain | Self::OwnSavepoints => Contender::Pgabsorb(Rules::None),
        }
    }

    /// A transaction for pgbench.
    fn script(self) -> String {
        let insert = match self {
            Self::OwnSavepoints => format!("SAVEPOINT s;\n{INSERT}RELEASE s;\n"),
            Self::Plain | Self::Guarded => INSERT.to_owned(),
        };
        format!("BEGIN;\n{}ROLLBACK;\n", insert.repeat(INSERTS.into()))
    }
}

/// Measures each way in each of pgbench's protocols, and prints the table.
pub(crate) fn measure(bench: &Bench) -> anyhow::Result<String> {
    bench.sql(SCHEMA)?;
    let cases: Vec<_> =
        PROTOCOLS.into_iter().flat_map(|it| Way::ALL.map(|way| (it, way))).collect();
    let name = |(protocol, way): &(&str, Way)| format!("{protocol}, {}", way.name());
    let measured = in_rounds(bench.options.rounds, &cases, name, |(protocol, way)| {
        latency(bench, way.contender(), protocol, &way.script(), bench.options.short())
    })?;
    let samples: Vec<Sample> = measured.into_iter().map(|it| it.into_iter().collect()).collect();
    let mut table = Table::new(&["pgbench -M", ""], &["us", "/ no rules"]);
    for ((protocol, way), sample) in cases.iter().zip(&samples) {
        let plain = cases.iter().position(|it| *it == (*protocol, Way::Plain));
        let plain = plain.and_then(|place| samples.get(place)?.median());
        let wanted = Some(Wanted::AtMost(1.25)).filter(|_| *way == Way::Guarded);
        let of_plain = mark(ratio(sample.median(), plain), wanted);
        table.row(&[(*protocol).to_owned(), way.name().to_owned(), sample.show(1), of_plain]);
    }
    Ok(format!(
        "Transactions of {INSERTS} INSERTs through pgabsorb at one client, `-T {}`: microseconds of an \
         INSERT, medians of {} rounds (ranges); wanted is at most 1.25\n\n{}",
        bench.options.short().as_secs(),
        bench.options.rounds,
        table.text()
    ))
}

/// Microseconds of one guarded INSERT of a transaction in which nothing is a duplicate.
pub(crate) fn guarded(bench: &Bench, contender: Contender, time: Duration) -> anyhow::Result<f64> {
    latency(bench, contender, "prepared", &Way::Guarded.script(), time)
}

/// Microseconds of one INSERT.
fn latency(
    bench: &Bench,
    contender: Contender,
    protocol: &str,
    script: &str,
    time: Duration,
) -> anyhow::Result<f64> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("script.sql");
    fs::write(&file, script)?;
    let running = bench.run(contender)?;
    let seconds = time.as_secs().to_string();
    let arguments = ["-M", protocol, "-c", "1", "-f", &file.to_string_lossy(), "-T", &seconds];
    let report = bench.pgbench(running.address, &arguments)?;
    Ok(number(&report, "latency average = ")? * 1e3 / f64::from(INSERTS))
}

const PROTOCOLS: [&str; 3] = ["simple", "extended", "prepared"];

/// INSERTs of one transaction: enough that BEGIN and ROLLBACK matter little.
const INSERTS: u8 = 50;

const INSERT: &str =
    "\\set key random(1, 1000000000000000)\nINSERT INTO guarded VALUES (:key, 'value');\n";
