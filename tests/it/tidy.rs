//! The laws of the house that no compiler knows: who may import whom, what pure rooms must not
//! name, which folder a dependency lives in, how long a file may be.

use std::fs;
use std::path::{Path, PathBuf};

/// Each room, the rooms it may import, and whether it is pure.
const ROOMS: &[(&str, &[&str], bool)] = &[
    ("wire", &[], true),
    ("rules", &[], true),
    ("sql", &[], true),
    ("session", &["wire", "rules", "sql"], true),
    ("auth", &[], true),
    ("config", &["wire", "rules"], true),
    ("proxy", &["wire", "rules", "session", "auth", "config"], false),
    ("cli", &["wire", "rules", "sql", "session", "auth", "config", "proxy"], false),
];

/// What would make a pure room depend on more than its input.
const IMPURE: &[&str] = &[
    "tokio",
    "std::net",
    "std::fs",
    "std::env",
    "std::thread",
    "Instant",
    "SystemTime",
    "tracing",
    "static mut",
    "OnceLock",
    "LazyLock",
    "OnceCell",
    "thread_local",
    "async fn",
    "println",
    "dbg!",
];

/// Dependencies, and the only places that may name them.
const HOMES: &[(&str, &[&str])] = &[
    ("sqlparser::", &["sql"]),
    // PostgreSQL's own parser is what tests/grammar holds `sql` against.
    ("pg_query::", &[]),
    // benches/compare alone draws.
    ("plotters::", &[]),
    ("futures_util::", &["proxy"]),
    ("pgwire::", &["wire"]),
    ("toml::", &["config"]),
    ("rustls::", &["proxy"]),
    ("tokio_rustls::", &["proxy"]),
    ("postgres_protocol::", &["proxy"]),
    ("use ring::", &["auth", "proxy"]),
    ("stringprep::", &["auth"]),
    ("x509_cert::", &["proxy"]),
    ("socket2::", &["proxy"]),
    ("prometheus_client::", &["proxy"]),
    ("crossbeam_utils::", &["proxy"]),
    ("foldhash::", &["session"]),
    ("mio::", &["proxy"]),
    ("slab::", &["proxy"]),
    ("serde::", &["cli"]),
    ("pin_project_lite::", &["proxy"]),
    ("hyper::", &["proxy"]),
    ("hyper_util::", &["proxy"]),
    ("listenfd::", &["proxy"]),
    ("sd_notify::", &["cli"]),
    ("maud::", &["proxy"]),
    ("sha2::", &["proxy"]),
    ("base64::", &["auth", "proxy"]),
    ("postgres::", &["cli"]),
    ("percent_encoding::", &["cli"]),
    ("anyhow::", &["cli", "main.rs"]),
    ("clap::", &["main.rs"]),
];

const LONGEST: usize = 500;

#[test]
fn rooms_import_only_from_the_rooms_before_them() {
    for (room, below, _) in ROOMS {
        each_line(room, |place, line| {
            for (other, ..) in ROOMS.iter().filter(|(other, ..)| other != room) {
                let named = line.contains(&format!("crate::{other}::"));
                assert!(!named || below.contains(other), "{place}: {room} must not know {other}");
            }
        });
    }
}

#[test]
fn pure_rooms_name_no_effects() {
    for (room, ..) in ROOMS.iter().filter(|(_, _, pure)| *pure) {
        each_line(room, |place, line| {
            for word in IMPURE {
                assert!(!line.contains(word), "{place}: a pure room must not name {word}");
            }
        });
    }
}

#[test]
fn each_dependency_is_named_at_home_alone() {
    for path in sources() {
        let place = path.strip_prefix(root().join("src")).unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        for (word, homes) in HOMES {
            let at_home = homes
                .iter()
                .any(|home| place.starts_with(home) || place == Path::new(&format!("{home}.rs")));
            let named = text.lines().any(|line| code(line).contains(word));
            assert!(at_home || !named, "{}: {word} belongs in {homes:?}", place.display());
        }
    }
}

#[test]
fn every_file_says_what_it_is_and_none_is_long() {
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        let is_test = path.file_name().is_some_and(|name| name == "tests.rs");
        assert!(is_test || text.starts_with("//! "), "{}: say what it is", path.display());
        assert!(text.lines().count() <= LONGEST, "{}: too long", path.display());
    }
}

#[test]
fn each_fuzz_target_is_built_run_and_described_and_has_inputs() {
    let fuzz = root().join("fuzz");
    let read = |name: &str| fs::read_to_string(fuzz.join(name)).unwrap();
    let (manifest, run, page) = (read("Cargo.toml"), read("run"), read("README.md"));
    let targets: Vec<_> = fs::read_dir(fuzz.join("fuzz_targets")).unwrap().collect();
    assert!(targets.len() >= 8, "the targets are not where they were");
    for target in targets {
        let path = target.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            read(&format!("fuzz_targets/{name}.rs")).starts_with("//! "),
            "{name}: say what it is"
        );
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not built");
        assert!(run.contains(&format!("[{name}]=")), "{name} is not run");
        assert!(page.contains(&format!("| `{name}` |")), "{name} is not described");
        let inputs = fs::read_dir(fuzz.join("corpus").join(name)).unwrap().count();
        assert!(inputs > 0, "{name} has no inputs");
    }
}

fn each_line(room: &str, check: impl Fn(&str, &str)) {
    let (folder, file) = (Path::new(room), PathBuf::from(format!("{room}.rs")));
    for path in sources() {
        let place = path.strip_prefix(root().join("src")).unwrap();
        let is_test = place.file_name().is_some_and(|name| name == "tests.rs");
        if is_test || !(place.starts_with(folder) || place == file) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            check(&format!("{}:{}", path.display(), number + 1), code(line));
        }
    }
}

/// A line without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 20, "the sources are not where they were");
    found
}
