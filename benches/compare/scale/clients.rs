//! By clients: a few that are busy beside up to ten thousand that are idle, in front of a stand-in server.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::{Figure, columns};
use crate::bench::{Bench, cpu_of, in_rounds};
use crate::client::{Client, idle};
use crate::contender::{Contender, Running, connections, descriptors};
use crate::plot::Scale;
use crate::stand_in::StandIn;

/// What one proxy takes with so many idle clients.
#[derive(Clone, Copy, Debug)]
struct Cost {
    cpu_us: f64,
    memory_mib: f64,
}

/// Measures each proxy, with more and more clients.
pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let mut proxies = bench.options.wanted(&Contender::PLAIN);
    proxies.retain(|it| *it != Contender::Direct);
    // The busy ones of the last measurement may not be gone yet.
    let most = u32::try_from(connections())?.saturating_sub(2 * BUSY);
    let mut counts = CLIENTS.map(|count| count.min(most)).to_vec();
    counts.dedup();
    let name = |it: &Contender| format!("clients, {}", it.name());
    let rounds = bench.options.few_rounds();
    let measured = in_rounds(rounds, &proxies, name, |it| costs(bench, *it, &counts))?;
    let (mut cases, mut by_case) = (Vec::new(), Vec::new());
    for (proxy, rounds) in proxies.iter().zip(&measured) {
        for (place, count) in counts.iter().enumerate() {
            cases.push((proxy.name(), *count));
            by_case.push(rounds.iter().filter_map(|it| it.get(place).copied()).collect::<Vec<_>>());
        }
    }
    let note = if CLIENTS.iter().any(|count| *count > most) {
        format!(
            "{most} idle clients are the most for which this machine's hard limit of {} file descriptors \
             for a process is enough: a proxy needs two for each.",
            descriptors()
        )
    } else {
        String::new()
    };
    let figure = |file, title, y, scale, quantity: fn(&Cost) -> f64, note| Figure {
        file,
        title,
        x: "idle clients",
        y,
        scale,
        decimals: 1,
        columns: columns(&cases, &by_case, |it| Some(quantity(it))),
        note,
    };
    Ok(vec![
        figure(
            "clients-cpu",
            "CPU of 8 busy clients among idle ones",
            "proxy CPU, us per transaction",
            Scale::Linear,
            |it| it.cpu_us,
            String::new(),
        ),
        figure(
            "clients-memory",
            "Memory of the proxy by idle clients",
            "resident memory, MiB",
            Scale::Logarithmic,
            |it| it.memory_mib,
            note,
        ),
    ])
}

fn costs(bench: &Bench, proxy: Contender, counts: &[u32]) -> anyhow::Result<Vec<Cost>> {
    let server = StandIn::start()?;
    let running = proxy.start(&bench.programs, server.address)?;
    let pid = running.pid().context("only a proxy costs something")?;
    let mut idles = Vec::new();
    let mut costs = Vec::new();
    for count in counts {
        let more = usize::try_from(*count)?.saturating_sub(idles.len());
        idles.extend(idle(running.address, more)?);
        let cpu_us = cpu_us(&running, bench.options.short() / 2)?;
        costs.push(Cost { cpu_us, memory_mib: crate::proc::resident_memory(pid)? / 1024.0 });
    }
    Ok(costs)
}

/// Of one transaction, while a few clients run one behind the other.
fn cpu_us(running: &Running, time: Duration) -> anyhow::Result<f64> {
    let (transactions, used) = cpu_of(running, || {
        thread::scope(|scope| {
            let clients: Vec<_> =
                (0..BUSY).map(|_| scope.spawn(|| transactions(running.address, time))).collect();
            clients.into_iter().try_fold(0, |sum, client| {
                let one = client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
                anyhow::Ok(sum + one)
            })
        })
    })?;
    let used = used.context("only a proxy costs something")?;
    Ok(used.as_secs_f64() * 1e6 / f64::from(transactions))
}

fn transactions(address: SocketAddr, time: Duration) -> anyhow::Result<u32> {
    let mut client = Client::connect(address)?;
    let began = Instant::now();
    let mut transactions = 0;
    while began.elapsed() < time {
        client.query("")?;
        transactions += 1;
    }
    Ok(transactions)
}

const CLIENTS: [u32; 5] = [10, 100, 1000, 3000, 10_000];

const BUSY: u32 = 8;
