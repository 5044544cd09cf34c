//! Where rules are looked at: a database, and what is known of it.

use std::sync::Arc;

use crate::rules::{Action, Glob, Origin, Rule, Ruleset, SYSTEM_SCHEMA, Strategy};

use super::inventory::{Inventory, Item};
use super::rehearsal::Stage;
use super::server::Server;

/// Where rules are looked at.
pub(in crate::cli) struct Hall<'a> {
    pub(in crate::cli) rules: &'a Ruleset,
    pub(in crate::cli) server: Server,
    pub(in crate::cli) inventory: Inventory,
    pub(super) stage: Stage,
}

impl<'a> Hall<'a> {
    pub(in crate::cli) fn new(rules: &'a Ruleset, server: Server, inventory: Inventory) -> Self {
        let stage = Stage::of(&server);
        Self { rules, server, inventory, stage }
    }

    /// A client that a rule is for: the one that has connected, as far as the rule lets it.
    pub(super) fn origin(&self, rule: &Rule) -> Origin {
        Origin {
            database: self.server.database.clone(),
            user: fitting(&rule.users, &self.server.user),
            application_name: fitting(&rule.application_names, ""),
        }
    }

    /// The rules, as if this one absorbed by a strategy; if that is `react`, as if all did.
    pub(super) fn asking(&self, rule: &Rule, strategy: Strategy) -> Arc<Ruleset> {
        let each = self.rules.rules().iter().cloned().map(|mut it| {
            let asked = it.id == rule.id;
            if asked {
                it.action = Action::Absorb;
            }
            if asked || strategy == Strategy::React {
                it.strategy = strategy;
            }
            it
        });
        Arc::new(Ruleset::new(each.collect()))
    }
}

/// Whether a name is one of those that a rule is for.
pub(in crate::cli) fn admits(globs: &[Glob], name: &str) -> bool {
    globs.is_empty() || globs.iter().any(|glob| glob.matches(name))
}

/// The name, or another that the rule is for.
fn fitting(globs: &[Glob], name: &str) -> String {
    match globs.first() {
        Some(first) if !admits(globs, name) => first.as_str().replace('*', "").replace('?', "x"),
        _ => name.to_owned(),
    }
}

/// Whether a rule's names are those of a constraint.
pub(in crate::cli) fn lists(rule: &Rule, item: &Item) -> bool {
    rule.constraint.matches(&item.constraint.name) && is_within(rule, item)
}

/// Whether a rule's schema and table are those of a constraint.
pub(in crate::cli) fn is_within(rule: &Rule, item: &Item) -> bool {
    item.constraint.schema != SYSTEM_SCHEMA
        && rule.schema.as_ref().is_none_or(|it| it.matches(&item.constraint.schema))
        && rule.table.as_ref().is_none_or(|it| it.matches(&item.constraint.table))
}
