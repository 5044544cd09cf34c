//! docs/rules.schema.json is held against what is built. That it takes what is right and refuses what
//! is wrong is for a validator to say: see tests/it/schema.rs.

use serde_json::Value;

use crate::config::shape::{RULE, SECTIONS, Shape, TEST};
use crate::config::{Hint, Overrides, Problem, Reason};

const SCHEMA: &str = include_str!("../../../docs/rules.schema.json");

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

/// What the schema says of a section.
fn section(shape: &Shape) -> Value {
    let schema = schema();
    match shape.name {
        name if name == RULE.name || name == TEST.name => schema["definitions"][name].clone(),
        name => schema["properties"][name].clone(),
    }
}

fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

fn keys(object: &Value) -> Vec<&str> {
    sorted(object.as_object().unwrap().keys().map(String::as_str))
}

#[test]
fn it_knows_the_sections_and_keys_that_there_are() {
    let schema = schema();
    assert_eq!(keys(&schema["properties"]), sorted(SECTIONS.iter().map(|it| it.name)));
    for shape in SECTIONS.into_iter().chain([&TEST]) {
        let section = section(shape);
        assert_eq!(
            keys(&section["properties"]),
            sorted(shape.keys.iter().copied()),
            "{}",
            shape.label
        );
        assert_eq!(section["additionalProperties"], false, "{}", shape.label);
    }
}

#[test]
fn everything_in_it_is_described() {
    for shape in SECTIONS.into_iter().chain([&TEST]) {
        let section = section(shape);
        assert!(section["description"].is_string(), "{}", shape.label);
        for key in shape.keys {
            assert!(section["properties"][key]["description"].is_string(), "{} {key}", shape.label);
        }
    }
}

#[test]
fn it_knows_the_words_that_each_key_takes() {
    let mut found = 0;
    for shape in SECTIONS.into_iter().chain([&TEST]) {
        for key in shape.keys {
            let section = section(shape);
            let words = section["properties"][key]["enum"].as_array();
            let words = words.map(|it| sorted(it.iter().map(|word| word.as_str().unwrap())));
            assert_eq!(words, taken(shape, key), "{} {key}", shape.label);
            found += usize::from(words.is_some());
        }
    }
    assert!(found > 10, "{found}");
}

/// The words that a key takes, if it takes no others: as they are told where another is written.
fn taken(shape: &Shape, key: &str) -> Option<Vec<&'static str>> {
    let rule = "[[rule]]\nid = \"r\"\nconstraint = \"c\"\n";
    let header = match shape.name {
        name if name == RULE.name => rule.to_owned(),
        name if name == TEST.name => format!("{rule}[[rule.test]]\n"),
        _ => format!("{}\n", shape.label),
    };
    let text = format!("{header}{key} = \"a word that nobody knows\"\n");
    let mistakes = crate::config::parse(&text, &Overrides::default()).unwrap_err();
    mistakes.iter().find_map(|mistake| match &mistake.problem {
        Problem::Invalid { reason: Reason::Word(Hint::Known(words)), .. } => {
            Some(sorted(words.iter().copied()))
        }
        _ => None,
    })
}
