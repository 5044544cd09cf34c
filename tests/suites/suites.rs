//! One test for each suite.

use std::collections::BTreeMap;
use std::{env, thread};

use super::compare::{AGAIN, Runs, Verdict, count, suspects};
use super::differences::{Occurs, listed};
use super::stage::{Stage, Way};
use super::suite::{SUITES, Suite};

#[test]
fn asyncpg() {
    compare("asyncpg");
}

#[test]
fn psycopg2() {
    compare("psycopg2");
}

#[test]
fn pg8000() {
    compare("pg8000");
}

fn compare(name: &str) {
    let suite = SUITES.iter().find(|suite| suite.name == name).unwrap();
    let ways = ways();
    let all: Vec<_> = [Way::Directly].into_iter().chain(ways.iter().copied()).collect();
    let stages: Vec<_> = all.iter().map(|way| Stage::new(suite, *way)).collect();
    let runs = run_at_once(suite, &stages);
    for (way, outcomes) in &runs {
        let counts = ["passed", "failed", "error", "skipped"]
            .map(|outcome| format!("{} {outcome}", count(outcomes, outcome)));
        println!("{name}, {way}: {} tests, {}", outcomes.len(), counts.join(", "));
    }
    let suspects = suspects(&runs);
    let names: Vec<_> = suspects.iter().cloned().collect();
    let mut again = BTreeMap::<Way, Vec<_>>::new();
    if !names.is_empty() {
        for _ in 0..AGAIN {
            for stage in &stages {
                again.entry(stage.way).or_default().push(suite.run(stage, Some(&names)));
            }
        }
    }
    let verdict = Verdict::of(&suspects, &again);
    println!("{name}: unsteady {:?}, recovered {:?}", verdict.unsteady, verdict.recovered);
    for test in runs[&Way::Directly].iter().filter(|(_, outcome)| !is_fine(outcome)) {
        println!("{name}: directly too: {} {}", test.1, test.0);
    }
    for stage in &stages {
        is_in_step(suite, stage);
    }
    let listed = listed(name, &ways);
    let mut wrong = Vec::new();
    for ((way, test), (directly, there)) in &verdict.differences {
        let known = listed.contains_key(&(*way, test.clone()));
        let line = format!("{way}: {test}: directly {directly}, there {}", there.join(", "));
        println!("{name}, {}: {line}", if known { "as listed" } else { "NOT LISTED" });
        if !known {
            wrong.push(line);
        }
    }
    for ((way, test), occurs) in listed {
        let differs = verdict.differences.contains_key(&(way, test.clone()));
        if occurs == Occurs::Always && !differs {
            wrong.push(format!("{way}: {test}: is listed, and does not differ"));
        }
    }
    assert!(wrong.is_empty(), "{name}\n{}", wrong.join("\n"));
}

/// The ways that are asked for, or all.
fn ways() -> Vec<Way> {
    let asked = env::var("PGABSORB_SUITE_WAYS").unwrap_or_default();
    let is_asked = |way: &Way| asked.split_whitespace().any(|name| name == way.to_string());
    let known = Way::PROXIED.map(|way| way.to_string());
    for name in asked.split_whitespace() {
        assert!(known.iter().any(|it| it == name), "no way is called {name}, but {known:?}");
    }
    Way::PROXIED.into_iter().filter(|way| asked.trim().is_empty() || is_asked(way)).collect()
}

fn run_at_once(suite: &Suite, stages: &[Stage]) -> Runs {
    thread::scope(|scope| {
        let start = |stage| (stage, scope.spawn(move || suite.run(stage, None)));
        let threads: Vec<(&Stage, _)> = stages.iter().map(start).collect();
        threads.into_iter().map(|(stage, thread)| (stage.way, thread.join().unwrap())).collect()
    })
}

fn is_fine(outcome: &str) -> bool {
    matches!(outcome, "passed" | "skipped")
}

/// A proxy that has given up on a session, or lists nothing, would let any test pass.
fn is_in_step(suite: &Suite, stage: &Stage) {
    let log = stage.log();
    let reasons = log.lines().filter(|line| line.contains(r#""event":"conflict""#)).map(|line| {
        let part = |name: &str| {
            let (_, rest) = line.split_once(&format!("\"{name}\":\""))?;
            rest.split('"').next()
        };
        format!(
            "{} {}",
            part("outcome").unwrap(),
            part("reason").or_else(|| part("strategy")).unwrap()
        )
    });
    let mut counts = BTreeMap::<String, usize>::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    println!("{}, {}: duplicates {counts:?}", suite.name, stage.way);
    assert!(!log.contains("out_of_step"), "{log}");
    let listed = |line: &&str| line.contains("not_listed") && !line.contains("pg_catalog");
    if stage.way.absorbs() {
        let not_listed: Vec<_> = log.lines().filter(listed).collect();
        assert!(not_listed.is_empty(), "{not_listed:?}");
    }
}
