//! `pgabsorb check`: every mistake of a rules file, or what it says in words.

mod database;
mod missing;
mod rule_tests;

use std::{
    fmt::{self, Write as _},
    fs,
    io::Write,
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;

use crate::{
    config::{self, Config, Overrides, Settings},
    proxy::access::Access,
    rules::{Action, AffectedRows, Glob, OnConflict, Rule},
};

/// Checks a rules file, and then its rules against databases. What it says goes to `out`, and what
/// is wrong with the file to `err`; the exit status is 0 only if nothing is.
pub fn check(
    path: &Path,
    overrides: &Overrides,
    databases: &[String],
    out: &mut impl Write,
    err: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    match config::parse(&text, overrides) {
        Ok(config) => {
            if let Err(error) = Access::load(&config.settings) {
                writeln!(err, "{name}: {error}")?;
                return Ok(ExitCode::FAILURE);
            }
            write!(out, "{}", summary(&name, &config))?;
            let failures = rule_tests::failures(&name, &config)?;
            if !failures.is_empty() {
                writeln!(err, "{}", failures.join("\n"))?;
                return Ok(ExitCode::FAILURE);
            }
            let good = database::check(databases, &config, out, err)?;
            Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
    if !config.tests.is_empty() {
        let noun = if config.tests.len() == 1 { "test" } else { "tests" };
        text = text.trim_end().to_owned() + &format!(", {} {noun}\n", config.tests.len());
    }
    for rule in rules {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {}", InWords(rule));
    }
    let warnings = rules.iter().filter_map(warning);
    for warning in warnings.chain(unbound(&config.settings)) {
        let _ = writeln!(text, "{warning}");
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
            Action::Absorb => " becomes success",
            Action::Observe => " is shown to the client, and logged as one to absorb",
            Action::Alert => " is shown to the client, and logged as an error",
        })?;
        if rule.action == Action::Absorb {
            f.write_str(absorbed(rule))?;
        }
        if rule.rewrites() {
            f.write_str("; its INSERTs are rewritten")?;
        }
        if let Some(expires) = rule.expires {
            write!(f, "; until {expires}")?;
        }
        Ok(())
    }
}

/// What an absorbed duplicate does, and what the client sees of it.
fn absorbed(rule: &Rule) -> &'static str {
    match (&rule.on_conflict, rule.affected_rows) {
        (OnConflict::Nothing, AffectedRows::Actual) => ": the client sees INSERT 0 0",
        (OnConflict::Nothing, AffectedRows::Requested) => {
            ": the client is told that the row was inserted"
        }
        (OnConflict::Update(_) | OnConflict::UpdateAll, _) => ": the row that is there is updated",
    }
}

/// What a rule may do that its author does not want.
fn warning(rule: &Rule) -> Option<String> {
    let names = [Some(rule.constraint.as_str()), rule.table.as_ref().map(Glob::as_str)];
    let mut names = names.into_iter().flatten().map(str::to_lowercase);
    let found = names.find_map(|name| LOCKS.iter().find(|it| name.contains(**it)));
    let told = rule.affected_rows == AffectedRows::Requested && rule.action != Action::Alert;
    let (true, Some(found)) = (told, found) else { return None };
    Some(format!(
        "warning: rule \"{}\" tells the client that a row was inserted where it was not, and its \
         name holds \"{found}\": code that takes a duplicate key for a lock would run twice",
        rule.id
    ))
}

/// Which clients cannot log in where both legs are encrypted.
fn unbound(settings: &Settings) -> Option<String> {
    let both = settings.client_tls.is_some() && settings.server_tls.is_some();
    (both && settings.users.is_none()).then(|| {
        "warning: with TLS on both sides a client that binds its SCRAM login to the channel (libpq \
         does, unless it is told channel_binding=disable) is refused, unless there is \
         [auth] mode = \"scram\", or [client_tls] has the server's own certificate and key"
            .to_owned()
    })
}

/// Parts of the names of tables that hold locks, leases and leaders: ShedLock, Quartz, and others.
const LOCKS: [&str; 7] = ["lock", "lease", "leader", "mutex", "semaphore", "qrtz", "election"];

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
