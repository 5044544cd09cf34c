//! What happens to whole sessions: half-close, notifications, cancel, termination, replication.

use super::*;
use crate::support::wire::{copy_done, pbe, query, sync, terminate};

#[test]
fn sessions_pass_unchanged() {
    compare("session", &scenarios());
    compare("replication", &replication());
}

fn scenarios() -> Vec<Scenario> {
    let open = || [Startup(&[("application_name", "victim")]), Await(b'Z', 1)];
    let after = |name, more: Vec<Step>| steps(name, open().into_iter().chain(more).collect());
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE application_name = 'victim' AND datname = current_database()";
    vec![
        after(
            "terminate in a block",
            vec![Send([query("BEGIN"), query("INSERT INTO t VALUES (3)"), terminate()].concat())],
        ),
        after(
            "half-close behind a query",
            vec![Send(query("SELECT pg_sleep(0.1), repeat('x', 1 << 20)")), HalfClose],
        ),
        after(
            "half-close behind a sync",
            vec![Send([pbe("SELECT 1", &[]), sync()].concat()), HalfClose],
        ),
        after(
            "half-close in a block",
            vec![Send([query("BEGIN"), query("INSERT INTO t VALUES (3)")].concat()), HalfClose],
        ),
        after(
            "half-close without a sync",
            vec![Send(pbe("INSERT INTO t VALUES (3)", &[])), HalfClose],
        ),
        after("half-close at rest", vec![HalfClose]),
        after(
            "notify oneself",
            vec![Send(
                [
                    query("LISTEN a"),
                    query("NOTIFY a, 'x'"),
                    query("BEGIN; NOTIFY a; NOTIFY a, 'y'"),
                    query("COMMIT"),
                    query("UNLISTEN *"),
                    query("NOTIFY a"),
                    terminate(),
                ]
                .concat(),
            )],
        ),
        after(
            "notified by another",
            vec![
                Send(query("LISTEN a")),
                Await(b'Z', 1),
                Elsewhere("NOTIFY a, 'from elsewhere'"),
                Await(b'A', 1),
                Send([query("SELECT 1"), terminate()].concat()),
            ],
        ),
        after(
            "notified in a block",
            vec![
                Send([query("LISTEN a"), query("BEGIN")].concat()),
                Await(b'Z', 2),
                Elsewhere("NOTIFY a"),
                Send([query("SELECT 1"), query("COMMIT"), terminate()].concat()),
            ],
        ),
        after(
            "cancelled",
            vec![
                Send(query("SELECT pg_sleep(60)")),
                Elsewhere("SELECT sleeps('victim')"),
                Cancel,
                Await(b'Z', 1),
                Send([query("SELECT 1"), terminate()].concat()),
            ],
        ),
        after(
            "cancelled in a pipeline",
            vec![
                Send(
                    [
                        pbe("INSERT INTO t VALUES (3)", &[]),
                        pbe("SELECT pg_sleep(60)", &[]),
                        pbe("SELECT 1", &[]),
                        sync(),
                    ]
                    .concat(),
                ),
                Elsewhere("SELECT sleeps('victim')"),
                Cancel,
                Await(b'Z', 1),
                Send(terminate()),
            ],
        ),
        after("cancelled at rest", vec![Cancel, Send([query("SELECT 1"), terminate()].concat())]),
        after(
            "timed out",
            vec![Send(
                [
                    query("SET statement_timeout = 20"),
                    query("SELECT pg_sleep(60)"),
                    query("SELECT 1"),
                    terminate(),
                ]
                .concat(),
            )],
        ),
        after("terminated at rest", vec![Elsewhere(kill)]),
        after(
            "terminated at work",
            vec![
                Send(query("SELECT pg_sleep(60)")),
                Elsewhere("SELECT sleeps('victim')"),
                Elsewhere(kill),
            ],
        ),
        after(
            "terminates itself",
            vec![Send(query("BEGIN; SELECT pg_terminate_backend(pg_backend_pid())"))],
        ),
        after(
            "idle for too long in a block",
            vec![Send(
                [
                    query("SET idle_in_transaction_session_timeout = 30"),
                    query("BEGIN; INSERT INTO t VALUES (3)"),
                ]
                .concat(),
            )],
        ),
    ]
}

fn replication() -> Vec<Scenario> {
    let create = "CREATE_REPLICATION_SLOT oracle TEMPORARY LOGICAL pgoutput";
    let start =
        "START_REPLICATION SLOT oracle LOGICAL 0/0 (proto_version '1', publication_names 'p')";
    let in_mode = |name, mode: &'static [(&str, &str)], messages: &[Vec<u8>]| {
        let all = [&messages.concat()[..], &terminate()].concat();
        let steps = steps(name, vec![Startup(mode), Await(b'Z', 1), Send(all)]);
        Scenario { counted: b"D", ignored: b"d", ..steps }
    };
    let database: &[(&str, &str)] = &[("replication", "database")];
    vec![
        in_mode(
            "physical",
            &[("replication", "true")],
            &[
                query("IDENTIFY_SYSTEM"),
                query("SHOW wal_level"),
                query("SELECT 1"),
                query("nonsense"),
            ],
        ),
        in_mode(
            "sql",
            database,
            &[
                query("IDENTIFY_SYSTEM"),
                query("SELECT 1"),
                query("INSERT INTO t VALUES (1)"),
                query("INSERT INTO t VALUES (3)"),
            ],
        ),
        in_mode(
            "no extended protocol",
            database,
            &[pbe("SELECT 1", &[]), sync(), query("SELECT 1")],
        ),
        // The client has to wait: what follows in the same flight is taken for an answer to the
        // stream, and is the end of the session. So it is where a slot is made, which lasts until
        // the transactions of others have ended.
        Scenario {
            counted: b"D",
            ignored: b"d",
            ..steps(
                "copy in both directions",
                vec![
                    Startup(database),
                    Await(b'Z', 1),
                    Send(query(create)),
                    Await(b'Z', 1),
                    Send(query(start)),
                    Await(b'W', 1),
                    Send(copy_done()),
                    Await(b'Z', 1),
                    Send([query("SELECT 1"), terminate()].concat()),
                ],
            )
        },
    ]
}
