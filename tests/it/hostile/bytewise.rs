//! Whole sessions a byte at a time, on both sides of the proxy: the answers are the same.

use super::relay::{Relay, Treatment};
use super::{RULES, TABLES, number, told, wait_for_rest};
use crate::shell::metrics::Numbers;
use crate::shell::process::Process;
use crate::support::postgres::Database;
use crate::support::wire::{
    Cut, Message, Wire, bind, close, describe, execute, flush, lines, parse, pbe, query, startup,
    sync, terminate,
};

/// What a client sends at once, and how many ReadyForQuery it waits for.
type Flight = (Vec<u8>, usize);

#[test]
fn a_duplicate_is_absorbed_however_slowly_everybody_speaks() {
    let database = Database::new();
    let relay = Relay::start();
    let proxy = Process::start(RULES, &relay.address());
    database.sql(TABLES);
    let rest = proxy.descriptors();
    for (name, flights, absorbed) in sessions() {
        let mut answers = Vec::new();
        for treatment in [Treatment::Passes, Treatment::Bytewise] {
            database.sql("DELETE FROM t WHERE id > 0; DELETE FROM r WHERE id > 0");
            let before = absorbed_so_far(&proxy);
            relay.treat(treatment);
            let answer = play(&proxy, &database, &flights, treatment);
            assert!(!answer.iter().any(|it| it.tag == b'E'), "{name}: {}", lines(&answer));
            assert_eq!(absorbed_so_far(&proxy) - before, absorbed, "{name}: {}", lines(&answer));
            let rows =
                database.sql("SELECT 't', id FROM t UNION SELECT 'r', id FROM r ORDER BY 1, 2");
            answers.push((lines(&answer), rows));
        }
        assert_eq!(answers[0], answers[1], "{name}");
    }
    wait_for_rest(&proxy, rest);
    assert_eq!(number(&proxy, "pgabsorb_out_of_step_total"), 0);
}

fn play(
    proxy: &Process,
    database: &Database,
    flights: &[Flight],
    treatment: Treatment,
) -> Vec<Message> {
    let mut client = Wire::open(proxy.address());
    if treatment == Treatment::Bytewise {
        client.cut(Cut::Bytewise);
    }
    client.send(&startup(&[("database", &database.name)]));
    let greeting = client.until(b'Z', 1);
    assert!(
        told(&client.query("SET client_min_messages = warning"), "SET"),
        "{}",
        lines(&greeting)
    );
    let mut answer = Vec::new();
    for (bytes, readies) in flights {
        client.send(bytes);
        answer.extend(client.until(b'Z', *readies));
    }
    client.send(&terminate());
    let (rest, cut) = client.rest();
    assert!(rest.is_empty() && cut.is_empty(), "{}", lines(&rest));
    answer
}

fn absorbed_so_far(proxy: &Process) -> u64 {
    let numbers = Numbers::read(proxy);
    let all = numbers.all("pgabsorb_conflicts_total");
    let absorbed = all.iter().filter(|(labels, _)| labels.contains("outcome=\"absorbed\""));
    absorbed.map(|(_, count)| count).sum()
}

/// Each with the number of duplicates that are absorbed in it.
fn sessions() -> Vec<(&'static str, Vec<Flight>, u64)> {
    let one = |sql: &str| (query(sql), 1);
    let call = |table: &str, id: &str| pbe(&format!("INSERT INTO {table} VALUES ($1)"), &[id]);
    vec![
        (
            "autocommit",
            vec![
                one("INSERT INTO t VALUES (0)"),
                one("INSERT INTO t VALUES (0), (1)"),
                one("INSERT INTO t VALUES (0), (2) RETURNING id"),
                one("SELECT repeat('x', 5000)"),
                (
                    [
                        parse("s", "INSERT INTO t VALUES ($1)"),
                        bind("p", "s", &["0"]),
                        describe(b'P', "p"),
                        execute("p", 0),
                        close(b'P', "p"),
                        sync(),
                    ]
                    .concat(),
                    1,
                ),
            ],
            4,
        ),
        (
            "a transaction",
            vec![
                one("BEGIN"),
                one("INSERT INTO t VALUES (0)"),
                one("INSERT INTO t VALUES (0), (3) RETURNING id"),
                ([call("t", "0"), sync()].concat(), 1),
                one("SAVEPOINT s"),
                one("INSERT INTO t VALUES (4)"),
                one("ROLLBACK TO s"),
                one("COMMIT"),
            ],
            3,
        ),
        (
            "a pipeline",
            vec![
                (
                    [
                        query("BEGIN"),
                        call("t", "0"),
                        call("t", "5"),
                        flush(),
                        call("t", "0"),
                        sync(),
                    ]
                    .concat(),
                    2,
                ),
                ([call("t", "6"), sync(), call("t", "0"), sync(), query("COMMIT")].concat(), 3),
            ],
            3,
        ),
        (
            "rewritten",
            vec![
                one("INSERT INTO r VALUES (0)"),
                one("INSERT INTO r VALUES (0), (7) RETURNING id"),
                ([call("r", "0"), call("r", "8"), call("r", "0"), sync()].concat(), 1),
                one("INSERT INTO r VALUES (9); INSERT INTO r VALUES (0); SELECT 1"),
            ],
            5,
        ),
    ]
}
