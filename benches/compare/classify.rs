//! What reading an INSERT's text costs: from scratch, and where the session remembers it.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use pgabsorb::sql::{Encoding, Memo, Syntax, classify};

use crate::options::Options;
use crate::sample::Sample;

/// Measures each text, and prints the table.
pub(crate) fn measure(options: &Options) -> anyhow::Result<String> {
    let mut text = format!(
        "Reading an INSERT: nanoseconds, medians of {} rounds (ranges)\n\n\
         | | bytes | from scratch | remembered |\n|---|--:|--:|--:|\n",
        options.rounds
    );
    for (name, insert) in INSERTS {
        let (mut scratch, mut remembered) = (Sample::default(), Sample::default());
        let mut memo = Memo::default();
        for _ in 0..options.rounds {
            scratch.push(nanoseconds(|| drop(black_box(classify(insert.as_bytes(), SYNTAX)))));
            remembered.push(nanoseconds(|| {
                drop(black_box(memo.classify(insert.as_bytes(), SYNTAX)));
            }));
        }
        let bytes = insert.len();
        writeln!(text, "| {name} | {bytes} | {} | {} |", scratch.show(0), remembered.show(0))?;
    }
    Ok(text)
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
