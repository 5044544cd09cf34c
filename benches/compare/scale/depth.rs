//! By the depth of a pipeline: so many INSERTs between BEGIN and ROLLBACK, before one Sync.

use std::time::Instant;

use pgabsorb::wire::build;

use super::{Figure, columns};
use crate::bench::{Bench, in_rounds};
use crate::client::{Client, bind};
use crate::contender::{Contender, Rules, SCHEMA};
use crate::plot::Scale;
use crate::proc;

/// Measures each way, with each depth.
pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let ways = bench.options.wanted(&[
        Contender::Direct,
        Contender::Pgabsorb(Rules::None),
        Contender::Pgabsorb(Rules::React(1)),
        Contender::PgBouncer,
        Contender::HaProxy,
    ]);
    let places: Vec<_> = ways.iter().flat_map(|way| DEPTHS.map(|depth| (*way, depth))).collect();
    let name = |(way, depth): &(Contender, u32)| format!("depth {depth}, {}", way.name());
    let rounds = bench.options.few_rounds();
    let measured = in_rounds(rounds, &places, name, |(way, depth)| one(bench, *way, *depth))?;
    let cases: Vec<_> = places.iter().map(|(way, depth)| (way.name(), *depth)).collect();
    let figure = |file, title, y, scale, columns| Figure {
        file,
        title,
        x: "INSERTs in the pipeline",
        y,
        scale,
        decimals: 1,
        columns,
        note: String::new(),
    };
    Ok(vec![
        figure(
            "depth-time",
            "Time of an INSERT by depth of its pipeline",
            "us per INSERT, BEGIN and ROLLBACK included",
            Scale::Logarithmic,
            columns(&cases, &measured, |it| Some(it.0)),
        ),
        figure(
            "depth-memory",
            "Memory of the proxy by depth of a pipeline",
            "KiB at most, beyond an idle connection",
            Scale::Linear,
            columns(&cases, &measured, |it| it.1),
        ),
    ])
}

/// Microseconds of an INSERT, and KiB that the proxy has grown by at most.
fn one(bench: &Bench, way: Contender, depth: u32) -> anyhow::Result<(f64, Option<f64>)> {
    bench.sql(SCHEMA)?;
    let running = bench.run(way)?;
    let mut client = Client::connect(running.address)?;
    client.exchange(&statements())?;
    let before = running.pid().map(proc::peak_memory).transpose()?;
    let pipeline = pipeline(depth);
    let (began, mut times) = (Instant::now(), 0);
    while times == 0 || began.elapsed() < bench.options.short() / 2 {
        client.exchange(&pipeline)?;
        times += 1;
    }
    let us = began.elapsed().as_secs_f64() * 1e6 / f64::from(times) / f64::from(depth);
    let after = running.pid().map(proc::peak_memory).transpose()?;
    Ok((us, after.zip(before).map(|(after, before)| after - before)))
}

fn statements() -> Vec<u8> {
    let parse = |name: &str, text: &str| build::parse(name.as_bytes(), text.as_bytes(), &[0, 0]);
    let statements = [
        parse("begin", "BEGIN"),
        parse("insert", "INSERT INTO guarded VALUES ($1, $2)"),
        parse("rollback", "ROLLBACK"),
        build::sync(),
    ];
    statements.concat()
}

fn pipeline(depth: u32) -> Vec<u8> {
    let execute = build::execute(b"", 0);
    let mut pipeline = bind("begin", &[]);
    pipeline.extend_from_slice(&execute);
    for key in 0..depth {
        pipeline.extend_from_slice(&bind("insert", &[&key.to_string(), "some value"]));
        pipeline.extend_from_slice(&execute);
    }
    pipeline.extend_from_slice(&bind("rollback", &[]));
    pipeline.extend_from_slice(&execute);
    pipeline.extend_from_slice(&build::sync());
    pipeline
}

const DEPTHS: [u32; 5] = [1, 10, 100, 1000, 10_000];
