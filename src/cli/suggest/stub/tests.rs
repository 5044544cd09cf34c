use super::*;

fn stub(ids: &mut Ids, name: &str) -> Option<Entry> {
    let stub = Stub::new(ids, name, Some("a \"b\"\n"), Some("t*\u{7f}"))?;
    Some(Entry::Rule(stub, vec!["two\nlines".to_owned()]))
}

#[test]
fn any_name_gives_a_rule_that_lists_it() {
    let mut ids = Ids::default();
    let names = [
        "a_key",
        "A KEY",
        "ä\\\"\t",
        "x*y",
        "?a",
        &"l".repeat(63),
        &format!("{}*", "l".repeat(62)),
    ];
    for name in names {
        let entry = stub(&mut ids, name).unwrap();
        let Entry::Rule(stub, _) = &entry else { panic!() };
        assert!(stub.rule().constraint.matches(name), "{name}");
        assert!(stub.rule().table.unwrap().matches("t*\u{7f}"), "{name}");
        let text = text(vec![entry]).unwrap();
        assert!(text.starts_with("# two\u{fffd}lines\n[[rule]]\n"), "{text}");
    }
}

#[test]
fn ids_are_valid_and_unlike_each_other() {
    let mut ids = Ids::default();
    let long = "k".repeat(63);
    let names = ["a_key", "A key", "*?", "ü", &long, &long];
    let ids: Vec<_> = names.map(|name| ids.take(name).unwrap().to_string()).into();
    let cut = format!("{}-2", "k".repeat(61));
    assert_eq!(ids, ["a-key", "a-key-2", "rule", "rule-2", &long, &cut]);
}

#[test]
fn what_only_wildcards_would_name_has_no_rule() {
    assert_eq!(Stub::new(&mut Ids::default(), "*", None, None), None);
}

#[test]
fn an_exact_name_comes_before_a_pattern_that_lists_it_too() {
    let mut ids = Ids::default();
    let entries: Vec<_> = ["a*", "ab", "a?"].map(|name| stub(&mut ids, name).unwrap()).into();
    let text = text(entries).unwrap();
    let constraints: Vec<_> = text.lines().filter(|it| it.starts_with("constraint")).collect();
    assert_eq!(constraints, ["constraint = \"ab\"", "constraint = \"a?\""]);
    assert!(text.ends_with("# left out: a rule above lists it\n"), "{text}");
}
