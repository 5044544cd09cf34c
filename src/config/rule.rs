//! `[[rule]]`, one after the other, becomes a [`Ruleset`].

use std::collections::HashMap;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Problem, RuleTest,
    reader::{Kind, Placed, Reader, Section},
    rule_test,
    shape::{DEFAULTS, RULE},
    value::{self, Set, Update},
};
use crate::rules::{Action, Glob, OnConflict, Rule, RuleId, Ruleset};

/// The rules of a file and their tests; those with mistakes are left out.
pub(super) fn read(root: &DeTable<'_>, reader: &mut Reader<'_>) -> (Ruleset, Vec<RuleTest>) {
    let mut tests = Vec::new();
    let mut ids = HashMap::new();
    let mut places = Vec::new();
    let mut rules = Vec::new();
    for (at, table) in tables(root, reader) {
        if let Some((rule, section)) = read_rule(at, table, &mut ids, reader) {
            tests.extend(rule_test::read(&rule, &section, reader));
            places.push(at);
            rules.push(rule);
        }
    }
    let defaults = reader.section(root, &DEFAULTS);
    let action = reader.value(&defaults, "action", &value::DEFAULT_ACTION);
    if action.is_some_and(|action| action.value == Action::Observe) {
        for rule in rules.iter_mut().filter(|rule| rule.action == Action::Absorb) {
            rule.action = Action::Observe;
        }
    }
    let rules = Ruleset::new(rules);
    reject_shadowed(&rules, &places, reader);
    (rules, tests)
}

/// The tables of all rules, each with where it starts.
fn tables<'t>(
    root: &'t DeTable<'t>,
    reader: &mut Reader<'_>,
) -> Vec<(usize, &'t Spanned<DeValue<'t>>)> {
    let Some((key, value)) = root.get_key_value(RULE.name) else { return Vec::new() };
    match value.get_ref() {
        DeValue::Array(tables) => tables.iter().map(|it| (it.span().start, it)).collect(),
        other => {
            let at = key.span().start;
            reader.reject_type("rule", "a list of tables, each headed [[rule]]", at, other);
            Vec::new()
        }
    }
}

fn read_rule<'t>(
    at: usize,
    table: &'t Spanned<DeValue<'t>>,
    ids: &mut HashMap<RuleId, usize>,
    reader: &mut Reader<'_>,
) -> Option<(Rule, Section<'t>)> {
    let before = reader.rejected();
    let section = reader.table(&RULE, at, table)?;
    reader.require(&section, "id", "id = \"webhook-replays\"");
    reader.require(&section, "constraint", "constraint = \"webhook_events_pkey\"");
    let id = reader.value(&section, "id", &value::ID);
    if let Some(Placed { at, value: id }) = &id {
        reject_duplicate(id, *at, ids, reader);
    }
    let constraint = reader.value(&section, "constraint", &value::CONSTRAINT);
    // The base comes last in evaluation, so a lack of it hides no mistake of the other keys.
    let rule = Rule {
        schema: reader.value(&section, "schema", &value::SCHEMA).map(|it| it.value),
        table: reader.value(&section, "table", &value::GLOB).map(|it| it.value),
        databases: read_globs(&section, "databases", reader),
        users: read_globs(&section, "users", reader),
        application_names: read_globs(&section, "application_names", reader),
        action: read_action(&section, reader),
        strategy: read_choice(&section, "strategy", &value::STRATEGY, reader),
        on_conflict: read_on_conflict(&section, reader),
        returning: read_choice(&section, "returning", &value::RETURNING, reader),
        affected_rows: read_choice(&section, "affected_rows", &value::AFFECTED_ROWS, reader),
        expires: reader.value(&section, "expires", &value::EXPIRES).map(|it| it.value),
        max_absorbed_per_minute: reader
            .value(&section, "max_absorbed_per_minute", &value::PER_MINUTE)
            .and_then(|it| u32::try_from(it.value).ok()),
        owner: reader.value(&section, "owner", &value::PROSE).map(|it| it.value),
        reason: reader.value(&section, "reason", &value::PROSE).map(|it| it.value),
        ..Rule::new(id?.value, constraint?.value)
    };
    (reader.rejected() == before).then_some((rule, section))
}

fn read_choice<T: Default>(
    section: &Section<'_>,
    key: &'static str,
    kind: &Kind<T>,
    reader: &mut Reader<'_>,
) -> T {
    reader.value(section, key, kind).map(|it| it.value).unwrap_or_default()
}

/// `on_conflict` and `set`, of which neither says anything without the other.
fn read_on_conflict(section: &Section<'_>, reader: &mut Reader<'_>) -> OnConflict {
    let update = reader.value(section, "on_conflict", &value::ON_CONFLICT);
    let set = reader.values(section, "set", &value::SET);
    match (update, set) {
        (Some(Placed { at, value: Update::Yes }), None) => {
            reader.reject(at, Problem::UpdateWithoutSet);
            OnConflict::Nothing
        }
        (Some(Placed { value: Update::Yes, .. }), Some(set)) => columns_to_set(set, reader),
        (_, Some(set)) => {
            if let Some(first) = set.first() {
                reader.reject(first.at, Problem::SetWithoutUpdate);
            }
            OnConflict::Nothing
        }
        (_, None) => OnConflict::Nothing,
    }
}

fn columns_to_set(set: Vec<Placed<Set>>, reader: &mut Reader<'_>) -> OnConflict {
    let several = set.len() > 1;
    let mut columns = Vec::new();
    for Placed { at, value } in set {
        match value {
            Set::All if several => reader.reject(at, Problem::AllAmongColumns),
            Set::All => return OnConflict::UpdateAll,
            Set::Column(column) => columns.push(column),
        }
    }
    OnConflict::Update(columns)
}

fn read_globs(section: &Section<'_>, key: &'static str, reader: &mut Reader<'_>) -> Vec<Glob> {
    let globs = reader.values(section, key, &value::GLOBS).unwrap_or_default();
    globs.into_iter().map(|it| it.value).collect()
}

fn read_action(section: &Section<'_>, reader: &mut Reader<'_>) -> Action {
    reader.value(section, "action", &value::ACTION).map_or(Action::Absorb, |it| it.value)
}

fn reject_duplicate(
    id: &RuleId,
    at: usize,
    ids: &mut HashMap<RuleId, usize>,
    reader: &mut Reader<'_>,
) {
    match ids.get(id) {
        Some(&first) => {
            let line = reader.line(first);
            reader.reject(at, Problem::DuplicateId { id: id.to_string(), line });
        }
        None => drop(ids.insert(id.clone(), at)),
    }
}

fn reject_shadowed(rules: &Ruleset, places: &[usize], reader: &mut Reader<'_>) {
    for (index, earlier) in rules.shadowed() {
        let of =
            |index: usize| Some((rules.rules().get(index)?.id.to_string(), places.get(index)?));
        let (Some((id, &at)), Some((earlier, &before))) = (of(index), of(earlier)) else {
            continue;
        };
        let line = reader.line(before);
        reader.reject(at, Problem::Shadowed { id, earlier, line });
    }
}
