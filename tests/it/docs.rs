//! The documentation does what it says: its commands are run, and print what the pages show.
//!
//! A page is read section by section. `sql` makes the tables, at the server itself; `toml` is the
//! rules file, with which a proxy is started; `console` is run by a shell, line by line behind `$ `,
//! and has to print what stands below. There, `...` in a line is anything, and alone any number of
//! lines. The pages say 5432, 7432 and 9432 where the tests have other ports.
//!
//! `PGABSORB_BLESS=1 cargo test docs` writes into the pages what was printed, where it differs.

mod page;
mod stage;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use page::{Block, Page, Section};
use stage::Stage;

/// Commands that are not run here, by how they begin, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("cargo ", "what builds, measures and shows itself has tests of its own, or is for a person"),
    ("tests/run", "this test is a part of it"),
    ("tests/servers/run", "this test is a part of it"),
    ("tests/suites/run", "it takes what it installs"),
    ("tests/poolers/run", "it runs tests of this binary"),
    ("pgabsorb run", "a proxy is started for each section"),
    ("packaging/deb", "building a package takes a tool of its own; tests/it/packaging looks at it"),
    ("sudo", "changes the machine"),
    ("docker ", "needs an engine"),
    ("kubectl ", "needs a cluster; tests/it/packaging reads the manifests"),
    ("curl -X POST", "tests/it/shell/admin.rs asks so"),
    ("pgabsorb suggest --log", "the log is at a place of its own"),
];

/// Each recipe is a test.
macro_rules! recipes {
    ($($name:ident: $title:literal,)*) => {
        $(#[test]
        fn $name() {
            let page = Page::read("docs/recipes.md");
            let section = page.sections.iter().find(|it| it.title == $title);
            run(&page, section.unwrap_or_else(|| panic!("no recipe {:?}", $title)));
        })*

        #[test]
        fn every_recipe_is_a_test() {
            let page = Page::read("docs/recipes.md");
            let run = page.sections.iter().filter(|it| it.has_commands());
            let titles: Vec<_> = run.map(|it| it.title.as_str()).collect();
            assert_eq!(titles, [$($title),*]);
        }
    };
}

recipes! {
    webhooks: "Webhooks that are delivered more than once",
    imports: "An import that is run again",
    copy: "An import by COPY",
    get_or_create: "An ORM's get-or-create",
    soft_delete: "Soft delete with a partial index",
    tenants: "Tenants",
    sequence_drift: "A sequence that is behind: do not absorb",
    idempotency_keys: "A key that must never repeat",
    consumers: "A consumer that gets messages more than once",
    upserts: "A load that should have been an upsert",
    locks: "Locks in a table: never absorb",
}

#[test]
fn the_commands_of_the_other_pages_do_what_they_say() {
    let mut not_run = BTreeSet::new();
    for name in pages() {
        let page = Page::read(&name);
        for section in &page.sections {
            let commands: Vec<_> = section.commands().collect();
            not_run.extend(commands.iter().filter_map(|it| reason(it)).map(|(begin, _)| *begin));
            if name == "docs/recipes.md" {
                continue;
            }
            if commands.iter().any(|it| reason(it).is_none()) {
                run(&page, section);
            } else {
                check(section);
            }
        }
    }
    let listed: BTreeSet<_> = NOT_RUN.iter().map(|(begin, _)| *begin).collect();
    assert_eq!(not_run, listed, "what is not run is on a page");
}

fn run(page: &Page, section: &Section) {
    let mut stage = Stage::new();
    for (index, block) in section.blocks.iter().enumerate() {
        match block {
            Block::Sql(text) => stage.sql(text),
            Block::Rules(text) => stage.start(text),
            Block::Console(commands) => {
                for command in commands.iter().filter(|it| reason(&it.text).is_none()) {
                    stage.run(command, || page.place(section, index));
                }
            }
        }
    }
}

/// Rules that no command of their section uses are right all the same.
fn check(section: &Section) {
    for block in &section.blocks {
        if let Block::Rules(text) = block {
            Stage::new().check(text);
        }
    }
}

fn reason(command: &str) -> Option<&'static (&'static str, &'static str)> {
    NOT_RUN.iter().find(|(begin, _)| command.starts_with(begin))
}

/// README.md, and whatever is in docs.
fn pages() -> Vec<String> {
    let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs");
    let names = fs::read_dir(docs).unwrap().map(|it| it.unwrap().file_name());
    let names = names.filter_map(|name| name.into_string().ok());
    let pages = names.filter_map(|it| Some(format!("docs/{}.md", it.strip_suffix(".md")?)));
    let mut pages: Vec<_> = pages.chain(["README.md".to_owned()]).collect();
    pages.sort();
    assert!(pages.len() > 5, "{pages:?}");
    pages
}
