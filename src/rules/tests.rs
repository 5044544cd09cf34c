use proptest::prelude::*;

use super::*;

fn rule(id: &str, constraint: &str) -> Rule {
    Rule::new(RuleId::new(id).unwrap(), ConstraintGlob::new(constraint).unwrap())
}

fn glob(text: &str) -> Glob {
    Glob::new(text).unwrap()
}

fn constraint(schema: &str, table: &str, name: &str) -> Constraint {
    Constraint { schema: schema.into(), table: table.into(), name: name.into() }
}

fn found(rules: &[Rule], schema: &str, table: &str, name: &str, origin: &Origin) -> Option<String> {
    let rules = Ruleset::new(rules.to_vec());
    rules.find(&constraint(schema, table, name), origin).map(|rule| rule.id.to_string())
}

#[test]
fn a_glob_matches_whole_names_case_sensitively() {
    let table = [
        ("events_pkey", "events_pkey", true),
        ("events_pkey", "Events_pkey", false),
        ("events_pkey", "events_pkey1", false),
        ("events_pkey", "my_events_pkey", false),
        ("*_pkey", "events_pkey", true),
        ("*_pkey", "_pkey", true),
        ("*_pkey", "events_pkey1", false),
        ("*_pkey", "a_pkey_pkey", true),
        ("events_*", "events_", true),
        ("e*s*y", "events_pkey", true),
        ("e*s*z", "events_pkey", false),
        ("a**b", "ab", true),
        ("part_?_pkey", "part_1_pkey", true),
        ("part_?_pkey", "part_é_pkey", true),
        ("part_?_pkey", "part__pkey", false),
        ("part_?_pkey", "part_12_pkey", false),
        ("*", "", true),
        ("?", "", false),
        ("a[bc]", "ab", false),
        ("a[bc]", "a[bc]", true),
        ("a{b,c}", "ab", false),
        (r"a\*", r"a\b", true),
        (r"a\*", "a*", false),
        ("a.c", "abc", false),
        ("a/*", "a/b/c", true),
        ("*a*a*a*a*a*b", &"a".repeat(60), false),
    ];
    for (pattern, name, expected) in table {
        assert_eq!(glob(pattern).matches(name), expected, "{pattern} {name}");
    }
}

#[test]
fn a_text_that_no_name_could_match_is_no_glob() {
    let long = "x".repeat(64);
    let table = [
        ("", Err(GlobError::Empty)),
        ("a\0", Err(GlobError::Nul)),
        (&long, Err(GlobError::TooLong)),
        (&long[..63], Ok(())),
        (&format!("{}*", &long[..63]), Ok(())),
        (&format!("{}?", &long[..63]), Err(GlobError::TooLong)),
        (&"é".repeat(32), Err(GlobError::TooLong)),
        ("*", Ok(())),
    ];
    for (text, expected) in table {
        assert_eq!(Glob::new(text).map(|_| ()), expected, "{text:?}");
    }
}

#[test]
fn a_constraint_glob_has_a_literal_character() {
    for text in ["*", "**", "?", "?*", "*?*"] {
        assert_eq!(ConstraintGlob::new(text), Err(GlobError::Everything), "{text}");
    }
    assert!(ConstraintGlob::new("*y").is_ok());
}

#[test]
fn an_id_is_safe_in_logs_and_labels() {
    for text in ["a", "webhook-replays", "0_9", &"a".repeat(63)] {
        assert_eq!(RuleId::new(text).unwrap().as_str(), text);
    }
    for text in ["", "A", "a b", "a.b", "é", "a\n", &"a".repeat(64)] {
        assert_eq!(RuleId::new(text), Err(RuleIdError), "{text:?}");
    }
}

#[test]
fn the_first_rule_in_file_order_wins_whether_exact_or_glob() {
    let exact_first = [rule("exact", "events_pkey"), rule("glob", "*_pkey")];
    let glob_first = [rule("glob", "*_pkey"), rule("exact", "events_pkey")];
    let anyone = Origin::default();
    let of = |rules, name| found(rules, "public", "events", name, &anyone);
    assert_eq!(of(&exact_first, "events_pkey").as_deref(), Some("exact"));
    assert_eq!(of(&exact_first, "orders_pkey").as_deref(), Some("glob"));
    assert_eq!(of(&glob_first, "events_pkey").as_deref(), Some("glob"));
    assert_eq!(of(&glob_first, "events_key"), None);
    assert_eq!(of(&[], "events_pkey"), None);
}

#[test]
fn every_part_that_is_given_must_match() {
    let mut narrow = rule("narrow", "events_pkey");
    narrow.schema = Some(glob("tenant_*"));
    narrow.table = Some(glob("events"));
    narrow.databases = vec![glob("app"), glob("app_?")];
    narrow.users = vec![glob("web")];
    narrow.application_names = vec![glob("worker-*")];
    let rules = [narrow, rule("wide", "events_pkey")];

    let origin = |database: &str, user: &str, application_name: &str| Origin {
        database: database.into(),
        user: user.into(),
        application_name: application_name.into(),
    };
    let worker = origin("app_1", "web", "worker-7");
    let table = [
        ("tenant_a", "events", worker.clone(), "narrow"),
        ("public", "events", worker.clone(), "wide"),
        ("tenant_a", "event", worker, "wide"),
        ("tenant_a", "events", origin("app", "web", "worker-"), "narrow"),
        ("tenant_a", "events", origin("other", "web", "worker-7"), "wide"),
        ("tenant_a", "events", origin("app", "Web", "worker-7"), "wide"),
        ("tenant_a", "events", origin("app", "web", ""), "wide"),
    ];
    for (schema, name, origin, expected) in table {
        let id = found(&rules, schema, name, "events_pkey", &origin);
        assert_eq!(id.as_deref(), Some(expected), "{schema} {name} {origin:?}");
    }
}

#[test]
fn a_constraint_of_the_catalogs_is_never_listed() {
    let mut named = rule("named", "pg_class_oid_index");
    named.schema = Some(glob("pg_catalog"));
    let rules = [named, rule("glob", "pg_*")];
    let name = "pg_class_oid_index";
    assert_eq!(found(&rules, "pg_catalog", "pg_class", name, &Origin::default()), None);
    assert!(found(&rules, "public", "pg_class", name, &Origin::default()).is_some());
}

#[test]
fn the_names_to_look_up_are_deduplicated_and_patterns_are_escaped_for_like() {
    let constraints = ["b_pkey", "a_pkey", "b_pkey", "*_pkey", "100%_?", r"c\*", "*_pkey"];
    let rules = Ruleset::new(constraints.iter().map(|it| rule("r", it)).collect());
    let (names, likes) = rules.constraint_names();
    assert_eq!(names, ["a_pkey", "b_pkey"]);
    assert_eq!(likes, [r"%\_pkey", r"100\%\__%", r"c\\%"]);
}

#[test]
fn a_rule_is_shadowed_by_an_earlier_one_that_lists_as_much() {
    let with = |mut rule: Rule, change: fn(&mut Rule)| {
        change(&mut rule);
        rule
    };
    let exact = || rule("r", "events_pkey");
    let public = || with(exact(), |rule| rule.schema = Some(glob("public")));
    let two = || with(exact(), |rule| rule.users = vec![glob("a"), glob("b")]);
    let table = [
        (exact(), exact(), true),
        (exact(), with(exact(), |rule| rule.action = Action::Alert), true),
        (exact(), public(), true),
        (public(), exact(), false),
        (public(), public(), true),
        (public(), with(exact(), |rule| rule.schema = Some(glob("p*"))), false),
        (rule("r", "*_pkey"), exact(), true),
        (rule("r", "*_pkey"), rule("r", "*_pkey"), true),
        (rule("r", "*_pkey"), rule("r", "e*_pkey"), false),
        (exact(), rule("r", "*_pkey"), false),
        (two(), with(two(), |rule| rule.users.reverse()), true),
        (two(), with(exact(), |rule| rule.users = vec![glob("b")]), true),
        (two(), with(exact(), |rule| rule.users = vec![glob("b"), glob("c")]), false),
        (two(), exact(), false),
    ];
    for (earlier, later, expected) in table {
        let rules = Ruleset::new(vec![rule("other", "other_pkey"), earlier, later]);
        let pairs = if expected { vec![(2, 1)] } else { vec![] };
        assert_eq!(rules.shadowed(), pairs, "{:?}", rules.rules());
    }
}

#[test]
fn a_constraint_is_shown_on_one_line_and_without_ambiguity() {
    let table = [
        (constraint("public", "events", "events_pkey"), "public.events.events_pkey"),
        (constraint("a.b", "Événements", "k-1"), r#""a.b".Événements.k-1"#),
        (constraint("", "a\"b", "x\ny\u{1b}\u{202e}"), r#"""."a\"b"."x\ny\u{1b}\u{202e}""#),
    ];
    for (constraint, expected) in table {
        assert_eq!(constraint.to_string(), expected);
    }
}

/// What a glob means, said without backtracking: split at the first star.
fn oracle(pattern: &[char], name: &[char]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (['*', rest @ ..], _) => (0..=name.len()).any(|skip| oracle(rest, &name[skip..])),
        (['?', rest @ ..], [_, tail @ ..]) => oracle(rest, tail),
        ([want, rest @ ..], [have, tail @ ..]) => want == have && oracle(rest, tail),
        _ => false,
    }
}

proptest! {
    #[test]
    fn a_glob_agrees_with_its_definition(pattern in "[ab*?é]{1,9}", name in "[abé]{0,12}") {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        let expected = oracle(&chars(&pattern), &chars(&name));
        prop_assert_eq!(glob(&pattern).matches(&name), expected);
    }

    #[test]
    fn the_index_finds_what_a_walk_over_the_rules_finds(
        patterns in prop::collection::vec("[ab]{1,2}[*?]?", 0..12),
        name in "[ab]{1,3}",
    ) {
        let ids = |index: usize| format!("rule-{index}");
        let rules: Vec<_> =
            patterns.iter().enumerate().map(|(index, it)| rule(&ids(index), it)).collect();
        let walked = patterns.iter().position(|it| glob(it).matches(&name)).map(ids);
        prop_assert_eq!(found(&rules, "public", "t", &name, &Origin::default()), walked);
    }
}

#[test]
fn a_date_is_a_day_that_there_is() {
    for (text, valid) in [
        ("2026-12-31", true),
        ("2024-02-29", true),
        ("2000-02-29", true),
        ("2026-02-29", false),
        ("1900-02-29", false),
        ("2026-04-31", false),
        ("2026-13-01", false),
        ("2026-00-10", false),
        ("2026-01-00", false),
        ("2026-1-1", false),
        ("+026-01-01", false),
        ("2026-01-01-", false),
        ("", false),
    ] {
        assert_eq!(Date::new(text).is_ok(), valid, "{text}");
    }
    assert!(Date::new("2026-12-31").unwrap() < Date::new("2027-01-01").unwrap());
    assert_eq!(Date::new("0099-01-02").unwrap().to_string(), "0099-01-02");
}
