//! The figures, and those of before, which are kept beside this.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::Context as _;

use crate::count;

/// Growth that may be, in percent.
pub(crate) const ALLOWED: u64 = 5;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/core/figures.txt");

/// Instructions by case, and the compiler that made them.
#[derive(Default)]
pub(crate) struct Figures {
    compiler: String,
    counts: Vec<(String, u64)>,
}

impl Figures {
    pub(crate) fn count() -> anyhow::Result<Self> {
        let counts = count::all()?.into_iter().map(|(name, count)| (name.to_owned(), count));
        Ok(Self { compiler: compiler()?, counts: counts.collect() })
    }

    /// Those that were written down.
    pub(crate) fn read() -> anyhow::Result<Self> {
        let text = fs::read_to_string(FILE).with_context(|| format!("{FILE} cannot be read"))?;
        let (first, rest) = text.split_once('\n').context("the figures have no first line")?;
        let compiler = first.strip_prefix("# ").unwrap_or(first).to_owned();
        let figure = |line: &str| {
            let (count, name) = line.split_once(' ')?;
            Some((name.trim().to_owned(), count.parse().ok()?))
        };
        let figure = |line| figure(line).with_context(|| format!("{FILE}: {line:?} is no figure"));
        Ok(Self { compiler, counts: rest.lines().map(figure).collect::<anyhow::Result<_>>()? })
    }

    pub(crate) fn write(&self) -> anyhow::Result<()> {
        let mut text = format!("# {}\n", self.compiler);
        for (name, count) in &self.counts {
            writeln!(text, "{count} {name}")?;
        }
        print!("{text}");
        fs::write(FILE, text).with_context(|| format!("{FILE} cannot be written"))
    }

    /// A table of these and those of before.
    pub(crate) fn beside(&self, last: &Self) -> String {
        let before = last.by_name();
        let mut text = format!("Instructions, {}", self.compiler);
        if self.compiler != last.compiler {
            let _ = write!(text, "; before, {}", last.compiler);
        }
        text += "\n\n| | now | before | now / before |\n|---|--:|--:|--:|\n";
        for (name, count) in &self.counts {
            let _ = match before.get(name.as_str()) {
                Some(last) => {
                    writeln!(text, "| {name} | {count} | {last} | {} |", ratio(*count, *last))
                }
                None => writeln!(text, "| {name} | {count} | | |"),
            };
        }
        text
    }

    /// The names of those that have grown by more than is allowed, or that nothing is known of.
    pub(crate) fn grown_since<'a>(&'a self, last: &Self) -> Vec<&'a str> {
        let before = last.by_name();
        let grown = |(name, count): &&'a (String, u64)| {
            before.get(name.as_str()).is_none_or(|last| count * 100 > last * (100 + ALLOWED))
        };
        self.counts.iter().filter(grown).map(|(name, _)| name.as_str()).collect()
    }

    fn by_name(&self) -> BTreeMap<&str, u64> {
        self.counts.iter().map(|(name, count)| (name.as_str(), *count)).collect()
    }
}

/// In thousandths, which every count here has.
fn ratio(now: u64, before: u64) -> String {
    let thousandths = now * 1000 / before.max(1);
    format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}

/// Which compiler made this, and for what: another one makes other instructions.
fn compiler() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("--version").output().context("rustc does not run")?;
    let version = String::from_utf8(output.stdout)?;
    Ok(format!("{} for {}", version.trim(), std::env::consts::ARCH))
}
