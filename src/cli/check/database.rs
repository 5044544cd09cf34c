//! `pgabsorb check --database`: each rule against what a database has, and what a session of the
//! proxy's would do there.

use std::fmt::Write as _;
use std::io::Write;

use anyhow::Context as _;
use postgres::Transaction;

use crate::cli::database;
use crate::cli::live::finding::{Block, Finding};
use crate::cli::live::hall::{Hall, admits, lists};
use crate::cli::live::inventory::Inventory;
use crate::cli::live::server::{self, Server};
use crate::cli::live::verdict;
use crate::config::{Config, Settings};
use crate::proxy;
use crate::rules::{Action, Escaped, Glob, Rule, Ruleset};

use super::missing;

/// Checks the rules against each database; whether every rule can do what it says.
pub(super) fn check(
    urls: &[String],
    config: &Config,
    out: &mut impl Write,
    err: &mut impl Write,
) -> anyhow::Result<bool> {
    if urls.is_empty() {
        return Ok(true);
    }
    let rules = &config.rules;
    let in_force = proxy::in_force(rules);
    let mut reports = Vec::new();
    for url in urls {
        reports.push(report(url, &config.settings, &in_force)?);
    }
    forgive_absent(&mut reports);
    for report in &reports {
        write!(out, "{}", report.text(rules, &in_force))?;
    }
    for (index, rule) in rules.rules().iter().enumerate() {
        if reports.iter().all(|it| it.rules.get(index).is_some_and(Checked::is_elsewhere)) {
            writeln!(
                out,
                "\nrule \"{}\" was checked nowhere: give --database once more, for one of its own",
                rule.id
            )?;
        }
    }
    let errors: usize = reports.iter().map(Report::errors).sum();
    if errors > 0 {
        let noun = if errors == 1 { "error" } else { "errors" };
        writeln!(err, "{errors} {noun}: a rule cannot do there what it says")?;
    }
    Ok(errors == 0)
}

/// What was found in one database.
struct Report {
    title: String,
    /// For each rule, in file order.
    rules: Vec<Checked>,
}

/// What was found of one rule in one database.
enum Checked {
    /// The rule is for other databases.
    Elsewhere(String),
    /// Nothing that it lists is there.
    Absent(Vec<Finding>),
    /// Of each constraint that it lists.
    Found(Vec<Block>),
}

impl Checked {
    fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Elsewhere(_))
    }

    fn errors(&self) -> usize {
        let count = |findings: &[Finding]| findings.iter().filter(|it| it.is_error()).count();
        match self {
            Self::Elsewhere(_) => 0,
            Self::Absent(findings) => count(findings),
            Self::Found(blocks) => blocks.iter().map(|block| count(&block.findings)).sum(),
        }
    }
}

/// What a rule lists in one database need not be in every other, unless the rule says so.
fn forgive_absent(reports: &mut [Report]) {
    let count = reports.first().map_or(0, |report| report.rules.len());
    for index in 0..count {
        let found = reports.iter().any(|it| matches!(it.rules.get(index), Some(Checked::Found(_))));
        for report in reports.iter_mut().filter(|_| found) {
            if let Some(Checked::Absent(findings)) = report.rules.get_mut(index) {
                findings.iter_mut().for_each(Finding::soften);
            }
        }
    }
}

impl Report {
    fn errors(&self) -> usize {
        self.rules.iter().map(Checked::errors).sum()
    }

    fn text(&self, rules: &Ruleset, in_force: &Ruleset) -> String {
        let mut text = format!("\n{}\n", self.title);
        let both = rules.rules().iter().zip(in_force.rules());
        for ((rule, in_force), checked) in both.zip(&self.rules) {
            // Writing to a String cannot fail.
            let _ = write!(text, "\nrule \"{}\"{}\n", rule.id, standing(rule, in_force));
            match checked {
                Checked::Elsewhere(why) => {
                    let _ = writeln!(text, "  not checked here: {why}");
                }
                Checked::Absent(findings) => {
                    for finding in findings {
                        let _ = writeln!(text, "  {finding}");
                    }
                }
                Checked::Found(blocks) => write_blocks(blocks, &mut text),
            }
        }
        text
    }
}

/// What a rule does not do yet.
fn standing(rule: &Rule, in_force: &Rule) -> &'static str {
    match (rule.action, in_force.action) {
        (Action::Absorb, Action::Observe) => {
            ": has expired, and only observes; else it would do this"
        }
        (_, Action::Observe) => ": only observes; with action = \"absorb\" it would do this",
        (_, Action::Absorb | Action::Alert) => "",
    }
}

/// The constraints of a rule: all that need attention, and the first of the others.
fn write_blocks(blocks: &[Block], text: &mut String) {
    let mut others = 0;
    for block in blocks {
        others += usize::from(!block.needs_attention());
        if block.needs_attention() || others <= SHOWN {
            let _ = write!(text, "{block}");
        }
    }
    if others > SHOWN {
        let _ = writeln!(text, "  and {} more, of which there is nothing to say", others - SHOWN);
    }
}

/// Constraints of one rule that are told in full though nothing is wrong with them.
const SHOWN: usize = 20;

fn report(url: &str, settings: &Settings, rules: &Ruleset) -> anyhow::Result<Report> {
    let mut client = database::connect(url, Some(settings))?;
    let mut transaction = server::begin(&mut client)?;
    let server = Server::of(&mut transaction)?;
    let hall = Hall::new(rules, server, Inventory::of(&mut transaction)?);
    let mut checked = Vec::new();
    for rule in rules.rules() {
        let found = check_rule(&hall, rule, &mut transaction);
        let place = || format!("cannot check rule \"{}\" in {}", rule.id, hall.server.database);
        checked.push(found.with_context(place)?);
    }
    transaction.rollback().context("cannot end the transaction")?;
    let server = &hall.server;
    let title = format!(
        "database {} as {}, PostgreSQL {}{}",
        Escaped(&server.database),
        Escaped(&server.user),
        server.version,
        if server.is_standby { ", a standby: what runs again is not tried" } else { "" }
    );
    Ok(Report { title, rules: checked })
}

fn check_rule(
    hall: &Hall<'_>,
    rule: &Rule,
    transaction: &mut Transaction<'_>,
) -> anyhow::Result<Checked> {
    if !admits(&rule.databases, &hall.server.database) {
        let globs: Vec<_> = rule.databases.iter().map(Glob::to_string).collect();
        return Ok(Checked::Elsewhere(format!("it is for {}", globs.join(" or "))));
    }
    let listed: Vec<_> = hall.inventory.listable().filter(|it| lists(rule, it)).collect();
    if listed.is_empty() {
        return Ok(Checked::Absent(missing::explain(rule, &hall.inventory)));
    }
    let mut blocks = Vec::new();
    for item in listed {
        blocks.push(verdict::judge(hall, rule, item, transaction)?);
    }
    if rule.constraint.exact().is_none() {
        verdict::forgive_some(&mut blocks);
    }
    Ok(Checked::Found(blocks))
}
