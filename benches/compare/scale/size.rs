//! By the size of a message: rows of so many bytes from a stand-in server, which is faster than a real one.

use std::time::Instant;

use anyhow::ensure;

use super::{Figure, columns};
use crate::bench::{Bench, in_rounds};
use crate::client::Client;
use crate::contender::Contender;
use crate::plot::Scale;
use crate::stand_in::StandIn;

/// Measures each way, with each size.
pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let ways = bench.options.wanted(&Contender::PLAIN);
    let places: Vec<_> = ways.iter().flat_map(|way| SIZES.map(|size| (*way, size))).collect();
    let name = |(way, size): &(Contender, u32)| format!("size {size}, {}", way.name());
    let rounds = bench.options.few_rounds();
    let measured = in_rounds(rounds, &places, name, |(way, size)| one(bench, *way, *size))?;
    let cases: Vec<_> = places.iter().map(|(way, size)| (way.name(), *size)).collect();
    Ok(vec![Figure {
        file: "size",
        title: "Throughput by size of a message",
        x: "bytes of a row",
        y: "MB/s to one client",
        scale: Scale::Linear,
        decimals: 0,
        columns: columns(&cases, &measured, |rate| Some(*rate)),
        note: String::new(),
    }])
}

/// MB/s; as many bytes have come as were asked for.
fn one(bench: &Bench, way: Contender, size: u32) -> anyhow::Result<f64> {
    let server = StandIn::start()?;
    let running = way.start(&bench.programs, server.address)?;
    let mut client = Client::connect(running.address)?;
    client.query(&format!("1 {size}"))?;
    let one = client.query(&format!("1 {size}"))?;
    let count = (VOLUME / size).max(2);
    let began = Instant::now();
    let bytes = client.query(&format!("{count} {size}"))?;
    let took = began.elapsed();
    let more = u64::from(count - 1) * (u64::from(size) + ROW_HEADER);
    let digits = u64::try_from(count.to_string().len())? - 1;
    ensure!(bytes == one + more + digits, "{bytes} bytes have come");
    Ok(f64::from(u32::try_from(bytes)?) / 1e6 / took.as_secs_f64())
}

/// About as many bytes are sent in all.
const VOLUME: u32 = 512_000_000;

/// Of a DataRow of one column: the tag, two lengths, the number of columns.
const ROW_HEADER: u64 = 11;

const SIZES: [u32; 7] = [100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 64_000_000];
