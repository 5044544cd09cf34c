//! The load: pgbench's primary-key lookups with prepared statements, at several numbers of clients.

use std::fmt::Write as _;
use std::fs;

use anyhow::Context as _;

use crate::bench::{Bench, TRANSACTIONS, cpu_of, in_rounds, number};
use crate::contender::{Contender, MANY, Rules, SOME};
use crate::report::Table;
use crate::sample::{Sample, Wanted, mark, percentile, ratio};

/// One measurement.
#[derive(Clone, Copy, Debug)]
struct Load {
    transactions_per_second: f64,
    p50_us: f64,
    p99_us: f64,
    /// Of the proxy, for one transaction; none where there is no proxy.
    cpu_us: Option<f64>,
}

/// All rounds' measurements of one contender with so many clients.
struct Loads {
    contender: Contender,
    transactions_per_second: Sample,
    p50_us: Sample,
    p99_us: Sample,
    cpu_us: Sample,
}

/// Measures each contender with each number of clients, and prints the tables.
pub(crate) fn measure(bench: &Bench) -> anyhow::Result<String> {
    bench.fill()?;
    let contenders = bench.options.wanted(&Contender::ALL);
    let (rounds, seconds) = (bench.options.rounds, bench.options.seconds);
    let mut text = format!(
        "`pgbench -S -M prepared -j 1 -T {seconds}`: medians of {rounds} rounds (ranges)\n\n"
    );
    let mut all = Vec::new();
    for clients in &bench.options.clients {
        let name = |it: &Contender| format!("{clients} clients, {}", it.name());
        let measured = in_rounds(rounds, &contenders, name, |it| one(bench, *it, *clients))?;
        let loads: Vec<_> = contenders
            .iter()
            .zip(&measured)
            .map(|(contender, loads)| Loads::new(*contender, loads))
            .collect();
        let _infallible = writeln!(text, "{}", table(*clients, &loads));
        all.push((*clients, loads));
    }
    text += &verdicts(&all);
    Ok(text)
}

fn one(bench: &Bench, contender: Contender, clients: u16) -> anyhow::Result<Load> {
    let running = bench.run(contender)?;
    let directory = tempfile::tempdir()?;
    let prefix = directory.path().join("log").to_string_lossy().into_owned();
    let clients = clients.to_string();
    let select = ["-S", "-M", "prepared", "-j", "1", "-c", &clients, "-T"];
    bench.pgbench(running.address, &[&select[..], &[WARM_UP]].concat())?;
    let seconds = bench.options.seconds.to_string();
    let logged = [&seconds, "-l", "--sampling-rate", SAMPLED, "--log-prefix", &prefix];
    let (report, used) =
        cpu_of(&running, || bench.pgbench(running.address, &[&select[..], &logged].concat()))?;
    let mut latencies = Vec::new();
    for file in fs::read_dir(directory.path())? {
        // The third field of each line is the transaction's time in microseconds.
        let text = fs::read_to_string(file?.path())?;
        let fields = text.lines().filter_map(|line| line.split(' ').nth(2)?.parse::<u32>().ok());
        latencies.extend(fields);
    }
    latencies.sort_unstable();
    let at = |percent| {
        percentile(&latencies, percent).map(f64::from).context("pgbench has logged no transaction")
    };
    let transactions = number(&report, TRANSACTIONS)?;
    Ok(Load {
        transactions_per_second: number(&report, "tps = ")?,
        p50_us: at(50)?,
        p99_us: at(99)?,
        cpu_us: used.map(|used| used.as_secs_f64() * 1e6 / transactions),
    })
}

impl Loads {
    fn new(contender: Contender, loads: &[Load]) -> Self {
        let of = |quantity: fn(&Load) -> f64| loads.iter().map(quantity).collect();
        Self {
            contender,
            transactions_per_second: of(|it| it.transactions_per_second),
            p50_us: of(|it| it.p50_us),
            p99_us: of(|it| it.p99_us),
            cpu_us: loads.iter().filter_map(|it| it.cpu_us).collect(),
        }
    }
}

/// The medians that one number of clients is judged by.
struct References {
    throughput: Option<(Contender, f64)>,
    cpu_us: Option<f64>,
    direct_us: Option<f64>,
    added_us: Option<f64>,
}

impl References {
    fn of(loads: &[Loads]) -> Self {
        let find = |contender| loads.iter().find(|it| it.contender == contender);
        let others = [Contender::PgBouncer, Contender::HaProxy].into_iter().filter_map(find);
        let throughput = others
            .clone()
            .filter_map(|it| Some((it.contender, it.transactions_per_second.median()?)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        let direct_us = find(Contender::Direct).and_then(|it| it.p50_us.median());
        let added = others.filter_map(|it| Some(it.p50_us.median()? - direct_us?));
        Self {
            throughput,
            cpu_us: find(Contender::PgBouncer).and_then(|it| it.cpu_us.median()),
            direct_us,
            added_us: added.min_by(f64::total_cmp),
        }
    }

    fn throughput(&self, loads: &Loads) -> Option<f64> {
        ratio(loads.transactions_per_second.median(), self.throughput.map(|(_, median)| median))
    }

    fn cpu(&self, loads: &Loads) -> Option<f64> {
        ratio(loads.cpu_us.median(), self.cpu_us)
    }

    fn added(&self, loads: &Loads) -> Option<f64> {
        let added = loads.p50_us.median().zip(self.direct_us).map(|(own, direct)| own - direct);
        ratio(added.filter(|_| loads.contender != Contender::Direct), self.added_us)
    }
}

fn table(clients: u16, loads: &[Loads]) -> String {
    let references = References::of(loads);
    let better = references.throughput.map_or_else(|| "-".to_owned(), |(it, _)| it.name());
    let mut heads = vec![
        "transactions/s".to_owned(),
        "p50, us".to_owned(),
        "p99, us".to_owned(),
        "proxy CPU, us/transaction".to_owned(),
        format!("throughput / the better's ({better})"),
        "CPU / PgBouncer's".to_owned(),
    ];
    if clients == 1 {
        heads.push("p50 added / the lower of PgBouncer's and HAProxy's".to_owned());
    }
    let title = if clients == 1 { "1 client".to_owned() } else { format!("{clients} clients") };
    let mut table = Table::new(&[&title], &heads);
    for it in loads {
        let judged = |wanted| Some(wanted).filter(|_| it.contender.is_pgabsorb());
        let mut cells = vec![
            it.contender.name(),
            it.transactions_per_second.show(0),
            it.p50_us.show(0),
            it.p99_us.show(0),
            it.cpu_us.show(1),
            mark(references.throughput(it), judged(Wanted::AtLeast(1.0))),
            mark(references.cpu(it), judged(Wanted::AtMost(1.0))),
        ];
        if clients == 1 {
            cells.push(mark(references.added(it), judged(Wanted::AtMost(1.0))));
        }
        table.row(&cells);
    }
    table.text()
}

/// The figures to reach, and whether they are.
fn verdicts(all: &[(u16, Vec<Loads>)]) -> String {
    let mut table = Table::new(&["to reach"], &["wanted", "found"]);
    let [none, some, many] = [Rules::None, Rules::Unmatched(SOME), Rules::Unmatched(MANY)];
    for (clients, loads) in all {
        let references = References::of(loads);
        let find = |rules| loads.iter().find(|it| it.contender == Contender::Pgabsorb(rules));
        let mut row = |what: &str, found: Option<f64>, wanted: Wanted| {
            let what = format!("{what}, clients: {clients}");
            table.row(&[what, wanted.to_string(), mark(found, Some(wanted))]);
        };
        if *clients > 1 {
            let found = find(none).and_then(|it| references.throughput(it));
            row("no rules: throughput / the better's", found, Wanted::AtLeast(1.0));
        } else {
            let found = find(none).and_then(|it| references.added(it));
            row("no rules: p50 added / the lower's", found, Wanted::AtMost(1.0));
        }
        let found = find(none).and_then(|it| references.cpu(it));
        row("no rules: CPU / PgBouncer's", found, Wanted::AtMost(1.0));
        for (more, less, names) in [
            (some, none, format!("{SOME} rules / no rules")),
            (many, some, format!("{MANY} rules / {SOME}")),
        ] {
            let of = |quantity: fn(&Loads) -> &Sample| {
                let median = |rules| find(rules).and_then(|it| quantity(it).median());
                ratio(median(more), median(less))
            };
            let throughput = of(|it| &it.transactions_per_second);
            row(&format!("{names}: throughput"), throughput, Wanted::AtLeast(0.98));
            row(&format!("{names}: CPU"), of(|it| &it.cpu_us), Wanted::AtMost(1.02));
        }
    }
    table.text()
}

/// Seconds of load before the measurement.
const WARM_UP: &str = "1";

/// Which part of the transactions is logged.
const SAMPLED: &str = "0.1";
