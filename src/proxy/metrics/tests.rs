use std::io;
use std::time::Duration;

use super::*;
use crate::config::{Overrides, parse};
use crate::rules::{Constraint, Origin};
use crate::session::ProtocolViolation;
use crate::session::recovery::Reason;
use crate::wire::target::{Attributes, TargetSessionAttrs};

fn rules() -> Ruleset {
    let text = "proxy.upstream = 'a:1'
        [[rule]]
        id = 'plain'
        constraint = 'a'
        [[rule]]
        id = 'watched'
        constraint = 'b'
        action = 'observe'
        [[rule]]
        id = 'never'
        constraint = 'c'
        action = 'alert'
        [[rule]]
        id = 'bulk'
        constraint = 'd'
        strategy = 'rewrite'";
    parse(text, &Overrides::default()).unwrap().rules
}

fn conflict(outcome: Outcome, constraint: Option<(&str, &str, &str)>) -> Note {
    Note::Conflict(Box::new(Conflict {
        outcome,
        strategy: Strategy::React,
        rule: None,
        constraint: constraint.map(|(schema, table, name)| Constraint {
            schema: schema.to_owned(),
            table: table.to_owned(),
            name: name.to_owned(),
        }),
        columns: None,
        detail: None,
        origin: Origin::default(),
        backend_pid: None,
        transaction_status: None,
        statement: None,
        rows_requested: None,
        rows_inserted: None,
        fingerprint: None,
    }))
}

fn shown(name: &str) -> Note {
    conflict(Outcome::Shown(Reason::NotListed), Some(("public", "t", name)))
}

/// The lines of a metric, in order of their labels.
fn lines(metrics: &Metrics, name: &str) -> Vec<String> {
    let text = metrics.text();
    let mut lines: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter(|rest| rest.starts_with(['{', ' ']))
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

#[test]
fn what_rules_may_count_is_there_from_the_start() {
    let metrics = Metrics::new(&rules());
    assert_eq!(
        lines(&metrics, "pgabsorb_conflicts_total"),
        [
            r#"{outcome="absorbed",reason="",strategy="react",rule="bulk"} 0"#,
            r#"{outcome="absorbed",reason="",strategy="react",rule="never"} 0"#,
            r#"{outcome="absorbed",reason="",strategy="react",rule="plain"} 0"#,
            r#"{outcome="absorbed",reason="",strategy="react",rule="watched"} 0"#,
            r#"{outcome="absorbed",reason="",strategy="rewrite",rule="bulk"} 0"#,
            r#"{outcome="alert",reason="",strategy="",rule="never"} 0"#,
            r#"{outcome="left_out",reason="",strategy="rewrite",rule="bulk"} 0"#,
            r#"{outcome="observed",reason="",strategy="react",rule="bulk"} 0"#,
            r#"{outcome="observed",reason="",strategy="react",rule="plain"} 0"#,
            r#"{outcome="observed",reason="",strategy="react",rule="watched"} 0"#,
        ]
    );
    assert_eq!(lines(&metrics, "pgabsorb_rules"), [" 4"]);
    assert_eq!(lines(&metrics, "pgabsorb_rule_last_hit_timestamp_seconds").len(), 4);
}

#[test]
fn other_rules_have_their_series_beside_what_was_counted() {
    let metrics = Metrics::new(&Ruleset::default());
    assert_eq!(lines(&metrics, "pgabsorb_rules"), [" 0"]);
    metrics.note(&shown("x"));
    metrics.expect(&rules());
    assert_eq!(lines(&metrics, "pgabsorb_rules"), [" 4"]);
    assert_eq!(lines(&metrics, "pgabsorb_conflicts_total").len(), 11);
}

#[test]
fn a_thousand_series_of_constraints_are_told_apart_and_the_rest_counted_together() {
    let metrics = Metrics::new(&Ruleset::default());
    let name = |number: usize| format!("c_{number}");
    for number in 0..CONSTRAINT_SERIES + 50 {
        metrics.note(&shown(&name(number)));
    }
    metrics.note(&conflict(Outcome::Absorbed, Some(("public", "t", &name(0)))));
    metrics.note(&shown(&name(0)));
    let found = lines(&metrics, "pgabsorb_conflicts_by_constraint_total");
    assert_eq!(found.len(), CONSTRAINT_SERIES + 2);
    let has = |line: &str| assert!(found.iter().any(|it| it == line), "{line}");
    has(r#"{schema="public",table="t",constraint="c_0",outcome="shown"} 2"#);
    has(r#"{schema="public",table="t",constraint="c_999",outcome="shown"} 1"#);
    has(r#"{schema="",table="",constraint="other",outcome="shown"} 50"#);
    has(r#"{schema="",table="",constraint="other",outcome="absorbed"} 1"#);
}

#[test]
fn names_from_outside_are_short_and_forge_nothing() {
    let metrics = Metrics::new(&Ruleset::default());
    let evil = ("s\"} 1\nforged 2", "t\\", "c\r\u{1b}[31m");
    metrics.note(&conflict(Outcome::Alert, Some(evil)));
    let long = "ü".repeat(100);
    metrics.note(&conflict(Outcome::Alert, Some((&long, "", ""))));
    metrics.note(&conflict(Outcome::Alert, None));
    assert_eq!(
        lines(&metrics, "pgabsorb_conflicts_by_constraint_total"),
        [
            r#"{schema="",table="",constraint="",outcome="alert"} 1"#.to_owned(),
            "{schema=\"s\\\"} 1\u{fffd}forged 2\",table=\"t\\\\\",\
             constraint=\"c\u{fffd}\u{fffd}[31m\",outcome=\"alert\"} 1"
                .to_owned(),
            format!(
                r#"{{schema="{}",table="",constraint="",outcome="alert"}} 1"#,
                "ü".repeat(NAME_BYTES / 2)
            ),
        ]
    );
}

#[test]
fn each_reason_to_refuse_a_session_is_there_from_the_start() {
    let metrics = Metrics::new(&Ruleset::default());
    let gone = || io::Error::from(io::ErrorKind::ConnectionRefused);
    for refusal in [
        Refusal::Unreachable("a:1".to_owned(), gone()),
        Refusal::ConnectTimeout("a:1".to_owned(), Duration::ZERO),
        Refusal::NotNow("a:1".to_owned(), "it starts".to_owned()),
        Refusal::Unfit {
            server: "a:1".to_owned(),
            target: TargetSessionAttrs::Primary,
            attributes: Attributes::default(),
        },
        Refusal::Full(1),
        Refusal::FullAddress(1),
        Refusal::FullLogins(1),
        Refusal::RepeatedRequest(1),
        Refusal::Unencrypted,
        Refusal::NoAnswer(b'X'),
        Refusal::NotLoggedIn,
        Refusal::NeedsPassword,
        Refusal::NoServerTls("a:1".to_owned()),
        Refusal::ServerLost(gone()),
        Refusal::Violation(ProtocolViolation::OutOfStep),
        Refusal::Stopping,
    ] {
        metrics.refused(&refusal);
    }
    let found = lines(&metrics, "pgabsorb_sessions_refused_total");
    assert_eq!(found.len(), REFUSALS.len());
    assert!(found.iter().all(|line| line.ends_with(" 1")), "{found:?}");
}

#[test]
fn a_session_is_counted_out_when_it_ends() {
    let metrics = Metrics::new(&Ruleset::default());
    let first = metrics.lifetimes.session();
    let _second = metrics.lifetimes.session();
    drop(first);
    assert_eq!(lines(&metrics, "pgabsorb_sessions"), [" 1"]);
    assert_eq!(lines(&metrics, "pgabsorb_sessions_total"), [" 2"]);
}

#[test]
fn a_session_that_ends_without_a_word_was_aborted() {
    let metrics = Metrics::new(&Ruleset::default());
    let mut first = metrics.lifetimes.session();
    let second = metrics.lifetimes.session();
    first.stands(State::Failed);
    first.ends(Ending::Closed);
    let states = lines(&metrics, "pgabsorb_sessions_by_state");
    assert!(states.contains(&r#"{state="failed"} 1"#.to_owned()), "{states:?}");
    assert!(states.contains(&r#"{state="login"} 1"#.to_owned()), "{states:?}");
    drop((first, second));
    let ended = lines(&metrics, "pgabsorb_sessions_ended_total");
    let ended: Vec<_> = ended.iter().filter(|line| !line.ends_with(" 0")).collect();
    assert_eq!(ended, [r#"{reason="aborted"} 1"#, r#"{reason="closed"} 1"#]);
    let states = lines(&metrics, "pgabsorb_sessions_by_state");
    assert!(states.iter().all(|line| line.ends_with(" 0")), "{states:?}");
}

#[test]
fn classes_of_errors_that_nobody_knows_are_counted_together() {
    let metrics = Metrics::new(&Ruleset::default());
    for class in [*b"23", *b"23", *b"zz", *b"\"}", [0, 0]] {
        metrics.traffic.errors(class, 1);
    }
    let errors = lines(&metrics, "pgabsorb_server_errors_total");
    let errors: Vec<_> = errors.iter().filter(|line| !line.ends_with(" 0")).collect();
    assert_eq!(errors, [r#"{class="23"} 2"#, r#"{class="other"} 3"#]);
}
