//! `pgabsorb explain`: what becomes of a statement that hits a duplicate key.
//!
//! Nothing here decides anything: a session of the proxy's is played through (see `live/rehearsal`),
//! and what it does is told. The statement itself is never run.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use postgres::Transaction;

use crate::config::Overrides;
use crate::proxy::{self, meaning};
use crate::rules::{AffectedRows, Constraint, Escaped, Glob, OnConflict, Origin, Rule, Ruleset};
use crate::session::output::Outcome;
use crate::session::recovery::Reason;
use crate::sql::{self, Encoding, Insert, Part, Statement, Syntax};

use super::live::assumed::{self, Assumed, KEY};
use super::live::inventory::Inventory;
use super::live::rehearsal::{Act, Answers, Stage, Surroundings};
use super::live::server::{self, Server};
use super::{database, reload};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// The rules file.
    pub config: &'a Path,
    /// What the command line says in its place.
    pub overrides: &'a Overrides,
    /// The database whose catalog decides, if any.
    pub database: Option<&'a str>,
    /// Who would send the statement; where a database is asked its name and the user are its own.
    pub origin: Origin,
    /// One statement or several.
    pub statement: &'a str,
}

/// Tells what becomes of each INSERT in a text if it hits a duplicate key that a rule lists.
pub fn explain(asked: &Asked<'_>, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let config = reload::read(asked.config, asked.overrides)?.config;
    let rules = Arc::new(proxy::in_force(&config.rules));
    let text = if let Some(url) = asked.database {
        let mut client = database::connect(url, Some(&config.settings))?;
        let mut transaction = server::begin(&mut client)?;
        let server = Server::of(&mut transaction)?;
        let inventory = Inventory::of(&mut transaction)?;
        let (database, user) = (server.database.clone(), server.user.clone());
        let origin = Origin { database, user, ..asked.origin.clone() };
        let strings = server.standard_conforming_strings;
        let mut house = House::Live { stage: Stage::of(&server), transaction, inventory };
        tell_all(asked, &rules, &origin, strings, &mut house)?
    } else {
        let mut text = tell_all(asked, &rules, &asked.origin, true, &mut House::Assumed)?;
        text += "\nassumed, without --database: the constraint is a unique one, checked at once, of an \
                 ordinary table without row-level security and BEFORE triggers";
        if text.contains(KEY) {
            let _ = write!(text, "; {KEY} stands for its columns");
        }
        text + "\n"
    };
    write!(out, "{text}")?;
    Ok(ExitCode::SUCCESS)
}

fn tell_all(
    asked: &Asked<'_>,
    rules: &Arc<Ruleset>,
    origin: &Origin,
    standard_conforming_strings: bool,
    house: &mut House<'_>,
) -> anyhow::Result<String> {
    let syntax = Syntax { standard_conforming_strings, encoding: Encoding::Utf8 };
    let script = match sql::classify(asked.statement.as_bytes(), syntax) {
        Ok(script) => script,
        Err(why) => {
            let shown = meaning(Outcome::Shown(Reason::Unclassified));
            return Ok(format!("shown, {}: {shown} ({why})\n", Reason::Unclassified.name()));
        }
    };
    anyhow::ensure!(!script.statements.is_empty(), "there is no statement");
    let shared = script.statements.len() > 1;
    let mut text = String::new();
    for part in &script.statements {
        text += &Explained { asked, rules, origin, part, shared }.tell(house)?;
    }
    Ok(text)
}

/// What is known of the database.
enum House<'t> {
    Assumed,
    Live { stage: Stage, transaction: Transaction<'t>, inventory: Inventory },
}

/// One statement that is explained.
struct Explained<'a> {
    asked: &'a Asked<'a>,
    rules: &'a Arc<Ruleset>,
    origin: &'a Origin,
    part: &'a Part,
    /// It has neighbours.
    shared: bool,
}

impl Explained<'_> {
    fn tell(&self, house: &mut House<'_>) -> anyhow::Result<String> {
        let text = self.asked.statement.get(self.part.range.clone()).unwrap_or_default();
        let mut told = format!("{text}\n");
        let Statement::Insert(insert) = &self.part.statement else {
            let shown = meaning(Outcome::Shown(Reason::NotInsert));
            let _ = writeln!(told, "  shown, {}: {shown}", Reason::NotInsert.name());
            return Ok(told);
        };
        let hit = self.candidates(insert, house);
        if !hit.unknown.is_empty() {
            let rules = hit.unknown.join(", ");
            let _ = writeln!(told, "  not known: {rules}");
        }
        if hit.constraints.is_empty() && hit.unknown.is_empty() {
            let shown = meaning(Outcome::Shown(Reason::NotListed));
            let _ = writeln!(told, "  shown, {}: {shown}", Reason::NotListed.name());
        }
        for Listed { name, violated, rule } in hit.constraints {
            let Constraint { schema, table, name } = &name;
            let home = format!("{}.{}", Escaped(schema), Escaped(table));
            let _ = writeln!(told, "  {} of {home}, by rule \"{}\":", Escaped(name), rule.id);
            let mut fates: Vec<(Vec<&str>, String)> = Vec::new();
            for surroundings in self.surroundings() {
                let act = self.play(house, text, insert, &violated, *surroundings)?;
                let (place, fate) = (place(*surroundings), fate(*surroundings, &act, text, &rule));
                match fates.iter_mut().find(|(_, known)| *known == fate) {
                    Some((places, _)) => places.push(place),
                    None => fates.push((vec![place], fate)),
                }
            }
            for (places, fate) in fates {
                let _ = writeln!(told, "    {}: {fate}", places.join(", "));
            }
        }
        Ok(told)
    }

    fn surroundings(&self) -> &'static [Surroundings] {
        use Surroundings::{Alone, Block, Shared};
        if self.shared { &[Shared, Block] } else { &[Alone, Block, Shared] }
    }

    /// The constraints that the statement may hit and a rule lists.
    fn candidates(&self, insert: &Insert, house: &House<'_>) -> Hit {
        let mut hit = Hit::default();
        let is_of = |schema: &str, table: &str| {
            table == insert.table && insert.schema.as_ref().is_none_or(|it| it == schema)
        };
        match house {
            House::Live { inventory, .. } => {
                for item in inventory.listable() {
                    let listed = &item.constraint;
                    if is_of(&listed.schema, &listed.table) {
                        // Of a partitioned table the error names a partition's.
                        let violated = inventory.leaf(item).unwrap_or(item).constraint.clone();
                        hit.add(self.rules, self.origin, listed.clone(), violated);
                    }
                }
            }
            House::Assumed => {
                for rule in self.rules.rules() {
                    let exact = |glob: Option<&Glob>| glob.and_then(Glob::exact).map(str::to_owned);
                    let schema = insert.schema.clone().or_else(|| exact(rule.schema.as_ref()));
                    let constraint = Constraint {
                        schema: schema.unwrap_or_else(|| "public".to_owned()),
                        table: insert.table.clone(),
                        name: rule
                            .constraint
                            .exact()
                            .unwrap_or(rule.constraint.as_str())
                            .to_owned(),
                    };
                    hit.unknown.extend(self.options(rule).map(|option| {
                        format!(
                            "rule \"{}\" ({option} says whether it is for this client)",
                            rule.id
                        )
                    }));
                    let found = self.rules.find(&constraint, self.origin);
                    if found.is_none_or(|found| found.id != rule.id) {
                        continue;
                    }
                    let says_so = rule.table.is_some()
                        || constraint.name.starts_with(&format!("{}_", constraint.table));
                    if says_so && rule.constraint.exact().is_some() {
                        hit.add(self.rules, self.origin, constraint.clone(), constraint);
                    } else {
                        hit.unknown.push(format!(
                            "rule \"{}\" (--database tells whether it lists a constraint here)",
                            rule.id
                        ));
                    }
                }
            }
        }
        hit
    }

    /// What would say whether a rule is for the client.
    fn options(&self, rule: &Rule) -> impl Iterator<Item = &'static str> {
        let Origin { database, user, application_name } = self.origin;
        let limits = [
            (&rule.databases, database, "--database-name"),
            (&rule.users, user, "--user"),
            (&rule.application_names, application_name, "--application-name"),
        ];
        let open = limits.into_iter().filter(|(globs, name, _)| {
            name.is_empty() && !globs.is_empty() && !globs.iter().any(|glob| glob.matches(""))
        });
        open.map(|(_, _, option)| option).collect::<Vec<_>>().into_iter()
    }

    fn play(
        &self,
        house: &mut House<'_>,
        text: &str,
        insert: &Insert,
        violates: &Constraint,
        surroundings: Surroundings,
    ) -> anyhow::Result<Act> {
        let (stage, answers): (&Stage, &mut dyn Answers) = match house {
            House::Live { stage, transaction, .. } => (stage, transaction),
            House::Assumed => {
                let catalog = assumed::catalog(violates, Some(insert));
                (&Stage::knowing(assumed::VERSION, catalog), &mut Assumed { violates })
            }
        };
        stage.play(answers, self.rules, self.origin, text, violates, surroundings)
    }
}

/// What a statement may hit.
#[derive(Default)]
struct Hit {
    constraints: Vec<Listed>,
    /// Rules of which it is not known whether they list a constraint of the table.
    unknown: Vec<String>,
}

/// A constraint that a statement may hit.
struct Listed {
    name: Constraint,
    /// What the error would name.
    violated: Constraint,
    rule: Rule,
}

impl Hit {
    fn add(&mut self, rules: &Ruleset, origin: &Origin, name: Constraint, violated: Constraint) {
        if let Some(rule) = rules.find(&name, origin) {
            self.constraints.push(Listed { name, violated, rule: rule.clone() });
        }
    }
}

fn place(surroundings: Surroundings) -> &'static str {
    match surroundings {
        Surroundings::Alone => "alone",
        Surroundings::Block => "inside BEGIN",
        Surroundings::Shared => "outside BEGIN, with others in its query or pipeline",
    }
}

/// What becomes of the statement there.
fn fate(surroundings: Surroundings, act: &Act, text: &str, rule: &Rule) -> String {
    let sent = act.sent.as_deref().unwrap_or_default().trim_end();
    if sent != text {
        return format!("rewritten, it is sent as\n      {sent}");
    }
    let savepoint = if surroundings == Surroundings::Block { " behind a savepoint" } else { "" };
    let mut told = match (act.outcome, &act.again) {
        (Some(Outcome::Absorbed), Some(again)) => {
            let again = again.trim_end();
            format!("absorbed{savepoint}: it is undone, and runs again as\n      {again}")
        }
        (Some(Outcome::Absorbed), None) => {
            format!("absorbed{savepoint}: the client is told {}", answer(rule))
        }
        (Some(Outcome::Shown(reason)), _) => {
            format!("shown, {}: {}", reason.name(), meaning(Outcome::Shown(reason)))
        }
        (Some(outcome), _) => format!("{}: {}", outcome.name(), meaning(outcome)),
        (None, _) => "nothing becomes of it".to_owned(),
    };
    if let Some(doubt) = act.doubt {
        let _ = write!(told, "\n      not rewritten, {}", doubt.name());
    }
    told
}

/// What the client of a single row is told.
fn answer(rule: &Rule) -> &'static str {
    match (&rule.on_conflict, rule.affected_rows) {
        (OnConflict::Nothing, AffectedRows::Actual) => "INSERT 0 0",
        _ => "INSERT 0 1",
    }
}
