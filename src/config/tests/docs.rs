//! docs/rules.md is held against what is built.

use super::{PROXY, parse};
use crate::config::shape::{SECTIONS, TEST};

const DOCS: &str = include_str!("../../../docs/rules.md");

#[test]
fn every_key_is_in_the_reference() {
    for shape in SECTIONS.into_iter().chain([&TEST]) {
        for key in shape.keys {
            assert!(headings().any(|it| it.split(", ").any(|it| it == *key)), "{key}");
        }
    }
}

fn headings() -> impl Iterator<Item = &'static str> {
    DOCS.lines().filter_map(|line| line.strip_prefix("### "))
}

#[test]
fn every_example_of_the_reference_is_right() {
    let mut section = "";
    let mut examples = 0;
    for part in DOCS.split("\n## ") {
        section = part.split('\n').next().filter(|it| it.starts_with('[')).unwrap_or(section);
        for block in part.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            for text in files(section, block) {
                let result = parse(&text);
                assert!(result.is_ok(), "{text}\n{}", result.unwrap_err().in_file("docs"));
                examples += 1;
            }
        }
    }
    assert!(examples > 10, "{examples}");
}

/// The files that an example stands for: a block with a header is one, else each line is one key.
fn files(section: &str, block: &str) -> Vec<String> {
    if block.contains("[proxy]") {
        return vec![block.to_owned()];
    }
    if block.contains("[[rule]]") {
        return vec![format!("{PROXY}{block}")];
    }
    let file = |line: &str| match section {
        "[proxy]" if line.starts_with("upstream") => format!("[proxy]\n{line}"),
        "[[rule]]" if line.starts_with("constraint") => {
            format!("{PROXY}[[rule]]\nid = 'r'\n{line}")
        }
        "[[rule]]" => format!("{PROXY}[[rule]]\nid = 'r'\nconstraint = 'c'\n{line}"),
        "[proxy]" => format!("[proxy]\nupstream = 'localhost:1'\n{line}"),
        _ => format!("{PROXY}{section}\n{line}"),
    };
    block.lines().map(file).collect()
}
