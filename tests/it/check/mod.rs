//! `pgabsorb check --database`: what it finds in a real database, and that it is what the proxy
//! does.

mod agreement;
mod findings;
mod rights;
mod rule_tests;
mod servers;

use std::process::Command;

use crate::shell::process::command;
use crate::support::postgres::{Database, server};
use crate::support::wire::{Wire, startup};

/// What a run of the program has said.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    /// The lines that belong to one rule in the first database, without indentation.
    fn rule(&self, id: &str) -> Vec<&str> {
        let title = format!("rule \"{id}\"");
        let mut lines = self.out.lines().skip_while(|line| !line.starts_with(&title));
        assert!(lines.next().is_some(), "{}\n{}", self.out, self.err);
        lines.take_while(|line| line.starts_with("  ")).map(str::trim).collect()
    }

    /// The one line of a rule that begins with these words.
    fn line(&self, id: &str, start: &str) -> &str {
        let lines = self.rule(id);
        let mut found = lines.iter().filter(|line| line.starts_with(start));
        found.next().unwrap_or_else(|| panic!("{id}: no {start:?} in\n{}\n{}", self.out, self.err))
    }
}

/// Checks rules against databases.
fn check(rules: &str, urls: &[String]) -> Said {
    run(rules, |command| {
        for url in urls {
            command.args(["--database", url]);
        }
    })
}

fn run(rules: &str, configure: impl FnOnce(&mut Command)) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("rules.toml");
    std::fs::write(&config, format!("[proxy]\nupstream = '127.0.0.1:5432'\n{rules}")).unwrap();
    let mut command = command();
    command.env_remove("PGPASSWORD");
    command.arg("check").arg("--config").arg(&config);
    configure(&mut command);
    said(&mut command)
}

pub fn said(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// How the program is told a database of the shared server.
pub fn url(database: &Database, user: &str) -> String {
    format!("postgresql://{user}@{}/{}", server().address(), database.name)
}

/// A rule of this id for a constraint, with more keys.
fn rule(id: &str, constraint: &str, more: &str) -> String {
    format!("[[rule]]\nid = '{id}'\nconstraint = '{constraint}'\n{more}\n")
}

/// What fails, and is to fail.
fn fails(database: &Database, sql: &str) {
    let parameters = [("database", &*database.name)];
    let mut wire = Wire::connect(server().address(), &startup(&parameters));
    assert!(wire.query(sql).iter().any(|message| message.tag == b'E'), "{sql} did not fail");
}
