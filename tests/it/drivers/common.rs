//! The list of things that every driver does, and what its script prints of them: first a line that
//! says which driver it is, then one line for each of the list, in its order, then what is its own.

/// What every script does; `tests/drivers/README.md` says how.
pub const NAMES: [&str; 19] = [
    "login, trust",
    "login, password",
    "login, md5",
    "login, scram-sha-256",
    "simple insert",
    "prepared insert",
    "duplicate in autocommit",
    "duplicate in a transaction",
    "duplicate with RETURNING",
    "duplicate among several rows",
    "batch in a transaction",
    "batch in autocommit",
    "COPY",
    "cursor",
    "LISTEN",
    "cancel",
    "large value",
    "error shown",
    "reconnect",
];

/// What a script has printed.
#[derive(Debug)]
pub struct Report {
    /// The driver's version, as it reports it.
    pub version: String,
    /// What of the list the driver does not have, and why.
    pub missing: Vec<(&'static str, String)>,
}

impl Report {
    /// Reads all that a script printed, each line of the list exactly once.
    pub fn read(printed: &str) -> Result<Self, String> {
        let mut lines = printed.lines();
        let version = lines.next().and_then(|line| line.strip_prefix("driver "));
        let version = version.ok_or("the first line is `driver VERSION`")?.to_owned();
        let mut missing = Vec::new();
        for name in NAMES {
            let line = lines.next().ok_or_else(|| format!("ends before {name:?}"))?;
            if let Some(why) = line.strip_prefix(&format!("-- {name}: ")) {
                missing.push((name, why.to_owned()));
            } else if line != format!("ok {name}") {
                return Err(format!("{line:?} where {name:?} is to come"));
            }
        }
        match lines.find(|line| !is_own(line)) {
            Some(line) => Err(format!("{line:?} behind the list")),
            None => Ok(Self { version, missing }),
        }
    }

    /// Whether the driver did this.
    pub fn has(&self, name: &str) -> bool {
        self.missing.iter().all(|(missing, _)| *missing != name)
    }
}

/// A line behind the list tells of something else, and that it held.
fn is_own(line: &str) -> bool {
    line.strip_prefix("ok ").is_some_and(|name| !NAMES.contains(&name))
}

#[test]
fn a_script_prints_each_line_once_and_in_order() {
    let list = || NAMES.map(|name| format!("ok {name}"));
    let printed = |lines: &[String]| Report::read(&format!("driver 1.0\n{}\n", lines.join("\n")));
    let report = printed(&list()).unwrap();
    assert!(report.version == "1.0" && report.has("COPY"));
    let mut without = list();
    without[12] = "-- COPY: it has none".into();
    let report = printed(&without).unwrap();
    assert!(!report.has("COPY") && report.has("LISTEN"));
    assert_eq!(report.missing, [("COPY", "it has none".to_owned())]);

    assert!(printed(&list()[..18]).is_err(), "one that stops early");
    let mut swapped = list();
    swapped.swap(4, 5);
    assert!(printed(&swapped).is_err(), "another order");
    let with = |line: &str| printed(&[&list()[..], &[line.to_owned()]].concat());
    assert!(with("ok something else").is_ok());
    for line in ["ok COPY", "not ok something", "-- COPY: it has none"] {
        assert!(with(line).is_err(), "{line}");
    }
    assert!(Report::read(&list().join("\n")).is_err(), "no driver");
}

#[test]
fn the_readme_of_the_scripts_has_the_list() {
    let text = include_str!("../../drivers/README.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let names: Vec<_> = rows.map(|(name, _)| name).collect();
    assert_eq!(names, NAMES);
}
