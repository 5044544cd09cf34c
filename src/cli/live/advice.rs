//! What else about a table matters to a rule: keys that are filled by a sequence, rights, triggers,
//! policies, other constraints.

use postgres::Transaction;

use super::inventory::{Item, Kind};
use super::sequences::{Sequence, State};
use super::table::{Security, Table};
use crate::rules::{Action, Escaped, OnConflict, Returning, Rule};

use super::finding::{Finding, bounded};
use super::hall::{Hall, admits};

/// Adds to what was found of one constraint.
pub(super) fn advise(
    hall: &Hall<'_>,
    rule: &Rule,
    item: &Item,
    table: &Table,
    transaction: &mut Transaction<'_>,
    findings: &mut Vec<Finding>,
) -> anyhow::Result<()> {
    if let Some(index) = item.index {
        for sequence in Sequence::of_index(transaction, index)? {
            findings.push(of_sequence(&sequence, table, transaction)?);
        }
    }
    findings.extend(of_columns(hall, rule, item));
    findings.extend(of_user(hall, rule));
    findings.extend(of_rights(hall, rule, item, table));
    findings.extend(of_security(hall, table));
    findings.extend(of_triggers(rule, table));
    findings.extend(of_siblings(hall, rule, item));
    findings.extend(of_heirs(table));
    findings.extend(of_isolation(hall));
    Ok(())
}

fn of_sequence(
    sequence: &Sequence,
    table: &Table,
    transaction: &mut Transaction<'_>,
) -> anyhow::Result<Finding> {
    let Sequence { name, column, .. } = sequence;
    let state = if table.security == Security::Active {
        State::Unread("row-level security hides rows from this user".to_owned())
    } else {
        sequence.state(transaction)?
    };
    Ok(match state {
        State::Good => Finding::note(format!(
            "the key {column} is filled by the sequence {name}: a duplicate is more often a \
             sequence that was set back than an event that came twice"
        )),
        State::Behind { next, reached, repair } => Finding::advice(format!(
            "the sequence {name} is behind its column: it gives {next} next, and {column} has \
             reached {reached}. Duplicates of it are new rows, not repeated ones. Run: {repair}"
        )),
        State::Unread(why) => Finding::note(format!(
            "the key {column} is filled by the sequence {name}; whether that is behind the column \
             could not be read: {why}"
        )),
    })
}

/// What `set` names has to be there.
fn of_columns(hall: &Hall<'_>, rule: &Rule, item: &Item) -> Vec<Finding> {
    let OnConflict::Update(columns) = &rule.on_conflict else { return Vec::new() };
    let catalog = hall.stage.catalog();
    let Some(index) = catalog.index(&item.constraint) else { return Vec::new() };
    let find = |name: &str| index.table_columns.iter().find(|it| it.name == name);
    let told = columns.iter().filter_map(|column| match find(column.as_str()) {
        None => Some(format!("set names {}, which is no column", Escaped(column.as_str()))),
        Some(found) if !found.settable => {
            Some(format!("set names {}, which is always generated", Escaped(column.as_str())))
        }
        Some(_) => None,
    });
    told.map(Finding::error).collect()
}

/// The rights are those of whoever has connected.
fn of_user(hall: &Hall<'_>, rule: &Rule) -> Option<Finding> {
    let user = &hall.server.user;
    (!admits(&rule.users, user)).then(|| {
        let globs: Vec<_> = rule.users.iter().map(ToString::to_string).collect();
        Finding::note(format!(
            "rights and policies are those of {}, and the rule is for {}: connect as such a user \
             to see its own",
            Escaped(user),
            globs.join(" or ")
        ))
    })
}

/// What is lacking to run again, or to be rewritten.
fn of_rights(hall: &Hall<'_>, rule: &Rule, item: &Item, table: &Table) -> Option<Finding> {
    let updates = rule.on_conflict != OnConflict::Nothing || rule.returning == Returning::Existing;
    let needed = |right: &&String| *right != "UPDATE" || updates;
    let lacks: Vec<_> = table.lacks.iter().filter(needed).cloned().collect();
    if lacks.is_empty() {
        return None;
    }
    let means = if table.lacks("INSERT") {
        "connect as the application's user to see what its rights allow".to_owned()
    } else {
        let also = if updates { ", and UPDATE" } else { "" };
        let key = item.key.join(", ");
        format!("what runs again or is rewritten needs SELECT on its key ({key}){also}")
    };
    let (user, lacks) = (Escaped(&hall.server.user), lacks.join(" and "));
    Some(Finding::note(format!("{user} may not {lacks} on the table: {means}")))
}

fn of_security(hall: &Hall<'_>, table: &Table) -> Option<Finding> {
    let user = Escaped(&hall.server.user);
    match table.security {
        Security::Off => None,
        Security::Bypassed => Some(Finding::note(format!(
            "row-level security is on, and does not apply to {user}; for whom it applies, nothing \
             is rewritten (row_security), and what runs again may be refused by a policy (redo_failed)"
        ))),
        Security::Active => Some(Finding::note(format!(
            "row-level security applies to {user}: nothing is rewritten (row_security), and what \
             runs again may be refused by a policy (redo_failed)"
        ))),
    }
}

fn of_triggers(rule: &Rule, table: &Table) -> Vec<Finding> {
    let names = |names: &[String]| bounded(names.iter().map(|it| Escaped(it).to_string()));
    let updates = rule.on_conflict != OnConflict::Nothing || rule.returning == Returning::Existing;
    let before = (!table.before_insert.is_empty()).then(|| {
        Finding::note(format!(
            "BEFORE triggers ({}): they run twice for what runs again; rows that a rewritten \
             statement left out may be theirs (left_out)",
            names(&table.before_insert)
        ))
    });
    let update = (updates && !table.on_update.is_empty()).then(|| {
        Finding::note(format!(
            "UPDATE triggers ({}): DO UPDATE fires them for the row that is there",
            names(&table.on_update)
        ))
    });
    before.into_iter().chain(update).collect()
}

/// Other constraints of the table, of which no rule absorbs the duplicates.
fn of_siblings(hall: &Hall<'_>, rule: &Rule, item: &Item) -> Option<Finding> {
    let origin = hall.origin(rule);
    let absorbed = |other: &&Item| {
        let found = hall.rules.find(&other.constraint, &origin);
        other.kind != Kind::Exclusion && found.is_some_and(|it| it.action == Action::Absorb)
    };
    let shown: Vec<_> = hall.inventory.siblings(item).filter(|it| !absorbed(it)).collect();
    let names =
        shown.iter().map(|it| format!("{} ({})", Escaped(&it.constraint.name), it.key.join(", ")));
    (!shown.is_empty()).then(|| {
        Finding::note(format!(
            "no rule absorbs {}: a row that violates that shows its error",
            bounded(names)
        ))
    })
}

/// Tables that inherit have keys of their own.
fn of_heirs(table: &Table) -> Option<Finding> {
    (table.heirs > 0 && !table.is_partitioned()).then(|| {
        let those = match table.heirs {
            1 => "1 table inherits".to_owned(),
            count => format!("{count} tables inherit"),
        };
        Finding::note(format!(
            "{those} from it: the key does not reach their rows, and each has constraints of its \
             own"
        ))
    })
}

fn of_isolation(hall: &Hall<'_>) -> Option<Finding> {
    let level = &hall.server.isolation;
    let committed = ["read committed", "read uncommitted"].contains(&level.as_str());
    (!committed).then(|| {
        Finding::note(format!(
            "transactions are {level} unless they say otherwise: nothing is rewritten (isolation), \
             and what runs again shows its error if the row that is there is newer than the \
             transaction's snapshot"
        ))
    })
}
