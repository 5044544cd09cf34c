//! What a connection costs a proxy in memory, idle and busy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::bench::{Bench, in_rounds};
use crate::client::idle;
use crate::contender::{Contender, connections, descriptors};
use crate::proc;
use crate::report::Table;
use crate::sample::Sample;
use crate::stand_in::StandIn;

/// Measures each proxy, and prints the table.
pub(crate) fn measure(bench: &Bench) -> anyhow::Result<String> {
    bench.fill()?;
    let rounds = bench.options.few_rounds();
    let most = u16::try_from(connections())?;
    ensure!(
        most > BUSY,
        "{} file descriptors for a process are too few: a proxy needs two for each client",
        descriptors()
    );
    let count = bench.options.idle.min(most.saturating_sub(FIRST));
    let mut proxies = bench.options.wanted(&Contender::ALL);
    proxies.retain(|it| *it != Contender::Direct);
    let name = |it: &Contender| format!("memory, {}", it.name());
    let measured = in_rounds(rounds, &proxies, name, |it| {
        Ok((idle_kib(bench, *it, count)?, busy_kib(bench, *it)?))
    })?;
    let heads = [format!("{count} idle, KiB each"), format!("{BUSY} busy, KiB each")];
    let mut table = Table::new(&[""], &heads);
    for (contender, kib) in proxies.iter().zip(&measured) {
        let idle: Sample = kib.iter().map(|it| it.0).collect();
        let busy: Sample = kib.iter().map(|it| it.1).collect();
        table.row(&[contender.name(), idle.show(1), busy.show(1)]);
    }
    Ok(format!(
        "Resident memory per connection: medians of {rounds} rounds (ranges)\n\n{}",
        table.text()
    ))
}

/// Beyond the first few, which also bring in code and tables that all share.
fn idle_kib(bench: &Bench, contender: Contender, count: u16) -> anyhow::Result<f64> {
    let server = StandIn::start()?;
    let running = contender.start(&bench.programs, server.address)?;
    let pid = running.pid().context("only a proxy's memory can be measured")?;
    let first = idle(running.address, FIRST.into())?;
    let before = proc::resident_memory(pid)?;
    let rest = idle(running.address, count.into())?;
    let after = proc::resident_memory(pid)?;
    drop((first, rest));
    Ok((after - before) / f64::from(count))
}

/// The most that is in use while many clients run, less the most while few do, for each one more.
fn busy_kib(bench: &Bench, contender: Contender) -> anyhow::Result<f64> {
    let running = bench.run(contender)?;
    let pid = running.pid().context("only a proxy's memory can be measured")?;
    let most_with = |clients: u16| {
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let watch = scope.spawn(|| -> anyhow::Result<f64> {
                let mut most = 0.0_f64;
                while !ended.load(Ordering::Relaxed) {
                    most = most.max(proc::resident_memory(pid)?);
                    thread::sleep(EVERY);
                }
                Ok(most)
            });
            let seconds = bench.options.short().as_secs().to_string();
            let clients = clients.to_string();
            let arguments = ["-S", "-M", "prepared", "-j", "1", "-c", &clients, "-T", &seconds];
            let ran = bench.pgbench(running.address, &arguments);
            ended.store(true, Ordering::Relaxed);
            let most = watch.join().map_err(|_| anyhow::anyhow!("the watch panicked"))?;
            ran.and(most)
        })
    };
    let few = most_with(FEW)?;
    Ok((most_with(BUSY)? - few) / f64::from(BUSY - FEW))
}

const FIRST: u16 = 20;

/// Clients that run one transaction behind the other.
pub(crate) const BUSY: u16 = 200;
const FEW: u16 = 8;

/// How often memory is looked at.
const EVERY: Duration = Duration::from_millis(50);
