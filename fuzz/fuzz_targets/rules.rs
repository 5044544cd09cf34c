//! The rules file: a text is a configuration or a list of mistakes, each at a place in the text;
//! what means nothing in it changes neither.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pgabsorb::config::{self, Config, Mistakes, Overrides};
use pgabsorb::rules::{Constraint, Origin};
use pgabsorb_fuzz::memory;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = memory::within(1024 * text.len() + (1 << 20), || parse(text));
    assert_eq!(read, parse(text));
    // A byte order mark is that of the file, and not of the text.
    if !text.starts_with('\u{feff}') {
        assert_eq!(read, parse(&format!("\u{feff}{text}")));
    }
    match read {
        Ok(config) => {
            assert_eq!(Ok(&config), parse(&format!("{text}\n# the end\n")).as_ref());
            finds_no_system_table(&config);
        }
        Err(mistakes) => are_in_the_text(&mistakes, text),
    }
});

fn parse(text: &str) -> Result<Config, Mistakes> {
    config::parse(text, &Overrides::default())
}

fn are_in_the_text(mistakes: &Mistakes, text: &str) {
    assert!(!mistakes.is_empty());
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines: Vec<_> = text.split('\n').collect();
    let mut before = (1, 1);
    for mistake in mistakes {
        let place = (mistake.line, mistake.column);
        assert!(place >= before, "{mistakes:?}");
        before = place;
        let line = lines.get(place.0 - 1);
        let line = line.unwrap_or_else(|| panic!("{mistake} of {} lines", lines.len()));
        assert!(place.1 >= 1 && place.1 <= line.chars().count() + 1, "{mistake}: {line:?}");
    }
    let shown = mistakes.in_file("rules.toml").to_string();
    assert!(shown.lines().count() > mistakes.len(), "{shown}");
}

/// Whatever the rules are, they are asked, and none is about the server's own tables.
fn finds_no_system_table(config: &Config) {
    let origin = Origin::default();
    for schema in ["public", "pg_catalog"] {
        let (table, name) = ("t".to_owned(), "t_pkey".to_owned());
        let constraint = Constraint { schema: schema.to_owned(), table, name };
        let found = config.rules.find(&constraint, &origin);
        assert!(found.is_none() || schema == "public");
    }
}
