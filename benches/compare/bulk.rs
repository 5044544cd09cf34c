//! What a bulk load costs: INSERTs of which every tenth is a duplicate, in one pipeline, plain ones
//! through pgabsorb with a rule that rewrites them, and others with an ON CONFLICT written by hand.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Instant;

use anyhow::Context as _;
use pgabsorb::cli::throwaway::{Options as ServerOptions, Throwaway};
use pgabsorb::wire::build;

use crate::contender::Contender;
use crate::idle::{connection, wait_until_ready};
use crate::needs::Programs;
use crate::options::Options;
use crate::report::ratio;
use crate::sample::Sample;

/// Through whom the load goes.
const WAYS: [Contender; 5] = [
    Contender::Direct,
    Contender::PgabsorbRewrites,
    Contender::Pgabsorb,
    Contender::PgBouncer,
    Contender::HaProxy,
];

/// Measures each way, and prints the table.
pub(crate) fn measure(options: &Options, programs: &Programs) -> anyhow::Result<String> {
    let server = Throwaway::start(&ServerOptions::default())?;
    let mut samples: Vec<_> = WAYS.iter().map(|way| (*way, Sample::default())).collect();
    for round in 1..=options.rounds {
        for (way, sample) in &mut samples {
            let rows = rows_per_second(*way, programs, server.address())
                .with_context(|| format!("{}, round {round}", way.name()))?;
            eprintln!("round {round}: {:<28} {rows:.0} rows/s", way.name());
            sample.push(rows);
        }
    }
    Ok(table(options, &samples))
}

/// Loads the rows into an empty table, and sees that they are there.
fn rows_per_second(way: Contender, programs: &Programs, server: SocketAddr) -> anyhow::Result<f64> {
    let mut direct = connection(server)?;
    query(&mut direct, SCHEMA)?;
    let running = way.start(programs, server)?;
    let stream = connection(running.address)?;
    let began = Instant::now();
    load(&stream, if way == Contender::PgabsorbRewrites { PLAIN } else { BY_HAND })?;
    let took = began.elapsed();
    query(&mut direct, CHECK).context("other rows were stored than were sent")?;
    Ok(f64::from(ROWS) / took.as_secs_f64())
}

/// One pipeline, as an `executemany` sends it; the replies are read while it is written.
fn load(mut stream: &TcpStream, text: &str) -> anyhow::Result<()> {
    let mut reader = stream.try_clone()?;
    let replies = thread::spawn(move || wait_until_ready(&mut reader));
    let mut flight = build::parse(b"load", text.as_bytes(), &[0, 0]).to_vec();
    for number in 0..ROWS {
        let key = (number - number % 10 / 9).to_string();
        flight.extend_from_slice(&build::bind(b"", b"load", &values(&[&key, "some value"])));
        flight.extend_from_slice(&build::execute(b"", 0));
        if flight.len() > FLIGHT {
            stream.write_all(&flight)?;
            flight.clear();
        }
    }
    flight.extend_from_slice(&build::sync());
    stream.write_all(&flight)?;
    replies.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?
}

/// Parameters in text format, as a Bind has them.
fn values(parameters: &[&str]) -> Vec<u8> {
    let count = |length: usize| u16::try_from(length).unwrap_or_default().to_be_bytes();
    let mut out = vec![0, 0];
    out.extend(count(parameters.len()));
    for parameter in parameters {
        out.extend([0, 0]);
        out.extend(count(parameter.len()));
        out.extend(parameter.as_bytes());
    }
    out.extend([0, 0]);
    out
}

fn query(stream: &mut TcpStream, text: &str) -> anyhow::Result<()> {
    stream.write_all(&build::query(text.as_bytes()))?;
    wait_until_ready(stream)
}

fn table(options: &Options, samples: &[(Contender, Sample)]) -> String {
    let mut text = format!(
        "A load of {ROWS} rows in one pipeline, every tenth a duplicate: rows/s, medians of {} \
         rounds (ranges)\n\n| | ON CONFLICT | rows/s | / direct |\n|---|---|--:|--:|\n",
        options.rounds
    );
    let direct = samples.first().and_then(|(_, sample)| sample.median());
    for (way, sample) in samples {
        let clause = if *way == Contender::PgabsorbRewrites { "by the rule" } else { "by hand" };
        let of_direct = ratio(sample.median(), direct);
        let shown = sample.show(0);
        let _infallible = writeln!(text, "| {} | {clause} | {shown} | {of_direct} |", way.name());
    }
    text
}

const ROWS: u32 = 100_000;

/// Bytes that are written at once.
const FLIGHT: usize = 32 * 1024;

const SCHEMA: &str =
    "DROP TABLE IF EXISTS loads; CREATE TABLE loads (key bigint PRIMARY KEY, value text)";

const PLAIN: &str = "INSERT INTO loads VALUES ($1, $2)";

const BY_HAND: &str = "INSERT INTO loads VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";

/// Fails if not nine of ten rows are there.
const CHECK: &str = "SELECT 1 / (count(*) = 90000)::int FROM loads";
