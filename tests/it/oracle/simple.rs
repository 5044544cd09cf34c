//! Simple queries.

use super::*;
use crate::support::wire::{flush, function_call, pbe, query, sync};

#[test]
fn simple_queries_pass_unchanged() {
    compare("simple", &scenarios());
}

fn scenarios() -> Vec<Scenario> {
    let q = |texts: &[&str]| texts.iter().map(|text| query(text)).collect::<Vec<_>>();
    let big = format!("SELECT '{}', repeat('y', 1 << 20)", "x".repeat(1 << 20));
    vec![
        flow("a select", &q(&["SELECT id, v, NULL FROM t ORDER BY id"])),
        flow("many in one flight", &q(&["SELECT 1", "SELECT 2", "SELECT 3", "SELECT 4"])),
        flow("several statements", &q(&["INSERT INTO t VALUES (3); SELECT 1; DELETE FROM t"])),
        flow("nothing", &q(&["", "-- only a comment", ";;", "/* a /* nested */ one */"])),
        flow("a syntax error", &q(&["SELEC 1", "SELECT 1"])),
        flow("an error among several", &q(&["SELECT 1; SELECT 1/0; SELECT 2", "TABLE t"])),
        flow("a duplicate", &q(&["INSERT INTO t VALUES (1, 'again')", "SELECT 1"])),
        flow(
            "a duplicate among several statements",
            &q(&["INSERT INTO t VALUES (3); INSERT INTO t VALUES (1); INSERT INTO t VALUES (4)"]),
        ),
        flow("a duplicate among rows", &q(&["INSERT INTO t VALUES (3), (1), (4)"])),
        flow("a duplicate returning", &q(&["INSERT INTO t VALUES (1) RETURNING id"])),
        flow("its own on conflict", &q(&["INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING"])),
        flow(
            "a duplicate in a block",
            &q(&["BEGIN", "INSERT INTO t VALUES (3)", "INSERT INTO t VALUES (1)", "SELECT 1"]
                .into_iter()
                .chain(["COMMIT", "SELECT 1"])
                .collect::<Vec<_>>()),
        ),
        flow("a block in one text", &q(&["BEGIN; INSERT INTO t VALUES (3); COMMIT; SELECT 1"])),
        flow("begin in the middle", &q(&["INSERT INTO t VALUES (3); BEGIN; SELECT 1", "ROLLBACK"])),
        flow(
            "commit and rollback in the middle",
            &q(&["INSERT INTO t VALUES (3); COMMIT; INSERT INTO t VALUES (4); ROLLBACK"]),
        ),
        flow(
            "begin, then a duplicate",
            &q(&["INSERT INTO t VALUES (3); BEGIN; INSERT INTO t VALUES (1)", "COMMIT"]),
        ),
        flow("control without a block", &q(&["COMMIT", "ROLLBACK", "SAVEPOINT a", "RELEASE a"])),
        flow(
            "begin twice",
            &q(&["BEGIN", "BEGIN", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN", "END"]),
        ),
        flow(
            "savepoints",
            &q(&["BEGIN; SAVEPOINT a", "INSERT INTO t VALUES (1)", "ROLLBACK TO a", "RELEASE a"]
                .into_iter()
                .chain(["INSERT INTO t VALUES (5)", "SAVEPOINT a", "ROLLBACK TO nosuch", "COMMIT"])
                .collect::<Vec<_>>()),
        ),
        flow(
            "the client's own savepoint text",
            &q(&["BEGIN", "SAVEPOINT x;INSERT INTO t VALUES (3);RELEASE x", "COMMIT"]),
        ),
        flow(
            "notices of a trigger",
            &q(&["INSERT INTO loud VALUES (1)", "INSERT INTO loud VALUES (1)"]),
        ),
        flow("quieter", &q(&["SET client_min_messages = error", "INSERT INTO loud VALUES (1)"])),
        flow(
            "parameters reported",
            &q(&[
                "SET application_name = 'a b'",
                "SET client_encoding = latin1",
                "SELECT 'ü'",
                "RESET ALL",
            ]),
        ),
        flow(
            "parameters reverted",
            &q(&["BEGIN; SAVEPOINT a; SET application_name = 'x'; SET client_encoding = sjis"]
                .into_iter()
                .chain(["ROLLBACK TO a", "SET LOCAL TimeZone = 'UTC'", "ROLLBACK", "DISCARD ALL"])
                .collect::<Vec<_>>()),
        ),
        flow(
            "text that is not a string of the server",
            &[wire::message(b'Q', b"SELECT '\xff\xfe'\0"), query("SELECT 1")],
        ),
        flow("a deferred duplicate, alone", &q(&["INSERT INTO d VALUES (1)", "SELECT 1"])),
        flow(
            "a deferred duplicate at commit",
            &q(&["BEGIN", "INSERT INTO d VALUES (1)", "COMMIT", "SELECT 1"]),
        ),
        flow(
            "a deferred duplicate made immediate",
            &q(&["BEGIN; INSERT INTO d VALUES (1)", "SET CONSTRAINTS ALL IMMEDIATE", "COMMIT"]),
        ),
        flow(
            "a duplicate in DO",
            &q(&["DO $$ BEGIN INSERT INTO t VALUES (1); END $$", "SELECT 1"]),
        ),
        flow("a procedure that commits", &q(&["CALL in_pieces()", "TABLE t"])),
        flow(
            "rows, then an error",
            &q(&["SELECT rows_then_error(n) FROM generate_series(1, 20) n"]),
        ),
        flow(
            "sql-level prepare",
            &q(&[
                "PREPARE a AS INSERT INTO t VALUES ($1)",
                "EXECUTE a(1)",
                "DEALLOCATE a",
                "EXECUTE a(9)",
            ]),
        ),
        flow(
            "a cursor",
            &q(&[
                "BEGIN; DECLARE c CURSOR FOR TABLE t",
                "FETCH 1 FROM c",
                "FETCH ALL FROM c",
                "CLOSE c; COMMIT",
            ]),
        ),
        flow(
            "a prepared transaction",
            &q(&[
                "BEGIN; INSERT INTO t VALUES (7)",
                "PREPARE TRANSACTION 'oracle'",
                "COMMIT PREPARED 'oracle'",
            ]),
        ),
        flow(
            "a unique index that cannot be built",
            &q(&["INSERT INTO t VALUES (3, 'one')", "CREATE UNIQUE INDEX t_v ON t (v)"]),
        ),
        flow("values of a megabyte", &[query(&big)]),
        flow(
            "ten thousand rows",
            &q(&["SELECT n, repeat('z', 40) FROM generate_series(1, 10000) n"]),
        ),
        flow("a function call", &[function_call(177, &["2", "3"]), query("SELECT 1")]),
        flow(
            "a function call that fails",
            &[function_call(154, &["2", "0"]), function_call(9, &[]), query("SELECT 1")],
        ),
        flow(
            "a query behind unsynced work",
            &[pbe("INSERT INTO t VALUES (3)", &[]), query("SELECT 1/0"), sync(), query("TABLE t")],
        ),
        flow("lone sync and flush", &[sync(), flush(), sync(), query("SELECT 1"), flush()]),
    ]
}
