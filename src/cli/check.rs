//! `pgabsorb check`: every mistake of a rules file, or what it says in words.

use std::{
    fmt::{self, Write as _},
    fs,
    io::Write,
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;

use crate::{
    config::{self, Config, Overrides},
    rules::{Action, Glob, Rule},
};

/// Checks a rules file. What it says goes to `out`, and what is wrong with it to `err`; the exit
/// status is 0 only if nothing is.
pub fn check(
    path: &Path,
    overrides: &Overrides,
    out: &mut impl Write,
    err: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    match config::parse(&text, overrides) {
        Ok(config) => {
            write!(out, "{}", summary(&name, &config))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(mistakes) => {
            writeln!(err, "{}", mistakes.in_file(&name))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The number of rules, then a line for each.
fn summary(name: &str, config: &Config) -> String {
    let rules = config.rules.rules();
    let noun = if rules.len() == 1 { "rule" } else { "rules" };
    let mut text = format!("{name}: ok, {} {noun}\n", rules.len());
    for rule in rules {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {}", InWords(rule));
    }
    text
}

/// One line that says what a rule does.
struct InWords<'a>(&'a Rule);

impl fmt::Display for InWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(rule) = self;
        write!(f, "{}: a duplicate of {} ", rule.id, rule.constraint)?;
        match (&rule.schema, &rule.table) {
            (Some(schema), Some(table)) => write!(f, "on {schema}.{table}")?,
            (Some(schema), None) => write!(f, "on any table of {schema}")?,
            (None, Some(table)) => write!(f, "on {table} of any schema")?,
            (None, None) => write!(f, "on any table")?,
        }
        if let Some(clients) = clients(rule) {
            write!(f, " ({clients})")?;
        }
        f.write_str(match rule.action {
            Action::Absorb => " becomes success: the client sees INSERT 0 0",
            Action::Observe => " is shown to the client, and logged as one to absorb",
            Action::Alert => " is shown to the client, and logged as an error",
        })
    }
}

/// For whom the rule is, unless it is for everyone.
fn clients(rule: &Rule) -> Option<String> {
    let part = |what: &str, globs: &[Glob]| {
        let globs: Vec<_> = globs.iter().map(Glob::to_string).collect();
        (!globs.is_empty()).then(|| format!("{what} {}", globs.join(" or ")))
    };
    let parts = [
        part("database", &rule.databases),
        part("user", &rule.users),
        part("application", &rule.application_names),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests;
