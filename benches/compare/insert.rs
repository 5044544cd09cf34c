//! What INSERTs cost with and without duplicates: absorbed by pgabsorb, avoided by an ON CONFLICT written
//! by hand, or caught by the client.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::future::try_join_all;
use tokio_postgres::error::SqlState;
use tokio_postgres::{NoTls, Statement};

use crate::bench::{Bench, in_rounds};
use crate::contender::{Contender, Rules, SCHEMA};
use crate::report::Table;
use crate::sample::{Sample, Wanted, mark, ratio};

/// Who sees to the duplicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The ON CONFLICT of the client's own text, without a proxy.
    ByHand,
    React,
    Rewrite,
    /// The client, behind pgabsorb without rules; in transactions by savepoints of its own.
    CaughtBehind,
    /// The client, without a proxy.
    Caught,
}

const WAYS: [Way; 5] = [Way::ByHand, Way::React, Way::Rewrite, Way::CaughtBehind, Way::Caught];

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::ByHand => "direct, ON CONFLICT by hand",
            Self::React => "pgabsorb, a rule reacts",
            Self::Rewrite => "pgabsorb, a rule rewrites",
            Self::CaughtBehind => "pgabsorb, no rules, the client catches the error",
            Self::Caught => "direct, the client catches the error",
        }
    }

    fn contender(self) -> Contender {
        match self {
            Self::React => Contender::Pgabsorb(Rules::React(1)),
            Self::Rewrite => Contender::Pgabsorb(Rules::Rewrite),
            Self::CaughtBehind => Contender::Pgabsorb(Rules::None),
            Self::ByHand | Self::Caught => Contender::Direct,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::ByHand => "INSERT INTO guarded VALUES ($1, $2) ON CONFLICT (key) DO NOTHING",
            _ => "INSERT INTO guarded VALUES ($1, $2)",
        }
    }

    fn catches(self) -> bool {
        matches!(self, Self::Caught | Self::CaughtBehind)
    }
}

/// Whether each INSERT is a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Autocommit,
    Transactions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Case {
    mode: Mode,
    clients: usize,
    way: Way,
    /// How many of a hundred INSERTs are duplicates.
    duplicates: i64,
}

/// Measures each case, and prints the tables.
pub(crate) fn measure(bench: &Bench) -> anyhow::Result<String> {
    let blocks: Vec<_> = [Mode::Autocommit, Mode::Transactions]
        .into_iter()
        .flat_map(|mode| CLIENTS.map(|clients| (mode, clients)))
        .collect();
    let cases: Vec<_> = blocks
        .iter()
        .flat_map(|(mode, clients)| WAYS.map(|way| (*mode, *clients, way)))
        .flat_map(|(mode, clients, way)| {
            DUPLICATES.map(|duplicates| Case { mode, clients, way, duplicates })
        })
        .collect();
    let name = |it: &Case| {
        let Case { mode, clients, duplicates, way } = it;
        format!("{mode:?}, {clients} clients, {duplicates} % duplicates, {}", way.name())
    };
    let measured = in_rounds(bench.options.rounds, &cases, name, |case| one(bench, *case))?;
    let samples: Vec<(_, Sample)> = cases
        .into_iter()
        .zip(measured)
        .map(|(case, rates)| (case, rates.into_iter().collect()))
        .collect();
    let mut text = format!(
        "INSERTs a second, medians of {} rounds (ranges), and ratios to ON CONFLICT by hand\n\n",
        bench.options.rounds
    );
    for (mode, clients) in blocks {
        text += &table(mode, clients, &samples);
        text.push('\n');
    }
    Ok(text)
}

fn table(mode: Mode, clients: usize, samples: &[(Case, Sample)]) -> String {
    let label = match mode {
        Mode::Autocommit => format!("autocommit, clients: {clients}"),
        Mode::Transactions => format!("transactions of {TOGETHER}, clients: {clients}"),
    };
    let heads: Vec<_> = DUPLICATES
        .iter()
        .flat_map(|it| [format!("{it} % duplicates"), "/ by hand".to_owned()])
        .collect();
    let mut table = Table::new(&[&label], &heads);
    for way in WAYS {
        let mut cells = vec![way.name().to_owned()];
        for duplicates in DUPLICATES {
            let find = |way| {
                let case = Case { mode, clients, way, duplicates };
                samples.iter().find(|(it, _)| *it == case).map(|(_, sample)| sample)
            };
            let by_hand = find(Way::ByHand).and_then(Sample::median);
            let found = ratio(find(way).and_then(Sample::median), by_hand);
            let judged =
                Some(Wanted::AtLeast(1.0)).filter(|_| matches!(way, Way::React | Way::Rewrite));
            cells.push(find(way).cloned().unwrap_or_default().show(0));
            cells.push(mark(found, judged));
        }
        table.row(&cells);
    }
    table.text()
}

/// INSERTs a second; each new row is in the table afterwards, and each is there once.
fn one(bench: &Bench, case: Case) -> anyhow::Result<f64> {
    bench.sql(SCHEMA)?;
    bench.sql(&format!(
        "INSERT INTO guarded SELECT -n, 'there' FROM generate_series(1, {THERE}) n"
    ))?;
    let running = bench.run(case.way.contender())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let keys = AtomicI64::new(0);
    let rate = runtime.block_on(rate(running.address, case, &keys))?;
    let wanted = THERE + keys.load(Ordering::Relaxed);
    bench
        .sql(&format!("SELECT 1 / (count(*) = {wanted})::int FROM guarded"))
        .context("other rows are stored than were sent")?;
    Ok(rate)
}

async fn rate(address: SocketAddr, case: Case, keys: &AtomicI64) -> anyhow::Result<f64> {
    let connected = (0..case.clients).map(|_| Inserter::connect(address, case, keys));
    let inserters = try_join_all(connected).await?;
    try_join_all(inserters.iter().map(|it| it.insert_for(WARM_UP))).await?;
    let began = Instant::now();
    let sent = try_join_all(inserters.iter().map(|it| it.insert_for(MEASURED))).await?;
    Ok(f64::from(sent.iter().sum::<u32>()) / began.elapsed().as_secs_f64())
}

/// One client.
struct Inserter<'a> {
    client: tokio_postgres::Client,
    insert: Statement,
    case: Case,
    /// The last new key of all clients.
    keys: &'a AtomicI64,
}

impl<'a> Inserter<'a> {
    async fn connect(address: SocketAddr, case: Case, keys: &'a AtomicI64) -> anyhow::Result<Self> {
        let (client, connection) = tokio_postgres::Config::new()
            .host(address.ip().to_string())
            .port(address.port())
            .user("postgres")
            .dbname("postgres")
            .connect(NoTls)
            .await?;
        // Its error is the client's as well.
        tokio::spawn(async move { drop(connection.await) });
        let insert = client.prepare(case.way.text()).await?;
        Ok(Self { client, insert, case, keys })
    }

    /// Inserts until the time is over, and says how often.
    async fn insert_for(&self, time: Duration) -> anyhow::Result<u32> {
        let began = Instant::now();
        let mut sent = 0;
        while began.elapsed() < time {
            let together = match self.case.mode {
                Mode::Autocommit => 1,
                Mode::Transactions => TOGETHER,
            };
            if together > 1 {
                self.client.batch_execute("BEGIN").await?;
            }
            for _ in 0..together {
                self.insert(i64::from(sent)).await?;
                sent += 1;
            }
            if together > 1 {
                self.client.batch_execute("COMMIT").await?;
            }
        }
        Ok(sent)
    }

    async fn insert(&self, number: i64) -> anyhow::Result<()> {
        // 0 % is none, 10 % the last of each ten, 100 % all.
        let is_duplicate =
            (number + 1) * self.case.duplicates / 100 > number * self.case.duplicates / 100;
        let key = if is_duplicate {
            -1 - number % THERE
        } else {
            self.keys.fetch_add(1, Ordering::Relaxed) + 1
        };
        let savepoint = self.case.way.catches() && self.case.mode == Mode::Transactions;
        if savepoint {
            self.client.batch_execute("SAVEPOINT s").await?;
        }
        let end = match self.client.execute(&self.insert, &[&key, &"some value"]).await {
            Ok(_) => "RELEASE s",
            Err(error)
                if self.case.way.catches() && error.code() == Some(&SqlState::UNIQUE_VIOLATION) =>
            {
                "ROLLBACK TO s; RELEASE s"
            }
            Err(error) => return Err(error.into()),
        };
        if savepoint {
            self.client.batch_execute(end).await?;
        }
        Ok(())
    }
}

const CLIENTS: [usize; 2] = [1, 8];

const DUPLICATES: [i64; 3] = [0, 10, 100];

/// INSERTs of one transaction.
const TOGETHER: u32 = 50;

/// Rows that are there before.
const THERE: i64 = 1000;

const WARM_UP: Duration = Duration::from_millis(100);

const MEASURED: Duration = Duration::from_secs(1);
