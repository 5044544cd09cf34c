//! `[[rule.test]]`.

use super::*;
use crate::config::{Expect, Inside, RuleTest};

const RULE: &str = "[[rule]]\nid = \"r\"\nconstraint = \"t_pkey\"\n";

fn tests(text: &str) -> Vec<RuleTest> {
    parse(&format!("{PROXY}{text}")).unwrap().tests
}

#[test]
fn what_a_test_leaves_out_is_the_rules() {
    let rule = "[[rule]]\nid = \"r\"\nconstraint = \"t_pkey\"\nschema = \"s\"\ntable = \"t\"\nusers = \"u\"\n\
                databases = [\"d\", \"e\"]\napplication_names = \"a*\"\n";
    let test = "[[rule.test]]\nstatement = \"INSERT\"\nexpect = \"absorbed\"\n";
    let [test] = <[_; 1]>::try_from(tests(&(rule.to_owned() + test))).unwrap();
    let violates = Constraint { schema: "s".into(), table: "t".into(), name: "t_pkey".into() };
    assert_eq!((test.line, test.column), (10, 1));
    assert_eq!((test.rule.as_str(), test.violates), ("r", violates));
    assert_eq!((test.origin.user.as_str(), test.origin.database.as_str()), ("u", "d"));
    assert_eq!(test.origin.application_name, "");
    assert_eq!((test.inside, test.expect), (Inside::Autocommit, Expect::Absorbed));
}

#[test]
fn every_key_of_a_test_is_read() {
    let text = format!(
        "{RULE}[[rule.test]]\nstatement = \"INSERT\"\nexpect = \"shown\"\nreason = \"nested\"\n\
         inside = \"pipeline\"\nconstraint = \"c\"\nschema = \"s\"\ntable = \"t\"\ndatabase = \"d\"\n\
         user = \"u\"\napplication_name = \"a\"\n[[rule.test]]\nstatement = \"INSERT\"\n\
         expect = \"alert\"\ninside = \"transaction\"\n"
    );
    let tests = tests(&text);
    assert_eq!(tests.len(), 2);
    let violates = Constraint { schema: "s".into(), table: "t".into(), name: "c".into() };
    assert_eq!((&tests[0].violates, tests[0].reason.as_str()), (&violates, "nested"));
    assert_eq!((tests[0].inside, tests[0].expect), (Inside::Pipeline, Expect::Shown));
    assert_eq!(tests[0].origin.application_name, "a");
    assert_eq!((tests[1].inside, tests[1].expect), (Inside::Transaction, Expect::Alert));
    assert_eq!(tests[1].violates.table, "");
}

#[test]
fn mistakes_in_a_test_are_told() {
    let pattern = RULE.replace("t_pkey", "t_*");
    for (text, expected) in [
        (
            format!("{RULE}test = 1"),
            "5:8: test must be a list of tables, each headed [[rule.test]], not an integer",
        ),
        (
            format!("{RULE}[[rule.test]]\nstatement = \"x\"\nexpect = \"hidden\""),
            "7:10: expect \"hidden\" is not known; known are absorbed, observed, alert, shown",
        ),
        (
            format!("{RULE}[[rule.test]]\nstatment = \"x\"\nstatement = \"x\"\nexpect = \"shown\""),
            "6:1: unknown key \"statment\" in [[rule.test]]; did you mean \"statement\"?",
        ),
        (
            format!("{pattern}[[rule.test]]\nstatement = \"x\"\nexpect = \"shown\""),
            "5:1: constraint is missing in [[rule.test]]; write it like constraint = \"t_pkey\"",
        ),
    ] {
        assert_eq!(mistakes(&format!("{PROXY}{text}")), [expected], "{text}");
    }
}
