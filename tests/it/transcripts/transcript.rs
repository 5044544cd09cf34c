//! The transcript files: what they say, and a session fed with it.
//!
//! ```text
//! # What happens here, in a sentence or two.
//! rule t_pkey                      a listed constraint; `rule t_pkey observe`, and other keys of a
//!                                  rule: `rule t_pkey returning=existing set=name,kind`
//! index public.t.t_pkey            what the catalog knows; then the root's name, if it is another's,
//!                                  and flags: deferrable, behind-view
//! offline a reason                 the runs against a real server leave the file out
//! since 11 a reason                those against an older server do
//! ...                              the client waits: only for making a file
//! setup CREATE TABLE ...           for the run against a real server
//!
//! C>S Query "SELECT 1"             the client sends, and it goes on to the server unchanged
//! S>C ReadyForQuery I              the server sends, and it goes on to the client unchanged
//! C>P ...                          the client sends, the proxy receives
//! P>S ...                          the proxy sends to the server
//! S>P ...                          the server sends, the proxy receives
//! P>C ...                          the proxy sends to the client
//! lookup                           the proxy sends its catalog lookup to the server
//! verify public.t                  the proxy asks the server what a table's name means
//! P>S Command "SAVEPOINT ..."      the six messages of a command of the proxy's own
//! end                              the server's side of the connection ends
//! note absorbed                    the outcome of a 23505, with the reason if it was shown
//! ```
//!
//! A line that holds only of some servers begins with the first version that it holds of, or the
//! last, or both: `since=12 until=13 S>C ReadyForQuery I`. Before 15 no conflict target names its table, so there the
//! predicates that do so are left out of all lines.

use std::sync::Arc;

use bytes::Bytes;
use pgabsorb::config::{self, Overrides};
use pgabsorb::rules::{Constraint, Origin, Ruleset};
use pgabsorb::session::catalog::{self, Catalog, Index, SharedCatalog};
use pgabsorb::session::login::ChannelBinding;
use pgabsorb::session::{Session, Setup, verified};
use pgabsorb::wire::target::TargetSessionAttrs;

use super::message::{Sender, Written};
use crate::model::world::key;
use crate::support::recorder::Recorder;
use crate::support::version::of_version;

/// One file, read.
#[derive(Debug, Default)]
pub struct Transcript {
    /// As a rules file has them.
    pub rules: String,
    pub indexes: Vec<(Constraint, Index)>,
    pub setup: Vec<String>,
    /// Why the run against a real server leaves it out.
    pub offline: Option<String>,
    /// The oldest server that has what it takes, and what that is.
    pub since: Option<(u32, String)>,
    /// The server's major version.
    pub version: u32,
    pub steps: Vec<Step>,
}

/// One line, with its number.
#[derive(Debug)]
pub struct Step {
    pub line: usize,
    pub what: What,
}

#[derive(Debug, PartialEq)]
pub enum What {
    /// Something arrives at the proxy.
    Arrives(Sender, Written),
    /// Something must leave it, towards the other side of its sender.
    Leaves(Sender, Written),
    /// The catalog lookup must leave towards the server.
    Lookup,
    /// The question about a table's name must leave towards the server.
    Verify(String),
    Note(String),
    /// The client waits: for the making of a file alone.
    Waits,
    End,
}

impl Transcript {
    /// Reads what a file says of a server of this version.
    pub fn read(text: &str, version: u32) -> Self {
        let mut read = Self { version, ..Self::default() };
        for (number, line) in lines(text, version) {
            let result = read.line(number, line.trim());
            result.unwrap_or_else(|error| panic!("line {number}: {error}: {line}"));
        }
        read
    }

    /// Whether it takes a newer server.
    pub fn is_newer(&self) -> bool {
        self.since.as_ref().is_some_and(|(since, _)| *since > self.version)
    }

    fn line(&mut self, number: usize, line: &str) -> Result<(), String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut step = |what| self.steps.push(Step { line: number, what });
        match word {
            "" | "#" => {}
            "..." => step(What::Waits),
            "rule" => self.rules.push_str(&rule_text(number, rest)),
            "index" => self.indexes.push(index(rest)),
            "setup" => self.setup.push(rest.to_owned()),
            "offline" => self.offline = Some(rest.to_owned()),
            "since" => {
                let (version, reason) = rest.split_once(' ').ok_or("no reason")?;
                let version = version.parse().map_err(|_| "no version")?;
                self.since = Some((version, reason.to_owned()));
            }
            "note" => step(What::Note(rest.to_owned())),
            "end" => step(What::End),
            "lookup" => step(What::Lookup),
            "verify" => step(What::Verify(rest.to_owned())),
            _ => {
                let (sender, marks) = marks(word).ok_or("unknown mark")?;
                let message = Written::read(sender, rest)?;
                if marks.0 {
                    step(What::Arrives(sender, message.clone()));
                }
                if marks.1 {
                    step(What::Leaves(sender, message));
                }
            }
        }
        Ok(())
    }

    /// A session in the state after start-up, with this transcript's rules and catalog.
    pub fn session(&self, recorder: &mut Recorder) -> Session {
        let catalog = SharedCatalog::default();
        if !self.indexes.is_empty() {
            catalog.store(self.indexes.iter().cloned().collect::<Catalog>());
        }
        let mut session = Session::new(Setup {
            origin: Origin { database: "d".into(), user: "u".into(), ..Origin::default() },
            rules: Arc::new(self.ruleset()),
            catalog: Arc::new(catalog),
            inspect: 4096,
            memory: 1 << 24,
            channel_binding: ChannelBinding::default(),
            target: TargetSessionAttrs::Any,
        });
        let version = format!("ParameterStatus server_version {}.0", self.version);
        for line in [
            "ParameterStatus client_encoding UTF8",
            "ParameterStatus standard_conforming_strings on",
            &version,
            "ReadyForQuery I",
        ] {
            let message = Written::read(Sender::Backend, line).unwrap();
            session.handle_backend(&message.bytes(), recorder).unwrap();
        }
        recorder.clear();
        session
    }

    fn ruleset(&self) -> Ruleset {
        let text = format!("[proxy]\nupstream = \"localhost:1\"\n{}", self.rules);
        config::parse(&text, &Overrides::default()).unwrap().rules
    }

    /// The catalog lookup for this transcript's rules.
    pub fn lookup(&self) -> Bytes {
        catalog::lookup(&self.ruleset())
    }
}

/// The lines of a file that hold of a server of this version, with their numbers.
pub fn lines(text: &str, version: u32) -> impl Iterator<Item = (usize, String)> {
    text.lines().enumerate().filter_map(move |(at, mut line)| {
        let of = |word: &str, line: &str| {
            let (number, _) = line.strip_prefix(word)?.split_once(' ')?;
            Some(number.parse::<u32>().expect("a version"))
        };
        loop {
            let holds = match (of("since=", line), of("until=", line)) {
                (Some(first), _) => version >= first,
                (_, Some(last)) => version <= last,
                _ => return Some((at + 1, of_version(line, version))),
            };
            (_, line) = line.split_once(' ').filter(|_| holds)?;
        }
    })
}

/// The question about a table's name.
pub fn question(name: &str) -> Bytes {
    let (schema, table) = match name.split_once('.') {
        Some((schema, table)) => (Some(schema), table),
        None => (None, name),
    };
    verified::question(schema, table)
}

/// The sender of a line's message, and whether it arrives at and leaves the proxy.
fn marks(word: &str) -> Option<(Sender, (bool, bool))> {
    Some(match word {
        "C>S" => (Sender::Frontend, (true, true)),
        "C>P" => (Sender::Frontend, (true, false)),
        "P>S" => (Sender::Frontend, (false, true)),
        "S>C" => (Sender::Backend, (true, true)),
        "S>P" => (Sender::Backend, (true, false)),
        "P>C" => (Sender::Backend, (false, true)),
        _ => return None,
    })
}

/// A rule as a rules file has it, from the words of a line.
pub fn rule_text(number: usize, line: &str) -> String {
    let mut words = line.split(' ');
    let constraint = words.next().unwrap();
    let mut text = format!("[[rule]]\nid = \"r{number}\"\nconstraint = \"{constraint}\"\n");
    let keys = words.map(|word| match word.split_once('=') {
        None => format!("action = \"{word}\"\n"),
        Some(("set", columns)) => {
            let columns: Vec<_> = columns.split(',').collect();
            format!("on_conflict = \"update\"\nset = {columns:?}\n")
        }
        Some((key, value)) => format!("{key} = \"{value}\"\n"),
    });
    text.extend(keys);
    text
}

fn index(text: &str) -> (Constraint, Index) {
    let mut words = text.split(' ');
    let constraint = constraint(words.next().unwrap());
    let mut index = key(constraint.clone());
    for word in words {
        match word {
            "deferrable" => index.immediate = false,
            "behind-view" => index.plain = false,
            root => index.root = self::constraint(root),
        }
    }
    (constraint, index)
}

fn constraint(text: &str) -> Constraint {
    let parts: Vec<_> = text.split('.').map(str::to_owned).collect();
    let [schema, table, name] = parts.try_into().expect("schema.table.name");
    Constraint { schema, table, name }
}
