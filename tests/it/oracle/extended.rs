//! Extended queries and pipelines.

use super::*;
use crate::support::wire::{
    bind, close, describe, execute, flush, function_call, parse, pbe, query, sync,
};

#[test]
fn extended_queries_pass_unchanged() {
    compare("extended", &scenarios());
    compare("pipeline", &pipelines());
}

const INSERT: &str = "INSERT INTO t VALUES ($1::int)";

fn scenarios() -> Vec<Scenario> {
    let long = "n".repeat(70);
    vec![
        flow(
            "unnamed",
            &[
                parse("", INSERT),
                describe(b'S', ""),
                bind("", "", &["3"]),
                describe(b'P', ""),
                execute("", 0),
                sync(),
            ],
        ),
        flow(
            "describe of rows",
            &[
                parse("s", "SELECT id, v FROM t WHERE id < $1"),
                describe(b'S', "s"),
                bind("p", "s", &["9"]),
                describe(b'P', "p"),
                execute("p", 0),
                sync(),
            ],
        ),
        flow(
            "named, used twice",
            &[
                parse("s", INSERT),
                sync(),
                bind("", "s", &["3"]),
                execute("", 0),
                sync(),
                bind("", "s", &["3"]),
                execute("", 0),
                sync(),
                bind("", "s", &["4"]),
                execute("", 0),
                sync(),
            ],
        ),
        steps(
            "prepared with a flush",
            vec![
                Startup(&[]),
                Await(b'Z', 1),
                Send([parse("s", INSERT), describe(b'S', "s"), flush()].concat()),
                Await(b'n', 1),
                Send([bind("", "s", &["1"]), execute("", 0), flush()].concat()),
                Await(b'E', 1),
                Send(sync()),
                Await(b'Z', 1),
                Send(wire::terminate()),
            ],
        ),
        steps(
            "an error before the sync is sent",
            vec![
                Startup(&[]),
                Await(b'Z', 1),
                Send(pbe(INSERT, &["1"])),
                Await(b'E', 1),
                Send([pbe(INSERT, &["3"]), sync()].concat()),
                Await(b'Z', 1),
                Send(wire::terminate()),
            ],
        ),
        flow(
            "close",
            &[
                parse("s", INSERT),
                bind("p", "s", &["3"]),
                close(b'S', "s"),
                execute("p", 0),
                close(b'P', "p"),
                close(b'P', "nosuch"),
                sync(),
                bind("", "s", &["4"]),
                sync(),
            ],
        ),
        flow(
            "the name of a statement is taken",
            &[
                parse("s", "SELECT 1"),
                sync(),
                parse("s", INSERT),
                sync(),
                bind("", "s", &[]),
                execute("", 0),
                sync(),
            ],
        ),
        flow(
            "names longer than an identifier",
            &[parse(&long, "SELECT 1"), sync(), bind("", &long[..65], &[]), execute("", 0), sync()],
        ),
        flow(
            "a portal in pieces",
            &[
                query("BEGIN"),
                parse("", "SELECT generate_series(1, 5)"),
                bind("p", "", &[]),
                execute("p", 2),
                execute("p", 2),
                flush(),
                execute("p", 2),
                execute("p", 2),
                sync(),
                execute("p", 1),
                sync(),
                query("COMMIT"),
            ],
        ),
        flow(
            "a portal across a sync without a block",
            &[
                parse("", "TABLE t"),
                bind("p", "", &[]),
                execute("p", 1),
                sync(),
                execute("p", 1),
                sync(),
            ],
        ),
        flow(
            "returning in pieces",
            &[
                query("BEGIN"),
                parse("", "INSERT INTO t VALUES (3), (4), (5) RETURNING id"),
                bind("", "", &[]),
                describe(b'P', ""),
                execute("", 1),
                execute("", 1),
                execute("", 1),
                execute("", 1),
                sync(),
                query("COMMIT"),
            ],
        ),
        flow("nothing", &[pbe("", &[]), pbe("-- nothing", &[]), sync()]),
        flow("a syntax error", &[pbe("SELEC", &[]), sync(), pbe("SELECT 1", &[]), sync()]),
        flow("too few parameters", &[pbe(INSERT, &[]), sync(), pbe(INSERT, &["x"]), sync()]),
        flow("several statements in one parse", &[pbe("SELECT 1; SELECT 2", &[]), sync()]),
        flow(
            "statement and portal unknown",
            &[
                bind("", "nosuch", &[]),
                sync(),
                execute("nosuch", 0),
                sync(),
                describe(b'P', "nosuch"),
                sync(),
                describe(b'S', "nosuch"),
                sync(),
            ],
        ),
        flow(
            "a simple query destroys the unnamed statement",
            &[parse("", "SELECT 1"), query("SELECT 2"), bind("", "", &[]), sync()],
        ),
        flow(
            "deallocate all",
            &[parse("s", "SELECT 1"), sync(), query("DEALLOCATE ALL"), bind("", "s", &[]), sync()],
        ),
        flow(
            "a named portal twice in a block",
            &[
                query("BEGIN"),
                parse("s", "SELECT 1"),
                bind("p", "s", &[]),
                bind("p", "s", &[]),
                sync(),
                query("ROLLBACK"),
            ],
        ),
        flow(
            "a prepared statement survives rollback",
            &[
                query("BEGIN"),
                parse("s", "SELECT 1"),
                sync(),
                query("ROLLBACK"),
                bind("", "s", &[]),
                execute("", 0),
                sync(),
            ],
        ),
        flow(
            "notices of a trigger",
            &[
                pbe("INSERT INTO loud VALUES (1)", &[]),
                sync(),
                pbe("INSERT INTO loud VALUES (1)", &[]),
                sync(),
            ],
        ),
        flow(
            "a deferred duplicate at the sync",
            &[pbe("INSERT INTO d VALUES (1)", &[]), sync(), query("SELECT 1")],
        ),
        flow(
            "explain, do, call",
            &[
                pbe("EXPLAIN (COSTS off) SELECT 1", &[]),
                pbe("DO $$ BEGIN END $$", &[]),
                sync(),
                pbe("CALL in_pieces()", &[]),
                sync(),
            ],
        ),
        flow(
            "a value of a megabyte",
            &[
                parse("", "SELECT length($1), $1"),
                bind("", "", &[&"v".repeat(1 << 20)]),
                describe(b'P', ""),
                execute("", 0),
                sync(),
            ],
        ),
        flow(
            "a parameter is set",
            &[
                pbe("SET application_name = 'p'", &[]),
                pbe("SET client_encoding = latin1", &[]),
                sync(),
                query("SELECT 1"),
            ],
        ),
    ]
}

fn pipelines() -> Vec<Scenario> {
    vec![
        flow(
            "an implicit transaction",
            &[pbe(INSERT, &["3"]), pbe(INSERT, &["4"]), pbe(INSERT, &["5"]), sync()],
        ),
        flow(
            "an error in the middle",
            &[
                pbe(INSERT, &["3"]),
                pbe(INSERT, &["1"]),
                pbe(INSERT, &["4"]),
                describe(b'S', ""),
                close(b'S', ""),
                flush(),
                sync(),
                query("TABLE t"),
            ],
        ),
        flow(
            "several syncs",
            &[
                pbe(INSERT, &["3"]),
                sync(),
                pbe(INSERT, &["1"]),
                pbe(INSERT, &["8"]),
                sync(),
                sync(),
                pbe(INSERT, &["4"]),
                sync(),
            ],
        ),
        flow(
            "a query while skipping",
            &[
                pbe("bad", &[]),
                query("SELECT 1"),
                function_call(177, &["1", "2"]),
                flush(),
                sync(),
                query("SELECT 2"),
            ],
        ),
        flow(
            "begin and a duplicate in one flight",
            &[query("BEGIN"), pbe(INSERT, &["1"]), sync(), query("COMMIT")],
        ),
        flow(
            "begin, extended",
            &[
                pbe("BEGIN", &[]),
                pbe(INSERT, &["3"]),
                pbe(INSERT, &["1"]),
                sync(),
                pbe("SELECT 1", &[]),
                sync(),
                pbe("COMMIT", &[]),
                sync(),
            ],
        ),
        flow(
            "begin after work",
            &[pbe(INSERT, &["3"]), pbe("BEGIN", &[]), pbe("ROLLBACK", &[]), sync()],
        ),
        flow(
            "commit after work",
            &[pbe(INSERT, &["3"]), pbe("COMMIT", &[]), pbe(INSERT, &["1"]), sync()],
        ),
        flow(
            "savepoints",
            &[
                query("BEGIN"),
                pbe("SAVEPOINT a", &[]),
                pbe(INSERT, &["1"]),
                pbe("ROLLBACK TO a", &[]),
                sync(),
                pbe("ROLLBACK TO a", &[]),
                pbe(INSERT, &["6"]),
                sync(),
                query("COMMIT"),
            ],
        ),
        flow(
            "in a failed block",
            &[
                query("BEGIN"),
                pbe("bad", &[]),
                sync(),
                parse("", "SELECT 1"),
                sync(),
                close(b'S', "x"),
                pbe("ROLLBACK", &[]),
                sync(),
            ],
        ),
        flow(
            "a savepoint without a block",
            &[pbe(INSERT, &["3"]), pbe("SAVEPOINT a", &[]), sync()],
        ),
        flow(
            "vacuum behind work",
            &[pbe(INSERT, &["3"]), pbe("VACUUM t", &[]), sync(), pbe("VACUUM t", &[]), sync()],
        ),
        flow(
            "executes until the cows come home",
            &(0..300)
                .flat_map(|n| {
                    [
                        pbe(INSERT, &[&(n + 10).to_string()]),
                        if n % 50 == 49 { sync() } else { Vec::new() },
                    ]
                })
                .collect::<Vec<_>>(),
        ),
        steps(
            "work that is never synced",
            vec![
                Startup(&[]),
                Await(b'Z', 1),
                Send([pbe(INSERT, &["3"]), wire::terminate()].concat()),
            ],
        ),
    ]
}
