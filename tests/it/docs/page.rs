//! A page of Markdown, as far as it is run.

use std::fs;
use std::path::{Path, PathBuf};

pub struct Page {
    pub name: String,
    pub sections: Vec<Section>,
}

/// What stands below a heading of the second level, or above the first of them.
pub struct Section {
    pub title: String,
    pub blocks: Vec<Block>,
    lines: Vec<usize>,
}

pub enum Block {
    Sql(String),
    /// A rules file, or its rules.
    Rules(String),
    Console(Vec<Command>),
}

/// One line that is typed, and what it prints: `None` where the page does not say.
pub struct Command {
    pub text: String,
    pub prints: Option<Vec<String>>,
    pub page: PathBuf,
    /// The first line of what it prints, from 0.
    pub line: usize,
}

/// What a block without `$` is a list of commands by.
const PROGRAMS: [&str; 7] = [
    "cargo ",
    "tests/run",
    "tests/servers/run",
    "tests/suites/run",
    "tests/poolers/run",
    "target/release/pgabsorb ",
    "pgabsorb ",
];

/// What a block of `sh` begins with that is for another machine as a whole.
const ELSEWHERE: [&str; 4] = ["packaging/deb", "sudo", "docker ", "kubectl "];

/// Kinds of blocks that are no commands; what of them is to be held has tests of its own.
const OTHERS: [&str; 7] = ["text", "toml", "promql", "python", "yaml", "json", "ini"];

/// Blocks of no kind that are no commands, by how they begin: what something prints, or a file.
const SAMPLES: [&str; 5] = [
    "database shop as app",
    "rules.toml:",
    "INSERT INTO t VALUES ($1)",
    "\"app\" \"SCRAM-",
    "listen postgresql",
];

impl Page {
    /// A page, by its path in the project.
    pub fn read(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
        let text = fs::read_to_string(&path).unwrap();
        let mut page = Self { name: name.to_owned(), sections: vec![Section::new("")] };
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            if let Some(title) = line.strip_prefix("## ") {
                page.sections.push(Section::new(title));
            }
            let Some(kind) = line.strip_prefix("```") else { continue };
            let block: Vec<_> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            let section = page.sections.last_mut().unwrap();
            if let Some(block) = Block::new(kind, &block, &path, number + 1) {
                section.blocks.push(block);
                section.lines.push(number + 1);
            }
        }
        page
    }

    /// Where a block is, for a person.
    pub fn place(&self, section: &Section, index: usize) -> String {
        format!("{}:{} ({})", self.name, section.lines[index], section.title)
    }
}

impl Section {
    fn new(title: &str) -> Self {
        Self { title: title.to_owned(), blocks: Vec::new(), lines: Vec::new() }
    }

    pub fn commands(&self) -> impl Iterator<Item = String> {
        self.blocks.iter().flat_map(|block| match block {
            Block::Console(commands) => commands.iter().map(|it| it.text.clone()).collect(),
            Block::Sql(_) | Block::Rules(_) => Vec::new(),
        })
    }

    pub fn has_commands(&self) -> bool {
        self.commands().next().is_some()
    }
}

impl Block {
    fn new(kind: &str, lines: &[&str], page: &Path, first: usize) -> Option<Self> {
        let text = lines.join("\n") + "\n";
        match kind {
            "sql" => Some(Self::Sql(text)),
            "toml" if text.contains("[[rule]]") => Some(Self::Rules(text)),
            "console" => {
                let mut commands: Vec<Command> = Vec::new();
                for (index, line) in lines.iter().enumerate() {
                    if let Some(text) = line.strip_prefix("$ ") {
                        let text = text.to_owned();
                        let line = first + index + 1;
                        let prints = Some(Vec::new());
                        commands.push(Command { text, prints, page: page.to_owned(), line });
                    } else {
                        let last = commands.last_mut().expect("a command ahead of what it prints");
                        last.prints.as_mut().unwrap().push((*line).to_owned());
                    }
                }
                Some(Self::Console(commands))
            }
            "" | "sh" if PROGRAMS.iter().any(|it| lines[0].starts_with(it)) => {
                let commands = lines.iter().map(|line| Command {
                    text: line.trim_start_matches("target/release/").to_owned(),
                    prints: None,
                    page: page.to_owned(),
                    line: 0,
                });
                Some(Self::Console(commands.collect()))
            }
            "sh" if ELSEWHERE.iter().any(|it| lines[0].starts_with(it)) => {
                let text = lines[0].to_owned();
                let page = page.to_owned();
                Some(Self::Console(vec![Command { text, prints: None, page, line: 0 }]))
            }
            "" if SAMPLES.iter().any(|it| lines[0].starts_with(it)) => None,
            kind if OTHERS.contains(&kind) => None,
            kind => {
                panic!("{}:{first}: neither run nor known: {kind:?} {}", page.display(), lines[0])
            }
        }
    }
}
