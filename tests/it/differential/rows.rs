//! The rows of the contract that are about what surrounds a duplicate: names, cursors, savepoints
//! and kinds of constraints. Each is a session of its own, alone and inside a block.

use super::fixed::{again, begin, end, rows, run};
use super::session::Step::{self, Bind, Close, Execute, Parse, Query, Sync, Wait};
use super::statement::{Effect, Statement};
use super::tables::{TABLES, Table};

pub fn sessions() -> Vec<(String, Vec<Step>)> {
    let surroundings = [names(), texts_of_several(), meanwhile()].concat().into_iter();
    let mut sessions: Vec<_> = surroundings.map(|(name, steps)| (name.to_owned(), steps)).collect();
    sessions.extend(TABLES.iter().flat_map(of_table));
    sessions
}

/// What the client has named, or left without a name, outlives a duplicate.
fn names() -> Vec<(&'static str, Vec<Step>)> {
    vec![
        ("the unnamed statement", inside([run(rows(&[1])), end(), again(), end(), again()])),
        (
            "the unnamed portal",
            inside([
                vec![Parse("", same("SELECT g FROM generate_series(1, 5) AS g"))],
                vec![Bind("", "", [0; 3]), Execute("", 1), Parse("s1", rows(&[1]))],
                vec![Bind("p1", "s1", [0; 3]), Execute("p1", 0), Close(b'P', "p1")],
                vec![Execute("", 2), Bind("p1", "s1", [0; 3]), Execute("p1", 0)],
                vec![Execute("", 0)],
            ]),
        ),
        (
            "cursors",
            inside([
                texts(&["DECLARE c CURSOR FOR SELECT g FROM generate_series(1, 5) AS g"]),
                texts(&["DECLARE h CURSOR WITH HOLD FOR SELECT id FROM acct", "FETCH 2 FROM c"]),
                vec![Query(vec![rows(&[1])]), Wait, Query(vec![rows(&[2, 3])]), Wait],
                texts(&["FETCH 1 FROM c", "COMMIT", "FETCH ALL FROM h", "CLOSE h"]),
            ]),
        ),
        (
            "savepoints of any name",
            inside(["x", "pgabsorb_guard", r#""Ünï;""#].map(|name| {
                vec![
                    Query(vec![savepoint("SAVEPOINT", name), rows(&[1]), rows(&[4])]),
                    Query(vec![rows(&[1, 5]), savepoint("ROLLBACK TO", name), rows(&[2, 6])]),
                    Query(vec![savepoint("RELEASE", name)]),
                    Wait,
                ]
            })),
        ),
        (
            "names are free again",
            inside([
                vec![Parse("s1", rows(&[1])), Bind("", "s1", [0; 3]), Execute("", 0), Sync, Wait],
                texts(&["DEALLOCATE ALL"]),
                vec![Query(vec![rows(&[1])]), Wait],
                vec![Parse("s1", rows(&[1, 3])), Bind("", "s1", [0; 3]), Execute("", 0), Sync],
                vec![Wait, commit()],
                texts(&["DISCARD ALL"]),
                vec![Query(vec![rows(&[1])]), Wait],
            ]),
        ),
    ]
}

/// Several statements in one text, or one segment.
fn texts_of_several() -> Vec<(&'static str, Vec<Step>)> {
    vec![
        (
            "a savepoint in the same text",
            inside([vec![
                Query(vec![savepoint("SAVEPOINT", "x"), rows(&[1]), savepoint("RELEASE", "x")]),
                Wait,
            ]]),
        ),
        (
            "BEGIN in the same text",
            vec![Query(vec![begin("BEGIN"), rows(&[1]), rows(&[3])]), Wait, commit(), Wait],
        ),
        (
            "COMMIT and the next BEGIN in the same text",
            inside([vec![
                Query(vec![end_of("COMMIT"), begin("BEGIN"), rows(&[1]), rows(&[3])]),
                Wait,
                Query(vec![Statement::control("COMMIT AND CHAIN", Effect::Chain), rows(&[1, 4])]),
                Wait,
            ]]),
        ),
        (
            "what shares the implicit transaction of a duplicate",
            [
                [run(same("UPDATE acct SET v = 9")), run(rows(&[1])), end()].concat(),
                vec![Query(vec![rows(&[5]), rows(&[1])]), Wait],
            ]
            .concat(),
        ),
    ]
}

/// What changes while the session goes on.
fn meanwhile() -> Vec<(&'static str, Vec<Step>)> {
    vec![
        (
            "a partition that is made meanwhile",
            [
                texts(&["CREATE TABLE ev_9 PARTITION OF ev FOR VALUES IN (9)"]),
                vec![event(), Wait, event(), Wait, Query(vec![begin("BEGIN")]), Wait],
                vec![event(), Wait, event(), Wait, commit(), Wait],
                texts(&["DROP TABLE ev_9"]),
            ]
            .concat(),
        ),
        (
            "a client in LATIN1",
            [
                texts(&["SET client_encoding = LATIN1"]),
                vec![Query(vec![rows(&[1])]), Wait, Query(vec![begin("BEGIN")]), Wait],
                vec![Query(vec![rows(&[1, 3])]), Wait, Query(vec![rows(&[2])]), Wait],
                run(rows(&[1, 4])),
                end(),
                vec![commit(), Wait],
                texts(&["RESET client_encoding"]),
            ]
            .concat(),
        ),
    ]
}

/// Each form of an INSERT twice, so that the second is a duplicate: alone and inside a block.
fn of_table(table: &'static Table) -> Vec<(String, Vec<Step>)> {
    let forms = [
        (false, vec![8]),
        (true, vec![8]),
        (false, vec![9, 14]),
        (true, vec![0, 15]),
        (false, vec![11]),
    ];
    let steps = |returning: bool, seeds: &[u8]| {
        let statement = insert(table, seeds, returning);
        let query = || vec![Query(vec![statement.clone()]), Wait];
        [query(), query(), run(statement.clone()), end()].concat()
    };
    let all = || forms.iter().map(|(returning, seeds)| steps(*returning, seeds));
    vec![
        (format!("{} alone", table.name), all().collect::<Vec<_>>().concat()),
        (format!("{} inside a block", table.name), inside(all())),
    ]
}

fn insert(table: &Table, seeds: &[u8], returning: bool) -> Statement {
    let columns: Vec<_> = table.columns.iter().map(|(name, _)| *name).collect();
    let row = |seed: &u8| {
        let values = table.columns.iter().map(|(_, kind)| kind.literal(*seed));
        format!("({})", values.collect::<Vec<_>>().join(", "))
    };
    let values = seeds.iter().map(row).collect::<Vec<_>>().join(", ");
    let columns = columns.join(", ");
    let head = format!("INSERT INTO {} ({columns}) VALUES {values}", table.name);
    let tail = if returning { format!("RETURNING {columns}") } else { String::new() };
    match table.clause {
        Some(target) => Statement::listed(&head, target, &tail, returning || seeds.len() > 1),
        None => same(&format!("{head} {tail}")),
    }
}

fn inside(steps: impl IntoIterator<Item = Vec<Step>>) -> Vec<Step> {
    let mut all = vec![Query(vec![begin("BEGIN")]), Wait];
    all.extend(steps.into_iter().flatten());
    all.extend([Sync, Wait, commit(), Wait]);
    all
}

fn same(text: &str) -> Statement {
    Statement::same(text)
}

/// A Query each.
fn texts(texts: &[&str]) -> Vec<Step> {
    let query = |text: &&str| {
        let statement = if *text == "COMMIT" { end_of(text) } else { same(text) };
        [Query(vec![statement]), Wait]
    };
    texts.iter().flat_map(query).collect()
}

fn commit() -> Step {
    Query(vec![end_of("COMMIT")])
}

fn end_of(text: &str) -> Statement {
    Statement::control(text, Effect::End)
}

fn savepoint(verb: &str, name: &str) -> Statement {
    let effect = if verb == "ROLLBACK TO" { Effect::RollbackTo } else { Effect::Nothing };
    Statement::control(format!("{verb} {name}"), effect)
}

/// A row of a partition that is not there yet.
fn event() -> Step {
    let head = "INSERT INTO ev VALUES (9, 1, 1)";
    Query(vec![Statement::listed(head, "(region, id)", "", false)])
}
