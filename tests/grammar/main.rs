//! What `sql::classify` says of a text, held against PostgreSQL's own parser, that of version 18.
//!
//! They must agree on each statement: whether it is an INSERT that modifies nothing beside its
//! target, of which shape, into which table; whether it begins or ends a transaction. And the text
//! with an ON CONFLICT where `classify` says it belongs must have the same tree as the text without,
//! but for that clause. What is said at a glance must be so too, where the glance is sure. To be unsure is no disagreement, but the forms that are listed here say of
//! themselves whether they are.
//!
//! Versions differ in what they refuse, and a text that the parser refuses asks nothing of
//! `classify` but an answer: `$1returning a`, which 10 to 14 take for a clause, is not compared here.
//!
//! The usual run mutates the same statements each time, so that what it fails for is the last
//! change. `PGABSORB_STATEMENTS=1000000 cargo test --release --features grammar --test grammar`
//! mutates as many others, `PGABSORB_SEED` the statements of a failure again.

#![expect(unreachable_pub, reason = "this crate has no outside; `pub` is for the other modules")]
#![expect(
    clippy::indexing_slicing,
    reason = "a test that meets a surprise has failed, and says where"
)]

// What the parser says of a text.
mod tree;

// Whether `classify` says the same.
mod agree;

// Whether a glance at a text says the same.
mod glances;

// Whether a row that is said to be only computed is.
mod calls;

// Statements that are almost those of the tables.
mod mutate;

use std::cell::RefCell;
use std::collections::HashSet;
use std::env;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;

use pgabsorb::sql::{Encoding, Syntax};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

use agree::{Count, Verdict, compare};

const ON: Syntax = Syntax { standard_conforming_strings: true, encoding: Encoding::Utf8 };
const OFF: Syntax = Syntax { standard_conforming_strings: false, ..ON };

/// Each text is a form that the parser accepts, unless it is marked ` => ! refused`, and
/// `classify` is sure of, unless it is marked with the reason why not.
const FORMS: &[(&str, Syntax)] =
    &[(include_str!("forms.txt"), ON), (include_str!("backslashes.txt"), OFF)];

/// The tables of `src/sql`, of which the parser refuses some texts.
const TABLES: &[(&str, Syntax)] = &[
    (include_str!("../../src/sql/tests/forms.txt"), ON),
    (include_str!("../../src/sql/tests/backslashes.txt"), OFF),
];

#[test]
fn each_form_is_to_the_parser_what_it_is_here() {
    let (mut count, mut wrong) = (Count::default(), Vec::new());
    for (line, syntax) in lines(FORMS) {
        let (text, expected) = split_form(line);
        let found = match compare(&unescape(text), syntax) {
            Ok(Verdict::Agreed(agreed)) => {
                count += agreed;
                String::new()
            }
            Ok(Verdict::Unsure(reason)) => {
                count.unsure += 1;
                format!("{reason:?}")
            }
            Ok(Verdict::Refused) => "refused".to_owned(),
            Err(disagreement) => disagreement,
        };
        if found != expected {
            wrong.push(format!("{line}\n    is {found}"));
        }
    }
    println!("forms: {count:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count.inserts >= 150 && count.spliced >= 150, "{count:?}");
}

#[test]
fn each_text_of_the_other_tables_is_to_the_parser_what_it_is_there() {
    let mut count = Count::default();
    for (line, syntax) in lines(TABLES) {
        let text = unescape(split_row(line).0);
        match compare(&text, syntax).unwrap_or_else(|reason| panic!("{text}\n{reason}")) {
            Verdict::Agreed(agreed) => count += agreed,
            Verdict::Unsure(_) => count.unsure += 1,
            Verdict::Refused => {}
        }
    }
    println!("tables: {count:?}");
    assert!(count.inserts >= 100, "{count:?}");
}

#[test]
fn what_is_left_of_a_mutated_statement_is_to_the_parser_what_it_is_here() {
    let forms = lines(FORMS).map(|(line, _)| split_form(line));
    let texts = forms.chain(lines(TABLES).map(|(line, _)| split_row(line)));
    let texts: Vec<_> = texts.map(|(text, _)| unescape(text)).collect();
    let cases = number("PGABSORB_STATEMENTS");
    let (seen, count) = (RefCell::new(HashSet::new()), RefCell::new(Count::default()));
    seen.borrow_mut().extend(texts.iter().flat_map(|it| [(it.clone(), true), (it.clone(), false)]));
    run(cases, &mutate::statement(texts), |(text, conforming)| {
        // Some changes come to nothing, or to the same.
        if !seen.borrow_mut().insert((text.clone(), conforming)) {
            return Ok(());
        }
        let syntax = if conforming { ON } else { OFF };
        let mut count = count.borrow_mut();
        match compare(&text, syntax) {
            Ok(Verdict::Agreed(agreed)) => *count += agreed,
            Ok(Verdict::Unsure(_)) => count.unsure += 1,
            Ok(Verdict::Refused) => {}
            Err(reason) => {
                return Err(TestCaseError::fail(format!("{syntax:?}\n{text}\n{reason}")));
            }
        }
        Ok(())
    });
    let count = count.into_inner();
    println!("mutated: {count:?}");
    // As many as make this a test; what they are depends on the tables.
    let floor = cases.unwrap_or(USUAL_STATEMENTS) / 10;
    assert!(count.inserts >= floor && count.spliced >= floor / 2, "{count:?}");
}

/// Runs a property on random values; a failure says the seed that brings it back.
fn run<S: proptest::strategy::Strategy>(
    cases: Option<u32>,
    strategy: &S,
    property: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let seed = number("PGABSORB_SEED")
        .unwrap_or_else(|| cases.map_or(USUAL_SEED, |cases| RandomState::new().hash_one(cases)));
    let cases = cases.unwrap_or(USUAL_STATEMENTS);
    let mut runner = TestRunner::new(Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 1000,
        ..Config::default()
    });
    match runner.run(strategy, property) {
        Ok(()) => {}
        Err(TestError::Fail(reason, _)) => {
            panic!("PGABSORB_SEED={seed} PGABSORB_STATEMENTS={cases}\n{reason}")
        }
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

fn number<T: FromStr>(variable: &str) -> Option<T> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// The lines of tables that are texts, with how their strings are read.
fn lines(
    tables: &'static [(&'static str, Syntax)],
) -> impl Iterator<Item = (&'static str, Syntax)> {
    tables.iter().flat_map(|&(table, syntax)| {
        let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(move |line| (line, syntax))
    })
}

/// A form, and its mark.
fn split_form(line: &str) -> (&str, &str) {
    line.rsplit_once(" => ! ").unwrap_or((line, ""))
}

/// A text, and what its table says that it is.
fn split_row(line: &str) -> (&str, &str) {
    line.rsplit_once(" => ").expect("each line has an arrow")
}

fn unescape(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t")
}

const USUAL_STATEMENTS: u32 = 100_000;

const USUAL_SEED: u64 = 0x5047_4142_534F_5242;
