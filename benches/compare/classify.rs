//! What reading an INSERT's text costs: from scratch, and where the session remembers it.

use std::hint::black_box;
use std::time::Instant;

use pgabsorb::sql::{Encoding, Memo, Syntax, classify};

use crate::bench::in_rounds;
use crate::options::Options;
use crate::report::Table;
use crate::sample::Sample;

/// Measures each text, and prints the table.
pub(crate) fn measure(options: &Options) -> anyhow::Result<String> {
    let name = |(name, _): &(&str, &str)| format!("classify, {name}");
    let measured = in_rounds(options.rounds, &INSERTS, name, |(_, insert)| {
        let mut memo = Memo::default();
        let scratch = nanoseconds(|| drop(black_box(classify(insert.as_bytes(), SYNTAX))));
        let remembered = nanoseconds(|| drop(black_box(memo.classify(insert.as_bytes(), SYNTAX))));
        Ok((scratch, remembered))
    })?;
    let mut table = Table::new(&[""], &["bytes", "from scratch", "remembered"]);
    for ((name, insert), times) in INSERTS.iter().zip(&measured) {
        let scratch: Sample = times.iter().map(|it| it.0).collect();
        let remembered: Sample = times.iter().map(|it| it.1).collect();
        let bytes = insert.len().to_string();
        table.row(&[(*name).to_owned(), bytes, scratch.show(0), remembered.show(0)]);
    }
    Ok(format!(
        "Reading an INSERT: nanoseconds, medians of {} rounds (ranges)\n\n{}",
        options.rounds,
        table.text()
    ))
}

fn nanoseconds(mut call: impl FnMut()) -> f64 {
    let began = Instant::now();
    for _ in 0..CALLS {
        call();
    }
    began.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
}

const SYNTAX: Syntax = Syntax { standard_conforming_strings: true, encoding: Encoding::Utf8 };

const CALLS: u32 = 20_000;

const INSERTS: [(&str, &str); 3] = [
    ("four parameters", "INSERT INTO events (id, kind, at, payload) VALUES ($1, $2, $3, $4)"),
    (
        "literals, RETURNING",
        "INSERT INTO \"orders\" (\"customer_id\", \"status\", \"total\", \"created_at\", \"note\") VALUES \
         (10345, 'open', 99.95, '2026-01-01T00:00:00.000000'::timestamptz, 'it''s late') \
         RETURNING \"orders\".\"id\"",
    ),
    (
        "ten rows",
        "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4), ($5, $6), ($7, $8), ($9, $10), ($11, $12), \
         ($13, $14), ($15, $16), ($17, $18), ($19, $20)",
    ),
];
