//! What the savepoint around an INSERT costs: transactions of INSERTs without duplicates, through
//! pgabsorb with and without a rule that guards them, and with savepoints of the client's own.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;

use anyhow::Context as _;
use pgabsorb::cli::throwaway::{Options as ServerOptions, Throwaway};

use crate::contender::Contender;
use crate::load::{number, pgbench};
use crate::needs::Programs;
use crate::options::Options;
use crate::report::ratio;
use crate::sample::Sample;

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
            Self::Guarded => Contender::PgabsorbGuards,
            Self::Plain | Self::OwnSavepoints => Contender::Pgabsorb,
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
pub(crate) fn measure(options: &Options, programs: &Programs) -> anyhow::Result<String> {
    let server = Throwaway::start(&ServerOptions::default())?;
    let directory = tempfile::tempdir()?;
    let script = |way: Way| directory.path().join(format!("{way:?}.sql"));
    for way in Way::ALL {
        fs::write(script(way), way.script())?;
    }
    let schema = directory.path().join("schema.sql");
    fs::write(&schema, SCHEMA)?;
    pgbench(programs, server.address(), &["-n", "-t", "1", "-f", &schema.to_string_lossy()])?;

    let cases = PROTOCOLS.into_iter().flat_map(|it| Way::ALL.map(|way| (it, way)));
    let mut samples: Vec<_> = cases.map(|case| (case, Sample::default())).collect();
    for round in 1..=options.rounds {
        for ((protocol, way), sample) in &mut samples {
            let script = script(*way);
            let latency = latency(
                *way,
                protocol,
                &script.to_string_lossy(),
                programs,
                options,
                server.address(),
            )
            .with_context(|| format!("{}, {protocol}, round {round}", way.name()))?;
            eprintln!("round {round}: {protocol:<8} {:<34} {latency:.1} us", way.name());
            sample.push(latency);
        }
    }
    Ok(table(options, &samples))
}

/// Microseconds of one INSERT.
fn latency(
    way: Way,
    protocol: &str,
    script: &str,
    programs: &Programs,
    options: &Options,
    server: SocketAddr,
) -> anyhow::Result<f64> {
    let running = way.contender().start(programs, server)?;
    let seconds = options.seconds.to_string();
    let arguments = ["-n", "-M", protocol, "-c", "1", "-f", script, "-T", &seconds];
    let report = pgbench(programs, running.address, &arguments)?;
    Ok(number(&report, "latency average = ")? * 1e3 / f64::from(INSERTS))
}

fn table(options: &Options, samples: &[((&str, Way), Sample)]) -> String {
    let mut text = format!(
        "Transactions of {INSERTS} INSERTs at one client, `-T {}`: microseconds of an INSERT, \
         medians of {} rounds (ranges)\n\n\
         | pgbench -M | | us | / no rules |\n|---|---|--:|--:|\n",
        options.seconds, options.rounds
    );
    for ((protocol, way), sample) in samples {
        let plain = samples.iter().find(|(case, _)| *case == (*protocol, Way::Plain));
        let of_plain = ratio(sample.median(), plain.and_then(|(_, plain)| plain.median()));
        let _infallible =
            writeln!(text, "| {protocol} | {} | {} | {of_plain} |", way.name(), sample.show(1));
    }
    text
}

const PROTOCOLS: [&str; 3] = ["simple", "extended", "prepared"];

/// INSERTs of one transaction: enough that BEGIN and ROLLBACK matter little.
const INSERTS: u8 = 50;

const INSERT: &str =
    "\\set key random(1, 1000000000000000)\nINSERT INTO guarded VALUES (:key, 'value');\n";

const SCHEMA: &str = "CREATE TABLE guarded (key bigint PRIMARY KEY, value text);\n";
