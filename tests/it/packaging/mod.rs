//! What is handed out beside the program, held against the program: units, manifests, the package.

mod manifests;
mod package;
mod units;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pgabsorb::config::{self, Limits, Overrides};

/// How long the sessions have to say goodbye when the drain is over.
const GOODBYE: Duration = Duration::from_secs(5);

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The longest that a proxy with these limits takes to stop.
fn longest_stop(limits: &Limits) -> Duration {
    limits.drain_delay + limits.drain_timeout + GOODBYE
}

/// The settings of a rules file, which has no mistake.
fn settings(rules: &str) -> config::Settings {
    config::parse(rules, &Overrides::default()).unwrap_or_else(|it| panic!("{it:?}")).settings
}
