//! `[[rule.test]]`: tests that hold, and tests that do not.

use super::check;

const RULES: &str = "
[[rule]]
id = 'first'
constraint = 't_pkey'
table = 'special'

[[rule]]
id = 'second'
constraint = 't_pkey'
";

/// What is said of the one test, behind the file and the place, and whether it holds.
fn said(test: &str) -> Option<String> {
    let said = check(&format!("{RULES}[[rule.test]]\n{test}"), &[]);
    assert_eq!(said.code, Some(i32::from(!said.err.is_empty())), "{}{}", said.out, said.err);
    let (place, told) = said.err.split_once(": test of rule \"second\": ")?;
    assert!(place.ends_with("rules.toml:12:1"), "{place}");
    Some(told.trim_end().to_owned())
}

#[test]
fn what_is_so_is_said_to_be() {
    for test in [
        "statement = 'INSERT INTO t VALUES (1)'\nexpect = 'absorbed'",
        "statement = 'INSERT INTO t VALUES (1), (2)'\nexpect = 'absorbed'\ninside = 'transaction'",
        "statement = 'INSERT INTO t VALUES (1)'\nexpect = 'shown'\ninside = 'pipeline'",
        "statement = 'UPDATE t SET id = 1'\ntable = 't'\nexpect = 'shown'\nreason = 'not_insert'",
        "statement = 'INSERT INTO t VALUES (1)'\nconstraint = 'other'\nexpect = 'shown'\nreason = 'not_listed'",
    ] {
        assert_eq!(said(test), None, "{test}");
    }
    let counted = check(
        &format!(
            "{RULES}[[rule.test]]\nstatement = 'INSERT INTO t VALUES (1)'\nexpect = 'absorbed'"
        ),
        &[],
    );
    assert!(counted.out.contains("ok, 2 rules, 1 test\n"), "{}", counted.out);
}

#[test]
fn what_is_not_so_is_told_with_what_is() {
    for (test, told) in [
        (
            "statement = 'INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING'\nexpect = 'absorbed'",
            "expected absorbed; got shown, own_on_conflict: The statement has an ON CONFLICT of its own.",
        ),
        (
            "statement = 'INSERT INTO t VALUES (1)'\nexpect = 'observed'",
            "expected observed; got absorbed",
        ),
        (
            "statement = 'INSERT INTO special VALUES (1)'\nexpect = 'absorbed'",
            "expected absorbed; got absorbed by rule \"first\"",
        ),
        (
            "statement = 'INSERT INTO t VALUES (1)'\ninside = 'pipeline'\nexpect = 'shown'\nreason = 'nested'",
            "expected shown, nested; got shown, implicit_transaction: ",
        ),
        (
            "statement = 'INSERT INTO t VALUES (1)'\nconstraint = 'other'\nexpect = 'alert'",
            "expected alert; got shown by no rule, not_listed: No rule lists the constraint.",
        ),
    ] {
        let said = said(test).expect("a failure");
        assert!(said.starts_with(told), "{said}");
    }
}

/// A rule that rewrites never sees the error, and one that rewrites what it should not would.
#[test]
fn a_rewritten_statement_is_absorbed_wherever_it_stands() {
    for inside in ["autocommit", "transaction", "pipeline"] {
        let rule = "[[rule]]\nid = 'r'\nconstraint = 't_pkey'\nstrategy = 'rewrite'\n";
        let test = format!(
            "statement = 'INSERT INTO t VALUES (1)'\ninside = '{inside}'\nexpect = 'absorbed'"
        );
        let said = check(&format!("{rule}[[rule.test]]\n{test}"), &[]);
        assert_eq!(said.code, Some(0), "{}", said.err);
    }
}
