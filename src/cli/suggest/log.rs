//! Rules for what a log tells of: the proxy's own, or the server's in the form `jsonlog`.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use crate::rules::Escaped;

use super::Wanted;
use super::stub::{Entry, Ids, Stub};

/// What a log tells of duplicate keys.
#[derive(Debug, Default)]
pub(super) struct Log {
    unlisted: HashMap<Named, Tally>,
    not_json: usize,
    /// Duplicate keys whose constraint the line does not tell.
    unnamed: usize,
}

/// A constraint, as far as a line names it: the server's own log has its name alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Named {
    constraint: String,
    schema: Option<String>,
    table: Option<String>,
}

/// How often, and for whom.
#[derive(Debug, Default)]
struct Tally {
    count: usize,
    last: Option<String>,
    databases: BTreeSet<String>,
    applications: BTreeSet<String>,
}

impl Log {
    /// Reads a log to its end, `-` being standard input.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let source: Box<dyn Read> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path).with_context(|| format!("cannot open {}", path.display()))?)
        };
        let mut source = BufReader::new(source);
        let (mut log, mut line) = (Self::default(), Vec::new());
        loop {
            line.clear();
            let read = source.read_until(b'\n', &mut line);
            if read.with_context(|| format!("cannot read {}", path.display()))? == 0 {
                return Ok(log);
            }
            log.line(line.trim_ascii());
        }
    }

    fn line(&mut self, line: &[u8]) {
        match serde_json::from_slice::<Value>(line) {
            _ if line.is_empty() => {}
            Ok(Value::Object(fields)) => {
                let is = |field: &str, word: &str| fields.get(field).is_some_and(|it| it == word);
                if is("event", "conflict") && is("reason", "not_listed") {
                    self.count(&fields, named(&fields), "time", "database");
                } else if is("state_code", "23505") {
                    self.count(&fields, named_by_server(&fields), "timestamp", "dbname");
                }
            }
            _ => self.not_json += 1,
        }
    }

    fn count(&mut self, fields: &Fields, named: Option<Named>, time: &str, database: &str) {
        let Some(named) = named else {
            self.unnamed += 1;
            return;
        };
        let text = |field: &str| text(fields, field).map(str::to_owned);
        let tally = self.unlisted.entry(named).or_default();
        tally.count += 1;
        tally.last = text(time);
        tally.databases.extend(text(database));
        tally.applications.extend(text("application_name").filter(|name| !name.is_empty()));
    }

    /// What could not be read, for people.
    pub(super) fn unread(&self) -> Vec<String> {
        let told = |count: usize, what: &str| {
            let (noun, verb) = if count == 1 { ("line", "is") } else { ("lines", "are") };
            (count > 0).then(|| format!("{count} {noun} {verb} left out: {what}"))
        };
        let lines = [
            told(self.not_json, "no JSON object"),
            told(
                self.unnamed,
                "a duplicate key, but the line does not tell its constraint; of the server's log \
                 only lines in English can be read (lc_messages)",
            ),
        ];
        lines.into_iter().flatten().collect()
    }

    /// Rules for the constraints that no rule lists, the most frequent first.
    pub(super) fn entries(&self, wanted: &Wanted) -> Vec<Entry> {
        let mut found: Vec<_> = self.unlisted.iter().collect();
        found.sort_by(|(a, a_tally), (b, b_tally)| {
            b_tally.count.cmp(&a_tally.count).then_with(|| a.cmp(b))
        });
        let mut ids = Ids::default();
        let entry = |(named, tally): (&Named, &Tally)| {
            let (schema, table) = (named.schema.as_deref(), named.table.as_deref());
            if !wanted.admits(schema, table) {
                return None;
            }
            let stub = Stub::new(&mut ids, &named.constraint, schema, table);
            Some(stub.map_or_else(
                || {
                    let name = Escaped(&named.constraint);
                    Entry::LeftOut(format!("no rule could name the constraint {name}"))
                },
                |stub| Entry::Rule(stub, tally.comments(named)),
            ))
        };
        found.into_iter().filter_map(entry).collect()
    }
}

impl Tally {
    fn comments(&self, named: &Named) -> Vec<String> {
        let noun = if self.count == 1 { "duplicate key" } else { "duplicate keys" };
        let last = self.last.as_ref().map(|it| format!(", the last at {it}")).unwrap_or_default();
        let mut lines =
            vec![format!("{} {noun} of {}{last}", self.count, Escaped(&named.constraint))];
        for (what, names) in [("database", &self.databases), ("application", &self.applications)] {
            if !names.is_empty() {
                let mut told: Vec<_> =
                    names.iter().take(TOLD).map(|it| Escaped(it).to_string()).collect();
                told.extend((names.len() > TOLD).then(|| format!("{} more", names.len() - TOLD)));
                lines.push(format!("  {what} {}", told.join(", ")));
            }
        }
        if named.table.is_none() {
            lines.push(
                "  the server's log does not tell the table: add schema and table".to_owned(),
            );
        }
        lines
    }
}

/// Names that are told of each kind.
const TOLD: usize = 5;

/// The fields of a line.
type Fields = serde_json::Map<String, Value>;

fn text<'a>(fields: &'a Fields, field: &str) -> Option<&'a str> {
    fields.get(field)?.as_str()
}

/// The constraint of a line of the proxy's.
fn named(fields: &Fields) -> Option<Named> {
    let text = |field: &str| text(fields, field).map(str::to_owned);
    let (schema, table) = (Some(text("schema")?), Some(text("table")?));
    Some(Named { constraint: text("constraint")?, schema, table })
}

/// The constraint of a line of the server's, where its message is the English one: others quote names
/// in other ways, and some have text behind them.
fn named_by_server(fields: &Fields) -> Option<Named> {
    let message = text(fields, "message")?;
    let name = message.strip_prefix(DUPLICATE)?.strip_suffix('"')?;
    Some(Named { constraint: name.to_owned(), schema: None, table: None })
}

const DUPLICATE: &str = "duplicate key value violates unique constraint \"";
