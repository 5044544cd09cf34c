//! What a section needs: a database, a proxy with its rules, and a shell.

use std::path::Path;
use std::process::{Command as Program, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use tempfile::TempDir;

use crate::shell::admin;
use crate::shell::process::Process;
use crate::support::PATIENCE;
use crate::support::postgres::{Database, server};
use crate::support::version::{of_version, version};

use super::page::Command;

pub struct Stage {
    database: Database,
    proxy: Option<Process>,
    directory: TempDir,
}

/// Commands that look at what the proxy does in its own time: they are run until they print what
/// they should.
const LOOKS: [&str; 3] = ["tail ", "curl ", "grep "];

impl Stage {
    pub fn new() -> Self {
        let database = Database::new();
        // The table of the README and of the pages that go on with its example.
        database.sql("CREATE TABLE webhook_events (id text PRIMARY KEY, body text)");
        let stage = Self { database, proxy: None, directory: tempfile::tempdir().unwrap() };
        stage.write(&Self::file(include_str!("../../../rules.toml")));
        stage
    }

    fn file(rules: &str) -> String {
        if rules.contains("[proxy]") {
            return rules.replace("127.0.0.1:5432", &server().address().to_string());
        }
        format!("[proxy]\nupstream = '{}'\n\n{rules}", server().address())
    }

    fn write(&self, file: &str) {
        fs::write(self.directory.path().join("rules.toml"), file).unwrap();
    }

    pub fn sql(&self, text: &str) {
        let (worked, printed) =
            self.shell(&format!("psql -p 5432 -X -q -v ON_ERROR_STOP=1 <<'END'\n{text}\nEND\n"));
        assert!(worked, "{text}\n{printed}");
    }

    /// A proxy with these rules, which logs into the file that the pages name.
    pub fn start(&mut self, rules: &str) {
        let log = self.directory.path().join("conflicts.log");
        let rest =
            format!("\n[log]\nfile = '{}'\n[admin]\nlisten = '127.0.0.1:0'\n", log.display());
        let file = Self::file(rules) + &rest;
        self.proxy = Some(Process::run(&file, |command| {
            command.args(["--listen", "127.0.0.1:0"]);
        }));
        self.write(&file);
    }

    /// Whether these rules are good.
    pub fn check(&self, rules: &str) {
        self.write(&Self::file(rules));
        let (worked, printed) = self.shell("pgabsorb check --config rules.toml");
        assert!(worked, "{rules}\n{printed}");
    }

    /// Runs a command, and compares what it prints with what the page says.
    pub fn run(&self, command: &Command, place: impl Fn() -> String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (worked, printed) = self.shell(&command.text);
            let Some(expected) = &command.prints else {
                assert!(worked, "{}: {}\n{printed}", place(), command.text);
                return;
            };
            let expected = &expected.iter().map(|it| of_version(it, version())).collect::<Vec<_>>();
            let lines: Vec<_> = printed.lines().map(str::trim_end).collect();
            if matches(expected, &lines) {
                return;
            }
            let looks = LOOKS.iter().any(|it| command.text.starts_with(it));
            if looks && Instant::now() < deadline && env::var_os(BLESS).is_none() {
                thread::park_timeout(Duration::from_millis(20));
                continue;
            }
            if env::var_os(BLESS).is_some() {
                if looks {
                    // There is nothing to compare with.
                    thread::sleep(Duration::from_secs(1));
                    let (_, printed) = self.shell(&command.text);
                    return bless(command, expected.len(), &printed.lines().collect::<Vec<_>>());
                }
                return bless(command, expected.len(), &lines);
            }
            let (text, expected) = (&command.text, expected.join("\n"));
            panic!("{}: {text}\nis to print\n{expected}\nand prints\n{printed}", place());
        }
    }

    /// Runs a line in the section's directory; whether it worked, and all that it printed, with the
    /// ports and names of the page.
    fn shell(&self, text: &str) -> (bool, String) {
        let programs = Path::new(env!("CARGO_BIN_EXE_pgabsorb")).parent().unwrap().to_owned();
        let path = env::join_paths(
            [programs, server().programs().to_owned()]
                .into_iter()
                .chain(env::split_paths(&env::var_os("PATH").unwrap())),
        );
        let names = self.names();
        let real =
            exchanged(text, &names.iter().map(|it| (it.0, it.1.as_str())).collect::<Vec<_>>());
        let output = Program::new("bash")
            .args(["-c", &format!("exec 2>&1\n{real}")])
            .current_dir(self.directory.path())
            .env("PATH", path.unwrap())
            .envs([("PGHOST", "127.0.0.1"), ("PGUSER", "postgres"), ("LC_ALL", "C.UTF-8")])
            .env("PGDATABASE", &self.database.name)
            .envs([("PSQLRC", "/dev/null"), ("PAGER", "")])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let shown =
            exchanged(&printed, &names.iter().map(|it| (it.1.as_str(), it.0)).collect::<Vec<_>>());
        (output.status.success(), shown)
    }

    /// What the pages say, and what is meant.
    fn names(&self) -> Vec<(&'static str, String)> {
        let database = &self.database.name;
        let mut names = vec![
            (
                "app@127.0.0.1:5432/shop",
                format!("postgres@127.0.0.1:{}/{database}", server().port()),
            ),
            ("database shop as app", format!("database {database} as postgres")),
            ("5432", server().port().to_string()),
        ];
        if let Some(proxy) = &self.proxy {
            names.push(("7432", proxy.address().port().to_string()));
            names.push(("127.0.0.1:9432", admin::place(proxy)));
        }
        names.push(("\"shop\"", format!("\"{database}\"")));
        names
    }
}

/// A text with each name in the place of another; a name that has come so is not looked at again.
fn exchanged(text: &str, names: &[(&str, &str)]) -> String {
    let mut exchanged = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let (old, new) = match names.iter().find(|(old, _)| rest.starts_with(old)) {
            Some((old, new)) => (old.len(), *new),
            None => (next.len_utf8(), &rest[..next.len_utf8()]),
        };
        exchanged += new;
        rest = &rest[old..];
    }
    exchanged
}

/// Whether lines are as expected, where `...` is anything.
fn matches(expected: &[String], lines: &[&str]) -> bool {
    match (expected, lines) {
        ([], []) => true,
        ([first, rest @ ..], _) if first == "..." => {
            (0..=lines.len()).any(|skipped| matches(rest, &lines[skipped..]))
        }
        ([first, rest @ ..], [line, others @ ..]) => {
            line_matches(first, line) && matches(rest, others)
        }
        _ => false,
    }
}

fn line_matches(expected: &str, line: &str) -> bool {
    let mut parts = expected.trim_end().split("...");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Writes what was printed into the page.
fn bless(command: &Command, old: usize, lines: &[&str]) {
    static WRITING: Mutex<()> = Mutex::new(());
    let _alone = WRITING.lock().unwrap();
    let text = fs::read_to_string(&command.page).unwrap();
    let mut page: Vec<_> = text.lines().collect();
    // Other commands may have moved it.
    let typed = format!("$ {}", command.text);
    let at =
        (0..page.len()).filter(|it| page[*it] == typed).min_by_key(|it| it.abs_diff(command.line));
    let first = at.unwrap() + 1;
    page.splice(first..first + old, lines.iter().copied());
    fs::write(&command.page, page.join("\n") + "\n").unwrap();
}

const BLESS: &str = "PGABSORB_BLESS";

#[test]
fn dots_stand_for_anything() {
    let expected = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let is_so = |page: &str, lines: &[&str]| matches(&expected(page), lines);
    assert!(is_so("a\n...\nz", &["a", "b", "c", "z"]) && is_so("a\n...\nz", &["a", "z"]));
    assert!(
        is_so("a...z", &["abz"]) && is_so("...", &[]) && is_so("a ... c ... e", &["a b c d e"])
    );
    for lines in [&["a", "b"][..], &["b", "z"], &["a", "z", "b"], &[]] {
        assert!(!is_so("a\n...\nz", lines), "{lines:?}");
    }
    assert!(!is_so("a...z", &["abzc"]) && !is_so("a", &["ab"]) && !is_so("a", &["a", "a"]));
}
