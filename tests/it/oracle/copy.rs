//! COPY in both directions.

use super::*;
use crate::support::wire::{copy_data, copy_done, copy_fail, execute, flush, pbe, query, sync};

#[test]
fn copy_passes_unchanged() {
    compare("copy", &scenarios());
}

fn scenarios() -> Vec<Scenario> {
    let copy_in = || query("COPY t FROM STDIN");
    let row = |text: &str| copy_data(text.as_bytes());
    let big = "b".repeat(1 << 20);
    vec![
        flow("out", &[query("COPY t TO STDOUT"), query("COPY t TO STDOUT (FORMAT binary)")]),
        flow("out, extended", &[pbe("COPY t TO STDOUT", &[]), sync()]),
        flow(
            "out, much",
            &[query("COPY (SELECT n, repeat('x', 90) FROM generate_series(1, 20000) n) TO STDOUT")],
        ),
        flow(
            "out, then an error",
            &[
                query("COPY (SELECT rows_then_error(n) FROM generate_series(1, 20) n) TO STDOUT"),
                query("SELECT 1"),
            ],
        ),
        flow(
            "in",
            &[copy_in(), row("3\tthree\n4\tfo"), row("ur\n"), copy_done(), query("TABLE t")],
        ),
        flow(
            "in, a value of a megabyte",
            &[
                copy_in(),
                row(&format!("3\t{big}\n")),
                copy_done(),
                query("SELECT length(v) FROM t"),
            ],
        ),
        flow(
            "in, failed by the client",
            &[copy_in(), row("3\tx\n"), copy_fail("no more"), query("SELECT 1")],
        ),
        flow(
            "in, a duplicate",
            &[copy_in(), row("3\tx\n1\ty\n4\tz\n"), row("5\tx\n"), copy_done(), query("SELECT 1")],
        ),
        flow("in, malformed", &[copy_in(), row("x\ty\tz\n"), copy_done(), query("SELECT 1")]),
        flow(
            "in, cannot start",
            &[query("COPY nosuch FROM STDIN"), row("1\n"), copy_done(), query("SELECT 1")],
        ),
        flow(
            "in, flush and sync are ignored",
            &[copy_in(), flush(), sync(), row("3\tx\n"), sync(), copy_done(), query("SELECT 1")],
        ),
        flow("in, a query instead of data", &[copy_in(), row("3\tx\n"), query("SELECT 1")]),
        flow(
            "in, two in one text",
            &[
                query("COPY t FROM STDIN; COPY loud FROM STDIN; SELECT 1"),
                row("3\tx\n"),
                copy_done(),
                row("7\n"),
                copy_done(),
            ],
        ),
        flow(
            "in a block",
            &[
                query("BEGIN"),
                copy_in(),
                row("1\tx\n"),
                copy_done(),
                query("SELECT 1"),
                query("COMMIT"),
            ],
        ),
        // The first Sync is eaten by COPY, the second one is answered.
        flow(
            "extended, with two syncs",
            &[
                pbe("COPY t FROM STDIN", &[]),
                sync(),
                row("3\tx\n"),
                copy_done(),
                sync(),
                query("SELECT 1"),
                query("SELECT 2"),
                query("SELECT 3"),
            ],
        ),
        // It never starts, so both are answered.
        flow(
            "extended, cannot start",
            &[pbe("COPY nosuch FROM STDIN", &[]), sync(), sync(), query("SELECT 1")],
        ),
        flow(
            "extended, a duplicate",
            &[
                pbe("COPY t FROM STDIN", &[]),
                sync(),
                row("1\tx\n"),
                copy_done(),
                sync(),
                query("SELECT 1"),
            ],
        ),
        flow(
            "extended, failed by the client",
            &[
                pbe("COPY t FROM STDIN", &[]),
                row("3\tx\n"),
                copy_fail("no"),
                pbe("SELECT 1", &[]),
                sync(),
                query("SELECT 1"),
            ],
        ),
        flow(
            "extended, in a pipeline",
            &[
                pbe("INSERT INTO t VALUES (3)", &[]),
                pbe("COPY t FROM STDIN", &[]),
                row("4\tx\n"),
                copy_done(),
                pbe("SELECT 1", &[]),
                sync(),
            ],
        ),
        flow(
            "data outside of copy",
            &[
                row("3\tx\n"),
                copy_done(),
                copy_fail("x"),
                query("SELECT 1"),
                pbe("TABLE t", &[]),
                row("x"),
                execute("", 0),
                sync(),
            ],
        ),
        steps(
            "in, step by step",
            vec![
                Startup(&[]),
                Await(b'Z', 1),
                Send(copy_in()),
                Await(b'G', 1),
                Send(row("3\tx\n")),
                Send(copy_done()),
                Await(b'Z', 1),
                Send(wire::terminate()),
            ],
        ),
        // Before 14 the last message is only one that COPY does not expect.
        steps(
            "in, terminated",
            ended(vec![
                Startup(&[]),
                Await(b'Z', 1),
                Send([copy_in(), row("3\tx\n"), wire::terminate()].concat()),
            ]),
        ),
        steps(
            "in, half-closed",
            vec![
                Startup(&[]),
                Await(b'Z', 1),
                Send([copy_in(), row("3\tx\n")].concat()),
                HalfClose,
            ],
        ),
    ]
}
