//! A rule for a constraint that nobody listed, ready to be copied into the rules file.

use std::collections::HashSet;
use std::fmt::Write as _;

use crate::rules::{Constraint, ConstraintGlob, Glob};

use super::is_deceptive;

/// The text, with an id that is not `taken`; none if no rule could name the constraint.
pub(super) fn stub(constraint: &Constraint, taken: &HashSet<&str>) -> Option<String> {
    let Constraint { schema, table, name } = constraint;
    ConstraintGlob::new(name).ok()?;
    Glob::new(schema).ok()?;
    Glob::new(table).ok()?;
    let mut text = format!("[[rule]]\nid = \"{}\"\n", id(name, taken));
    for (key, value) in [("constraint", name), ("schema", schema), ("table", table)] {
        text.push_str(key);
        text.push_str(" = ");
        quote(&mut text, value);
        text.push('\n');
    }
    text.push_str("action = \"observe\"\n");
    Some(text)
}

/// What an id may be made of, of a name.
fn id(name: &str, taken: &HashSet<&str>) -> String {
    let mut id = String::new();
    for it in name.chars().map(|it| it.to_ascii_lowercase()).take(50) {
        match it {
            'a'..='z' | '0'..='9' | '_' => id.push(it),
            _ if !id.is_empty() && !id.ends_with('-') => id.push('-'),
            _ => {}
        }
    }
    let id = id.trim_end_matches('-');
    let id = if id.is_empty() { "rule" } else { id };
    let numbered = (2..).map(|number| format!("{id}-{number}"));
    let mut candidates = std::iter::once(id.to_owned()).chain(numbered);
    candidates.find(|it| !taken.contains(it.as_str())).unwrap_or_else(|| id.to_owned())
}

/// A TOML string of this value.
fn quote(text: &mut String, value: &str) {
    text.push('"');
    for it in value.chars() {
        match it {
            '"' | '\\' => text.extend(['\\', it]),
            _ if is_deceptive(it) => {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\U{:08X}", u32::from(it));
            }
            _ => text.push(it),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Overrides, parse};

    fn constraint(name: &str) -> Constraint {
        Constraint { schema: "public".to_owned(), table: "t".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn an_id_is_one_that_is_free() {
        let taken = HashSet::from(["t_pkey", "t_pkey-2"]);
        let text = stub(&constraint("T_pkey"), &taken).unwrap();
        assert!(text.starts_with("[[rule]]\nid = \"t_pkey-3\"\n"), "{text}");
        assert_eq!(stub(&constraint("***"), &taken), None);
    }

    proptest! {
        #[test]
        fn a_stub_is_a_rule_that_lists_the_constraint(name in "[^\0]{1,15}", table in "[^\0]{1,15}") {
            let constraint = Constraint { table, ..constraint(&name) };
            if let Some(text) = stub(&constraint, &HashSet::new()) {
                let file = format!("proxy.upstream = 'a:1'\n{text}");
                let rules = parse(&file, &Overrides::default()).unwrap().rules;
                prop_assert!(rules.find(&constraint, &crate::rules::Origin::default()).is_some());
            }
        }
    }
}
