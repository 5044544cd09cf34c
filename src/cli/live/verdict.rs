//! What a rule does about one constraint: played through with a session of the proxy's, and asked
//! of the server where only it can tell.

use std::sync::Arc;

use postgres::Transaction;

use super::inventory::Item;
use super::rehearsal::{Act, Surroundings};
use super::statement::{self, Refusal, Shape, Statement};
use super::table::Table;
use crate::rules::{Action, Constraint, Escaped, Origin, Rule, Ruleset, Strategy};
use crate::session::catalog::Index;
use crate::session::output::Outcome;

use super::finding::{Block, Finding, bounded};
use super::hall::Hall;
use super::{advice, words};

/// What there is to say of one constraint that a rule lists.
pub(in crate::cli) fn judge(
    hall: &Hall<'_>,
    rule: &Rule,
    item: &Item,
    transaction: &mut Transaction<'_>,
) -> anyhow::Result<Block> {
    let table = Table::of(transaction, item.table)?;
    let title = title(item, &table);
    let origin = hall.origin(rule);
    let first = hall.rules.find(&item.constraint, &origin).map(|first| &first.id);
    if let Some(first) = first.filter(|first| **first != rule.id) {
        let findings = vec![Finding::note(format!("rule \"{first}\" comes first here"))];
        return Ok(Block { title, findings });
    }
    if table.is_materialized() {
        let findings = vec![Finding::error("a materialized view takes no INSERT")];
        return Ok(Block { title, findings });
    }
    if rule.action == Action::Alert {
        let findings = vec![Finding::said("its duplicates are shown, and logged as errors")];
        return Ok(Block { title, findings });
    }
    let mut trial =
        Trial { hall, rule, item, table: &table, origin, findings: Vec::new(), untried: None };
    trial.react(transaction)?;
    trial.rewrite(transaction)?;
    let mut findings = trial.findings;
    findings.extend(trial.untried);
    advice::advise(hall, rule, item, &table, transaction, &mut findings)?;
    Ok(Block { title, findings })
}

/// Of many constraints that a pattern lists, some may be none for it.
pub(in crate::cli) fn forgive_some(blocks: &mut [Block]) {
    if blocks.iter().any(|block| !block.has_error()) {
        blocks.iter_mut().flat_map(|block| &mut block.findings).for_each(Finding::soften);
    }
}

fn title(item: &Item, table: &Table) -> String {
    let name = Escaped(&item.constraint.name);
    let key = item.key.join(", ");
    let predicate = item.predicate.as_ref().map(|it| format!(" WHERE {it}")).unwrap_or_default();
    let partitioned = match table.heirs {
        _ if !table.is_partitioned() => String::new(),
        1 => ", of 1 partition".to_owned(),
        count => format!(", of {count} partitions"),
    };
    format!("{}: {} {name} ({key}){predicate}{partitioned}", item.table_name(), item.kind.noun())
}

/// One constraint on trial.
struct Trial<'a> {
    hall: &'a Hall<'a>,
    rule: &'a Rule,
    item: &'a Item,
    table: &'a Table,
    origin: Origin,
    findings: Vec<Finding>,
    /// Why the server was not asked about what the proxy sends.
    untried: Option<Finding>,
}

/// What comes of one statement.
#[derive(PartialEq, Eq)]
struct Fate {
    kind: FateKind,
    words: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FateKind {
    Absorbed,
    Shown,
    /// Shown for a right that this user lacks, and another may have.
    Forbidden,
}

impl Trial<'_> {
    /// What becomes of the statements as they come.
    fn react(&mut self, transaction: &mut Transaction<'_>) -> anyhow::Result<()> {
        let rules = self.hall.asking(self.rule, Strategy::React);
        if self.index().is_none() {
            // This has the catalog asked, which tells the columns.
            let bare = Statement::new(&self.item.constraint, None, Shape::One);
            self.play(transaction, &rules, &bare)?;
        }
        let index = self.index();
        let mut told: Vec<(Vec<&str>, Fate)> = Vec::new();
        for shape in Shape::ALL {
            let statement = Statement::new(&self.item.constraint, index.as_ref(), shape);
            let act = self.play(transaction, &rules, &statement)?;
            let fate = self.fate(transaction, &statement, &act)?;
            match told.iter_mut().find(|(_, known)| *known == fate) {
                Some((shapes, _)) => shapes.push(shape.noun()),
                None => told.push((vec![shape.noun()], fate)),
            }
        }
        let any = told.iter().any(|(_, fate)| fate.kind != FateKind::Shown);
        for (shapes, Fate { kind, words }) in told {
            let text = format!("react, {}: {words}", shapes.join(", "));
            let one = shapes.contains(&Shape::One.noun());
            let in_vain = kind == FateKind::Shown && (one || !any);
            self.findings.push(if in_vain { Finding::error(text) } else { Finding::said(text) });
        }
        Ok(())
    }

    fn fate(
        &mut self,
        transaction: &mut Transaction<'_>,
        statement: &Statement,
        act: &Act,
    ) -> anyhow::Result<Fate> {
        let shown = |why: &str| Fate { kind: FateKind::Shown, words: format!("shown, {why}") };
        let absorbed = |words: String| Fate { kind: FateKind::Absorbed, words };
        Ok(match (act.outcome, &act.again) {
            (Some(Outcome::Absorbed), None) => absorbed("absorbed".to_owned()),
            (Some(Outcome::Absorbed), Some(again)) => {
                let clause = statement.clause(again);
                match self.refusal(transaction, statement, again)? {
                    None => absorbed(format!("absorbed, the statement runs again with {clause}")),
                    Some(Refusal { forbidden, message }) => Fate {
                        kind: if forbidden { FateKind::Forbidden } else { FateKind::Shown },
                        words: format!("shown, redo_failed: {clause}: {message}"),
                    },
                }
            }
            (Some(Outcome::Shown(reason)), _) => {
                shown(&format!("{}: {}", reason.name(), self.why(words::reason(reason))))
            }
            (outcome, _) => anyhow::bail!("a rehearsal ended with {outcome:?}"),
        })
    }

    /// What is known of this table, in the place of words for all.
    fn why(&self, words: &str) -> String {
        if words == words::INDEX && self.item.deferrable {
            "the constraint is DEFERRABLE; make it anew as NOT DEFERRABLE".to_owned()
        } else if words == words::INDEX && !self.item.valid {
            "the index is not valid: what was to build it, or to attach a partition's, is not \
             complete; REINDEX it, or drop it and build it again"
                .to_owned()
        } else if words == words::NOT_PLAIN && !self.table.not_plain.is_empty() {
            let found = bounded(self.table.not_plain.iter().cloned());
            format!("{words}: {found}")
        } else {
            words.to_owned()
        }
    }

    /// What the server says of the statement that is to run, if it takes the plain one.
    fn refusal(
        &mut self,
        transaction: &mut Transaction<'_>,
        statement: &Statement,
        text: &str,
    ) -> anyhow::Result<Option<Refusal>> {
        if self.hall.server.is_standby || self.untried.is_some() {
            return Ok(None);
        }
        let Some(plain) = statement::refusal(transaction, &statement.text)? else {
            return statement::refusal(transaction, text);
        };
        let untried = Finding::note(format!(
            "what runs again or is rewritten could not be tried, since the INSERT itself is refused: \
             {}",
            plain.message
        ));
        self.untried = Some(untried);
        Ok(None)
    }

    /// What is made of them before they are sent.
    fn rewrite(&mut self, transaction: &mut Transaction<'_>) -> anyhow::Result<()> {
        let Some(index) = self.index() else { return Ok(()) };
        let asks = self.rule.strategy == Strategy::Rewrite;
        let who = if asks { "rewrite" } else { "rewrite, if the rule asked for it" };
        let rules = self.hall.asking(self.rule, Strategy::Rewrite);
        let statement = Statement::new(&self.item.constraint, Some(&index), Shape::Several);
        let act = self.play(transaction, &rules, &statement)?;
        let text = self.rewritten(transaction, &statement, &act)?;
        self.findings.push(Finding::said(format!("{who}: {text}")));
        if self.table.visible {
            let bare = statement.without_schema();
            let act = self.play(transaction, &rules, &bare)?;
            let other = self.rewritten(transaction, &bare, &act)?;
            if other != text {
                self.findings.push(Finding::said(format!(
                    "{who}, where the statement does not name the schema: {other}"
                )));
            }
        }
        Ok(())
    }

    fn rewritten(
        &mut self,
        transaction: &mut Transaction<'_>,
        statement: &Statement,
        act: &Act,
    ) -> anyhow::Result<String> {
        let sent = act.sent.as_deref().unwrap_or_default();
        if sent == statement.text {
            return Ok(match act.doubt {
                Some(doubt) => {
                    format!("as with react, {}: {}", doubt.name(), self.why(words::doubt(doubt)))
                }
                None => "as with react".to_owned(),
            });
        }
        let clause = statement.clause(sent);
        Ok(match self.refusal(transaction, statement, sent)? {
            Some(refusal) => format!("as with react, refused: {clause}: {}", refusal.message),
            None => format!("sent with {clause}"),
        })
    }

    fn play(
        &self,
        transaction: &mut Transaction<'_>,
        rules: &Arc<Ruleset>,
        statement: &Statement,
    ) -> anyhow::Result<Act> {
        let violates = self.violated();
        let alone = Surroundings::Alone;
        self.hall.stage.play(transaction, rules, &self.origin, &statement.text, violates, alone)
    }

    /// The constraint that the error names: of a partitioned table, a partition's.
    fn violated(&self) -> &Constraint {
        let leaf = self.hall.inventory.leaf(self.item);
        &leaf.unwrap_or(self.item).constraint
    }

    /// What the proxy's sessions know of the index.
    fn index(&self) -> Option<Index> {
        self.hall.stage.catalog().index(&self.item.constraint).cloned()
    }
}
