//! Rules for what a database has.

use postgres::Transaction;

use crate::cli::database;
use crate::cli::live::finding::Block;
use crate::cli::live::hall::Hall;
use crate::cli::live::inventory::{Inventory, Item};
use crate::cli::live::sequences::Sequence;
use crate::cli::live::server::{self, Server};
use crate::cli::live::table::Table;
use crate::cli::live::verdict;
use crate::rules::{Action, Escaped, Rule, Ruleset};

use super::Wanted;
use super::stub::{Entry, Ids, Stub};

/// For each unique constraint or index, a rule or what speaks against one.
pub(super) fn entries(url: &str, wanted: &Wanted) -> anyhow::Result<Vec<Entry>> {
    let mut client = database::connect(url, None)?;
    let mut transaction = server::begin(&mut client)?;
    let server = Server::of(&mut transaction)?;
    let inventory = Inventory::of(&mut transaction)?;
    let mut ids = Ids::default();
    let mut candidates = Vec::new();
    for item in inventory.listable() {
        let named = &item.constraint;
        let (schema, table) = (Some(&*named.schema), Some(&*named.table));
        if wanted.admits(schema, table) {
            candidates.push(match speaks_against(item, wanted, &mut transaction)? {
                Some(why) => Err(left_out(item, &why)),
                None => Stub::new(&mut ids, &named.name, schema, table)
                    .map(|stub| (stub, item.index))
                    .ok_or_else(|| left_out(item, "no rule could name it")),
            });
        }
    }
    let rules = candidates.iter().filter_map(|it| it.as_ref().ok());
    let rules = Ruleset::new(rules.map(|(stub, _)| observing(stub)).collect());
    let hall = Hall::new(&rules, server, inventory);
    let mut entries = Vec::new();
    for candidate in candidates {
        entries.push(match candidate {
            Err(left_out) => left_out,
            Ok((stub, index)) => entry(&hall, stub, index, &mut transaction)?,
        });
    }
    transaction.rollback()?;
    Ok(entries)
}

fn observing(stub: &Stub) -> Rule {
    let mut rule = stub.rule();
    rule.action = Action::Observe;
    rule
}

/// What the catalog alone says against a rule.
fn speaks_against(
    item: &Item,
    wanted: &Wanted,
    transaction: &mut Transaction<'_>,
) -> anyhow::Result<Option<String>> {
    if item.deferrable {
        return Ok(Some("it is deferrable, so its duplicates are never absorbed".to_owned()));
    }
    let Some(index) = item.index.filter(|_| !wanted.sequences) else { return Ok(None) };
    let sequences = Sequence::of_index(transaction, index)?;
    Ok(sequences.first().map(|Sequence { name, column, .. }| {
        format!(
            "the sequence {name} fills {column}: a duplicate is more often a sequence that was set \
             back than an event that came twice; --all suggests it all the same"
        )
    }))
}

/// A rule with what `check` would say of it, unless that is an error.
fn entry(
    hall: &Hall<'_>,
    stub: Stub,
    index: Option<u32>,
    transaction: &mut Transaction<'_>,
) -> anyhow::Result<Entry> {
    let item = hall.inventory.items().iter().find(|it| it.index == index);
    let item = item.ok_or_else(|| anyhow::anyhow!("an index is gone in the middle"))?;
    let Block { title, findings } = verdict::judge(hall, &observing(&stub), item, transaction)?;
    if let Some(error) = findings.iter().find(|it| it.is_error()) {
        return Ok(left_out(item, &error.to_string()));
    }
    let table = Table::of(transaction, item.table)?;
    let rows = match table.rows {
        Some(rows) => format!("about {rows:.0} rows"),
        None => "its rows were never counted".to_owned(),
    };
    let lines = findings.iter().map(|finding| format!("  {finding}"));
    Ok(Entry::Rule(stub, [format!("{title}; {rows}")].into_iter().chain(lines).collect()))
}

fn left_out(item: &Item, why: &str) -> Entry {
    let name = Escaped(&item.constraint.name);
    Entry::LeftOut(format!("{} {name} of {}: {why}", item.kind.noun(), item.table_name()))
}
