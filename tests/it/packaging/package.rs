//! The Debian package, as Cargo.toml describes it to cargo-deb.

use std::fs;
use std::process::Command;

use super::{read, root, settings};

/// The files that the package is made of, apart from the program and the units.
fn assets() -> Vec<String> {
    let mut metadata = Command::new(env!("CARGO"));
    metadata.args(["metadata", "--locked", "--offline", "--no-deps", "--format-version", "1"]);
    let output = metadata.current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let assets = metadata["packages"][0]["metadata"]["deb"]["assets"].as_array().unwrap();
    let sources = assets.iter().map(|asset| asset[0].as_str().unwrap().to_owned());
    sources.filter(|it| it != "target/release/pgabsorb").collect()
}

#[test]
fn what_goes_into_the_package_is_there() {
    for source in assets() {
        let (directory, name) = source.rsplit_once('/').unwrap_or((".", &source));
        let (begin, end) = name.split_once('*').unwrap_or((name, ""));
        let files = fs::read_dir(root().join(directory)).unwrap();
        let mut names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        assert!(names.any(|it| it.starts_with(begin) && it.ends_with(end)), "{source}");
    }
}

#[test]
fn the_rules_of_the_package_change_nothing() {
    let rules = "packaging/rules.toml";
    assert!(assets().iter().any(|it| it == rules));
    let text = read(rules);
    assert!(!text.lines().any(|line| line.starts_with("[[rule]]")));
    let as_it_comes = settings("proxy.upstream = '127.0.0.1:5432'");
    assert_eq!(settings(&text), as_it_comes);
    // What it shows in comments is right too.
    let from_there = text.lines().skip_while(|line| *line != "[proxy]");
    let shown: Vec<_> = from_there.map(|line| line.strip_prefix("# ").unwrap_or(line)).collect();
    assert!(settings(&shown.join("\n")).admin.is_some());
}

#[test]
fn the_service_runs_what_the_package_installs_as_its_user() {
    let service = read("packaging/systemd/pgabsorb.service");
    assert!(
        service.contains("ExecStart=/usr/bin/pgabsorb run --config /etc/pgabsorb/rules.toml\n")
    );
    let users = read("packaging/systemd/pgabsorb.sysusers");
    let made = users.lines().find_map(|line| line.strip_prefix("u ")?.split(' ').next()).unwrap();
    assert!(service.contains(&format!("\nUser={made}\nGroup={made}\n")));
}
