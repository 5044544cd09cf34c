//! Sessions that are worth playing each time: rows of the contract, and crossings that chance seldom
//! makes.

use std::fmt::Write as _;

use super::session::Step::{self, Bind, Close, Execute, Flush, Parse, Query, Sync, Wait};
use super::statement::{Effect, Statement};
use super::{Answer, Strategy, World, rows};

#[test]
fn every_chosen_session_is_what_a_careful_author_sees() {
    let chosen = [crossing(), sessions(), isolated()]
        .concat()
        .into_iter()
        .map(|(name, steps)| (name.to_owned(), steps));
    let chosen: Vec<_> = chosen.chain(rows::sessions()).collect();
    play(&mut World::new("fixed", Strategy::React, Answer::Nothing), chosen.clone());
    let steps = |steps: Vec<Step>| steps.into_iter().map(Step::for_rewriting).collect();
    let rewritten = chosen.into_iter().map(|(name, it)| (name, steps(it)));
    play(&mut World::new("fixed_rewrite", Strategy::Rewrite, Answer::Nothing), rewritten);
}

fn play(world: &mut World, sessions: impl IntoIterator<Item = (String, Vec<Step>)>) {
    let mut failed = String::new();
    for (name, steps) in sessions {
        if let Err(difference) = world.play(&steps) {
            let _ = writeln!(failed, "=== {name}\n{difference}");
        }
    }
    assert!(failed.is_empty(), "{:?}: {failed}", world.strategy);
}

/// Sessions in which the next messages are sent before it is known how the last ones ended.
fn crossing() -> Vec<(&'static str, Vec<Step>)> {
    let (open, broken) = (|| begin("BEGIN"), || Statement::same("SELECT 1 / 0"));
    vec![
        // Behind an error, ReadyForQuery and the next messages cross.
        (
            "a segment behind one that failed",
            [
                [run(broken()), vec![Flush, Wait, Sync]].concat(),
                [run(rows(&[4, 5])), vec![Sync]].concat(),
                [again(), vec![Sync], again(), vec![Sync, Wait]].concat(),
            ]
            .concat(),
        ),
        (
            "BEGIN behind a segment that failed",
            [
                [run(broken()), vec![Sync], run(open())].concat(),
                vec![Query(vec![rows(&[1]), rows(&[2])]), Wait],
            ]
            .concat(),
        ),
        (
            "COMMIT AND CHAIN that fails, in the same flight",
            [
                vec![Query(vec![open()]), Wait],
                vec![Query(vec![Statement::same("INSERT INTO late (id) VALUES (1)")]), Wait],
                vec![Query(vec![Statement::control("COMMIT AND CHAIN", Effect::Chain)])],
                run(rows(&[4])),
                end(),
            ]
            .concat(),
        ),
    ]
}

fn sessions() -> Vec<(&'static str, Vec<Step>)> {
    let (open, broken) = (|| begin("BEGIN"), || Statement::same("SELECT 1 / 0"));
    vec![
        // A pipeline recovers statement by statement.
        (
            "duplicates behind BEGIN in its pipeline",
            [run(open()), run(rows(&[1])), again(), end()].concat(),
        ),
        (
            "duplicates in a pipeline inside BEGIN",
            [
                vec![Query(vec![open()]), Wait],
                run(rows(&[1])),
                again(),
                run(rows(&[1, 2, 3])),
                end(),
            ]
            .concat(),
        ),
        (
            "more behind duplicates than goes ahead at once",
            [
                vec![Query(vec![open()]), Wait],
                (1..=40).flat_map(|id| [run(rows(&[1])), run(select(id))].concat()).collect(),
                end(),
            ]
            .concat(),
        ),
        (
            "a Flush behind messages that were skipped",
            [
                vec![Query(vec![open()]), Wait],
                run(rows(&[1])),
                vec![Close(b'P', ""), Flush, Wait, Sync, Wait],
            ]
            .concat(),
        ),
        // The server's own words.
        (
            "an error before a guarded statement",
            vec![Query(vec![open()]), Wait, Query(vec![broken(), rows(&[3])]), Wait],
        ),
        (
            "where an error behind a redo points",
            vec![
                Query(vec![open()]),
                Wait,
                Query(vec![rows(&[1, 3]), Statement::same("SELECT 'ä', nosuch")]),
                Wait,
            ],
        ),
    ]
}

/// BEGIN with an isolation level of its own, which random sessions do without.
fn isolated() -> Vec<(&'static str, Vec<Step>)> {
    vec![
        (
            "BEGIN that is refused for what is in front of it",
            [vec![Parse("", rows(&[1])), Query(vec![begin(SERIALIZABLE)])], run(rows(&[4])), end()]
                .concat(),
        ),
        (
            "duplicates in a block of another isolation level",
            [
                vec![Query(vec![begin(SERIALIZABLE)]), Wait, Query(vec![rows(&[1])]), Wait],
                run(rows(&[1, 4])),
                end(),
            ]
            .concat(),
        ),
    ]
}

const SERIALIZABLE: &str = "BEGIN ISOLATION LEVEL SERIALIZABLE";

pub fn begin(text: &str) -> Statement {
    Statement::control(text, Effect::Begin)
}

/// An INSERT of these accounts, of which 1 and 2 are there.
pub fn rows(ids: &[u8]) -> Statement {
    let rows: Vec<_> = ids.iter().map(|id| format!("({id})")).collect();
    let text = format!("INSERT INTO acct VALUES {}", rows.join(", "));
    Statement::listed(&text, "(id)", "", ids.len() > 1)
}

/// A statement, parsed and executed.
pub fn run(statement: Statement) -> Vec<Step> {
    [vec![Parse("", statement)], again()].concat()
}

/// The statement that was parsed last, executed once more.
pub fn again() -> Vec<Step> {
    vec![Bind("", "", [0; 3]), Execute("", 0)]
}

pub fn end() -> Vec<Step> {
    vec![Sync, Wait]
}

fn select(number: u8) -> Statement {
    Statement::same(format!("SELECT {number}"))
}
