//! `[[rule.test]]`: whether each rule does what its author expects. Nothing decides that here: a
//! session of the proxy's is played through, as for `explain`.

use std::sync::Arc;

use anyhow::Context as _;

use crate::cli::live::assumed::{self, Assumed};
use crate::cli::live::rehearsal::{Act, Stage, Surroundings};
use crate::config::{Config, Expect, Inside, RuleTest};
use crate::proxy::meaning;
use crate::rules::{Constraint, Ruleset};
use crate::session::output::Outcome;
use crate::sql::{self, Encoding, Insert, Statement, Syntax};

/// What is not as it is expected, one line each.
pub(super) fn failures(name: &str, config: &Config) -> anyhow::Result<Vec<String>> {
    let mut failures = Vec::new();
    let rules = Arc::new(config.rules.clone());
    for test in &config.tests {
        if let Some(got) = failure(test, &rules)? {
            let RuleTest { line, column, rule, expect, reason, .. } = test;
            let reason = if reason.is_empty() { String::new() } else { format!(", {reason}") };
            let expected = format!("{}{reason}", expect.as_str());
            failures.push(format!(
                "{name}:{line}:{column}: test of rule \"{rule}\": expected {expected}; got {got}"
            ));
        }
    }
    Ok(failures)
}

/// What came in the place of what was expected, if it did.
fn failure(test: &RuleTest, rules: &Arc<Ruleset>) -> anyhow::Result<Option<String>> {
    let insert = insert(&test.statement);
    let mut violates = test.violates.clone();
    if violates.table.is_empty() {
        violates.table = insert.as_ref().map(|it| it.table.clone()).unwrap_or_default();
    }
    let act = play(test, rules, &violates, insert.as_ref())
        .with_context(|| format!("the test in line {}", test.line))?;
    let by = rules.find(&violates, &test.origin).map(|rule| &rule.id);
    let (word, reason, told) = match act.outcome {
        // It was rewritten, and never failed.
        None => ("absorbed", "", String::new()),
        Some(outcome @ Outcome::Shown(reason)) => {
            let told = format!(", {}: {}", reason.name(), meaning(outcome));
            ("shown", reason.name(), told)
        }
        Some(outcome) => (outcome.name(), "", String::new()),
    };
    let same = word == test.expect.as_str() && (test.reason.is_empty() || test.reason == reason);
    let own = by == Some(&test.rule) || test.expect == Expect::Shown;
    Ok(match by {
        _ if same && own => None,
        Some(by) if *by != test.rule => Some(format!("{word} by rule \"{by}\"{told}")),
        Some(_) => Some(format!("{word}{told}")),
        None => Some(format!("{word} by no rule{told}")),
    })
}

fn play(
    test: &RuleTest,
    rules: &Arc<Ruleset>,
    violates: &Constraint,
    insert: Option<&Insert>,
) -> anyhow::Result<Act> {
    let surroundings = match test.inside {
        Inside::Autocommit => Surroundings::Alone,
        Inside::Transaction => Surroundings::Block,
        Inside::Pipeline => Surroundings::Shared,
    };
    let stage = Stage::knowing(assumed::VERSION, assumed::catalog(violates, insert));
    let answers = &mut Assumed { violates };
    stage.play(answers, rules, &test.origin, &test.statement, violates, surroundings)
}

/// The INSERT that a statement is.
fn insert(statement: &str) -> Option<Insert> {
    let syntax = Syntax { standard_conforming_strings: true, encoding: Encoding::Utf8 };
    let script = sql::classify(statement.as_bytes(), syntax).ok()?;
    script.statements.into_iter().find_map(|part| match part.statement {
        Statement::Insert(insert) => Some(insert),
        _ => None,
    })
}
