//! How many connections a second each way takes: pgbench with a connection for each transaction.

use crate::bench::{Bench, TRANSACTIONS, cpu_of, in_rounds, number};
use crate::contender::Contender;
use crate::report::Table;
use crate::sample::{Sample, Wanted, mark, ratio};

/// Measures each way, and prints the table.
pub(crate) fn measure(bench: &Bench) -> anyhow::Result<String> {
    bench.fill()?;
    let contenders = bench.options.wanted(&Contender::ALL);
    let name = |it: &Contender| format!("connections, {}", it.name());
    let measured = in_rounds(bench.options.rounds, &contenders, name, |it| one(bench, *it))?;
    let seconds = bench.options.seconds;
    let samples: Vec<(_, Sample, Sample)> = contenders
        .iter()
        .zip(&measured)
        .map(|(it, all)| {
            let rate = all.iter().map(|it| it.0).collect();
            (*it, rate, all.iter().filter_map(|it| it.1).collect())
        })
        .collect();
    let haproxy = samples.iter().find(|(it, ..)| *it == Contender::HaProxy);
    let heads = [
        "connections/s",
        "proxy CPU, us/connection",
        "connections/s / HAProxy's",
        "CPU / HAProxy's",
    ];
    let mut table = Table::new(&[""], &heads);
    for (contender, rate, cpu) in &samples {
        let judged = |wanted| Some(wanted).filter(|_| contender.is_pgabsorb());
        let rates = ratio(rate.median(), haproxy.and_then(|it| it.1.median()));
        let cpus = ratio(cpu.median(), haproxy.and_then(|it| it.2.median()));
        table.row(&[
            contender.name(),
            rate.show(0),
            cpu.show(1),
            mark(rates, judged(Wanted::AtLeast(1.0))),
            mark(cpus, judged(Wanted::AtMost(1.0))),
        ]);
    }
    Ok(format!(
        "`pgbench -C -S -c 8 -j 1 -T {seconds}`: medians of {} rounds (ranges). PgBouncer keeps its \
         connections to the server and gives them to the next client; the others make a new one for \
         each, so HAProxy is what pgabsorb is compared with\n\n{}",
        bench.options.rounds,
        table.text()
    ))
}

/// Connections a second, and microseconds of the proxy's CPU time for each.
fn one(bench: &Bench, contender: Contender) -> anyhow::Result<(f64, Option<f64>)> {
    let running = bench.run(contender)?;
    let seconds = bench.options.seconds.to_string();
    let arguments = ["-C", "-S", "-c", "8", "-j", "1", "-T", &seconds];
    let (report, used) = cpu_of(&running, || bench.pgbench(running.address, &arguments))?;
    let connections = number(&report, TRANSACTIONS)?;
    Ok((number(&report, "tps = ")?, used.map(|used| used.as_secs_f64() * 1e6 / connections)))
}
