//! A rule that is suggested, as text of a rules file.

use std::collections::HashSet;
use std::fmt;

use anyhow::Context as _;

use crate::cli::live::finding::OneLine;
use crate::rules::{ConstraintGlob, Glob, NAME_BYTES, Rule, RuleId, Ruleset};

/// What is suggested for one constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A rule, with what there is to say of it.
    Rule(Stub, Vec<String>),
    /// No rule, with what speaks against it.
    LeftOut(String),
}

/// A rule: its `id`, and its names as patterns that match them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stub {
    id: RuleId,
    constraint: ConstraintGlob,
    schema: Option<Glob>,
    table: Option<Glob>,
}

/// The names that stubs have so far.
#[derive(Debug, Default)]
pub(super) struct Ids(HashSet<String>);

impl Stub {
    /// A stub for the constraint of that name; `None` if no rule could name it.
    pub(super) fn new(
        ids: &mut Ids,
        constraint: &str,
        schema: Option<&str>,
        table: Option<&str>,
    ) -> Option<Self> {
        let glob = |name: Option<&str>| name.map(|name| Glob::new(&pattern(name))).transpose();
        Some(Self {
            constraint: ConstraintGlob::new(&pattern(constraint)).ok()?,
            schema: glob(schema).ok()?,
            table: glob(table).ok()?,
            id: ids.take(constraint)?,
        })
    }

    /// Whether its constraint's name is written as a pattern.
    pub(super) fn is_pattern(&self) -> bool {
        self.constraint.exact().is_none()
    }

    pub(super) fn rule(&self) -> Rule {
        let mut rule = Rule::new(self.id.clone(), self.constraint.clone());
        (rule.schema, rule.table) = (self.schema.clone(), self.table.clone());
        rule
    }
}

impl fmt::Display for Stub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[[rule]]\nid = \"{}\"", self.id)?;
        writeln!(f, "constraint = {}", Quoted(self.constraint.as_str()))?;
        if let Some(schema) = &self.schema {
            writeln!(f, "schema = {}", Quoted(schema.as_str()))?;
        }
        if let Some(table) = &self.table {
            writeln!(f, "table = {}", Quoted(table.as_str()))?;
        }
        writeln!(f, "action = \"observe\"")
    }
}

impl Ids {
    /// An id that is made of a name, and that no other has.
    fn take(&mut self, name: &str) -> Option<RuleId> {
        let plain =
            |it: char| if it.is_ascii_alphanumeric() { it.to_ascii_lowercase() } else { '-' };
        let words: String = name.chars().map(plain).collect();
        let words: Vec<_> = words.split('-').filter(|word| !word.is_empty()).collect();
        let stem = if words.is_empty() { "rule".to_owned() } else { words.join("-") };
        let numbered = (2..).map(|number: u32| {
            let suffix = format!("-{number}");
            format!("{}{suffix}", stem.get(..NAME_BYTES - suffix.len()).unwrap_or(&stem))
        });
        let mut candidates = std::iter::once(stem.clone()).chain(numbered);
        let free = candidates.find(|id| !self.0.contains(id))?;
        self.0.insert(free.clone());
        RuleId::new(&free).ok()
    }
}

/// The file's text: exact names first, so that no pattern hides one, and no rule that never
/// matches.
pub(super) fn text(mut entries: Vec<Entry>) -> anyhow::Result<String> {
    entries.sort_by_key(|entry| matches!(entry, Entry::Rule(stub, _) if stub.is_pattern()));
    let rules = entries.iter().filter_map(|entry| match entry {
        Entry::Rule(stub, _) => Some(stub.rule()),
        Entry::LeftOut(_) => None,
    });
    let shadowed: HashSet<_> = Ruleset::new(rules.collect()).shadowed().into_iter().collect();
    let shadowed: HashSet<_> = shadowed.into_iter().map(|(rule, _)| rule).collect();
    let mut parts = Vec::new();
    let mut number = 0;
    for entry in &entries {
        let mut part = String::new();
        match entry {
            Entry::Rule(stub, comments) => {
                for comment in comments {
                    part += &commented(comment);
                }
                if shadowed.contains(&number) {
                    part += "# left out: a rule above lists it\n";
                } else {
                    part += &stub.to_string();
                }
                number += 1;
            }
            Entry::LeftOut(why) => part += &commented(&format!("left out: {why}")),
        }
        parts.push(part);
    }
    let text = parts.join("\n");
    // What was escaped wrong would be a mistake in somebody's rules file.
    let whole = format!("[proxy]\nupstream = \"127.0.0.1:5432\"\n{text}");
    let parsed = crate::config::parse(&whole, &crate::config::Overrides::default());
    parsed
        .map_err(|mistakes| anyhow::anyhow!("{}", mistakes.in_file("the suggestion")))
        .context("the suggestion is no valid rules file")?;
    Ok(text)
}

/// A comment, on one line whatever it holds.
fn commented(comment: &str) -> String {
    format!("# {}\n", OneLine(comment))
}

/// A pattern that matches a name: there is no escape, so `?` stands for a `*`, and for itself.
fn pattern(name: &str) -> String {
    name.replace('*', "?")
}

/// A text as TOML has it, whose escapes are those of JSON but for one more control character.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::Value::from(self.0).to_string();
        f.write_str(&json.replace('\u{7f}', "\\u007F"))
    }
}

#[cfg(test)]
mod tests;
