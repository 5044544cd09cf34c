//! Why a rule lists nothing in a database: what has the name there, or one that is like it.

use std::collections::BTreeSet;

use crate::cli::live::finding::{Finding, bounded};
use crate::cli::live::hall::{is_within, lists};
use crate::cli::live::inventory::{Inventory, Item};
use crate::rules::{Escaped, Rule};

/// What is wrong with a rule that lists no unique index.
pub(super) fn explain(rule: &Rule, inventory: &Inventory) -> Vec<Finding> {
    let named = |item: &&Item| lists(rule, item);
    let parts: Vec<_> = inventory
        .items()
        .iter()
        .filter(named)
        .filter_map(|item| Some((item, inventory.root(item)?)))
        .collect();
    if !parts.is_empty() {
        return vec![of_partitions(&parts)];
    }
    let others: Vec<_> = inventory.items().iter().filter(named).collect();
    if !others.is_empty() {
        return vec![of_another_kind(&others)];
    }
    let mut findings = vec![Finding::error(format!(
        "no unique constraint or unique index {} {}",
        rule.constraint,
        place(rule)
    ))];
    findings.extend(elsewhere(rule, inventory).or_else(|| similar(rule, inventory)));
    findings
}

/// The names are those of partitions, which an error's are mapped from.
fn of_partitions(parts: &[(&Item, &Item)]) -> Finding {
    let (part, root) = parts
        .first()
        .map_or(("", None), |(part, root)| (part.constraint.name.as_str(), Some(&root.constraint)));
    let root = root.map(|it| (Escaped(&it.name), Escaped(&it.schema), Escaped(&it.table)));
    let Some((name, schema, table)) = root else { return Finding::error("") };
    Finding::error(format!(
        "{} belongs to a partition, and is taken for that of the partitioned table: write \
         constraint = {name}, of {schema}.{table}",
        Escaped(part)
    ))
}

/// What has the name is no unique index.
fn of_another_kind(items: &[&Item]) -> Finding {
    let told = items.iter().map(|item| format!("{} of {}", item.kind.noun(), item.table_name()));
    Finding::error(format!(
        "what has the name is never absorbed: {}; a rule is for unique constraints, primary keys \
         and unique indexes",
        bounded(told)
    ))
}

/// The name is there, in another table or schema.
fn elsewhere(rule: &Rule, inventory: &Inventory) -> Option<Finding> {
    let items = inventory.listable().filter(|it| rule.constraint.matches(&it.constraint.name));
    let tables: BTreeSet<_> = items.map(Item::table_name).collect();
    (!tables.is_empty())
        .then(|| Finding::advice(format!("it is on {}: correct schema and table", bounded(tables))))
}

/// Names that are like the rule's: of its own table first.
fn similar(rule: &Rule, inventory: &Inventory) -> Option<Finding> {
    let wanted = rule.constraint.exact()?.to_lowercase();
    let near = |item: &&Item| {
        let name = item.constraint.name.to_lowercase();
        strsim::damerau_levenshtein(&wanted, &name) <= 1 + wanted.chars().count() / 4
    };
    let distance = |item: &&Item| {
        let name = item.constraint.name.to_lowercase();
        (strsim::damerau_levenshtein(&wanted, &name), item.constraint.name.clone())
    };
    let mut items: Vec<_> = inventory.listable().filter(near).collect();
    if items.is_empty() && (rule.table.is_some() || rule.schema.is_some()) {
        items = inventory.listable().filter(|item| is_within(rule, item)).collect();
    }
    items.sort_by_key(distance);
    let told =
        items.iter().map(|it| format!("{} on {}", Escaped(&it.constraint.name), it.table_name()));
    (!items.is_empty()).then(|| Finding::advice(format!("there is {}", bounded(told))))
}

fn place(rule: &Rule) -> String {
    match (&rule.schema, &rule.table) {
        (Some(schema), Some(table)) => format!("on {schema}.{table}"),
        (Some(schema), None) => format!("in the schema {schema}"),
        (None, Some(table)) => format!("on a table {table}"),
        (None, None) => "in this database".to_owned(),
    }
}
