//! How fast large amounts pass: a result of a million rows, COPY to the client, and COPY from it.

use std::time::Instant;

use anyhow::ensure;
use pgabsorb::wire::build;

use crate::bench::{Bench, in_rounds};
use crate::client::Client;
use crate::contender::{Contender, Rules};
use crate::report::Table;
use crate::sample::{Sample, Wanted, mark, ratio};

/// What is transferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transfer {
    Select,
    CopyOut,
    CopyIn,
}

const TRANSFERS: [Transfer; 3] = [Transfer::Select, Transfer::CopyOut, Transfer::CopyIn];

impl Transfer {
    fn name(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::CopyOut => "COPY to the client",
            Self::CopyIn => "COPY from the client",
        }
    }
}

/// What each transfer has to be.
struct Expected {
    select: u64,
    copy_out: u64,
    /// The messages that a client sends, CopyDone included.
    copy_in: Vec<u8>,
}

/// Measures each way, and prints the table.
pub(crate) fn measure(bench: &Bench) -> anyhow::Result<String> {
    bench.sql(SCHEMA)?;
    // So that the first SELECT is like the others.
    bench.sql("VACUUM ANALYZE transferred")?;
    let expected = expected(bench)?;
    let mut contenders = bench.options.wanted(&Contender::PLAIN);
    if contenders.iter().any(|it| it.is_pgabsorb()) {
        contenders.insert(2.min(contenders.len()), Contender::Pgabsorb(Rules::React(1)));
    }
    let cases: Vec<_> =
        contenders.iter().flat_map(|it| TRANSFERS.map(|transfer| (*it, transfer))).collect();
    let name =
        |(it, transfer): &(Contender, Transfer)| format!("{}, {}", transfer.name(), it.name());
    let measured = in_rounds(bench.options.rounds, &cases, name, |(contender, transfer)| {
        megabytes_per_second(bench, *contender, *transfer, &expected)
    })?;
    let samples: Vec<Sample> = measured.into_iter().map(|it| it.into_iter().collect()).collect();
    let median = |contender, transfer| {
        let place = cases.iter().position(|it| *it == (contender, transfer))?;
        samples.get(place)?.median()
    };
    let heads = TRANSFERS.iter().flat_map(|it| [format!("{}, MB/s", it.name()), BETTER.to_owned()]);
    let mut table = Table::new(&[""], &heads.collect::<Vec<_>>());
    for (contender, samples) in contenders.iter().zip(samples.chunks(TRANSFERS.len())) {
        let mut cells = vec![contender.name()];
        for (transfer, sample) in TRANSFERS.iter().zip(samples) {
            let others = [Contender::PgBouncer, Contender::HaProxy];
            let others = others.iter().filter_map(|it| median(*it, *transfer));
            let better = ratio(sample.median(), others.max_by(f64::total_cmp));
            let judged = Some(Wanted::AtLeast(1.0)).filter(|_| contender.is_pgabsorb());
            cells.extend([sample.show(0), mark(better, judged)]);
        }
        table.row(&cells);
    }
    Ok(format!(
        "{ROWS} rows, {} MB as a result and {} MB by COPY: MB/s, medians of {} rounds (ranges)\n\n{}",
        expected.select / 1_000_000,
        expected.copy_out / 1_000_000,
        bench.options.rounds,
        table.text()
    ))
}

/// The bytes that each transfer has without a proxy between; what COPY sends is made of what it gave.
fn expected(bench: &Bench) -> anyhow::Result<Expected> {
    let mut client = Client::connect(bench.server())?;
    let (select, copy_out) = (client.query(SELECT)?, client.query(COPY_OUT)?);
    let mut copy_in = Vec::new();
    for chunk in rows().as_bytes().chunks(CHUNK) {
        copy_in.extend_from_slice(&build::message(b'd', chunk));
    }
    copy_in.extend_from_slice(&build::message(b'c', &[]));
    Ok(Expected { select, copy_out, copy_in })
}

/// The rows of the table in COPY's text format.
fn rows() -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for number in 1..=ROWS {
        let _infallible = writeln!(text, "{number}\ta value of row {number:040}");
    }
    text
}

/// Measures one transfer, and sees that all of it has come.
fn megabytes_per_second(
    bench: &Bench,
    contender: Contender,
    transfer: Transfer,
    expected: &Expected,
) -> anyhow::Result<f64> {
    if transfer == Transfer::CopyIn {
        bench
            .sql("DROP TABLE IF EXISTS copied; CREATE UNLOGGED TABLE copied (LIKE transferred)")?;
    }
    let running = bench.run(contender)?;
    let mut client = Client::connect(running.address)?;
    if transfer == Transfer::CopyIn {
        client.query("COPY copied FROM STDIN")?;
    }
    let began = Instant::now();
    let (bytes, wanted) = match transfer {
        Transfer::Select => (client.query(SELECT)?, expected.select),
        Transfer::CopyOut => (client.query(COPY_OUT)?, expected.copy_out),
        Transfer::CopyIn => {
            client.exchange(&expected.copy_in)?;
            let bytes = u64::try_from(expected.copy_in.len())?;
            (bytes, bytes)
        }
    };
    let took = began.elapsed();
    ensure!(bytes == wanted, "{bytes} bytes have come, and directly {wanted} do");
    if transfer == Transfer::CopyIn {
        bench.sql(SAME)?;
    }
    Ok(f64::from(u32::try_from(bytes)?) / 1e6 / took.as_secs_f64())
}

const ROWS: u32 = 1_000_000;

const BETTER: &str = "/ the better of PgBouncer and HAProxy";

const SCHEMA: &str = "DROP TABLE IF EXISTS transferred; \
     CREATE UNLOGGED TABLE transferred (number int, value text); \
     INSERT INTO transferred SELECT n, 'a value of row ' || lpad(n::text, 40, '0') \
     FROM generate_series(1, 1000000) n";

const SELECT: &str = "SELECT * FROM transferred";

const COPY_OUT: &str = "COPY transferred TO STDOUT";

/// Fails if not each row has been copied, as it was.
const SAME: &str = "SELECT 1 / (count(*) = 1000000 AND count(*) FILTER (WHERE value <> 'a value of row ' \
     || lpad(number::text, 40, '0')) = 0 AND sum(number) = 500000500000)::int FROM copied";

/// Bytes of one CopyData: psql sends as many.
const CHUNK: usize = 8 * 1024;
