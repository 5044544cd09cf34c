//! `pgabsorb suggest`: rules that only observe, for what a database has or a log tells of.

mod log;
mod stub;
mod tables;

use std::io::Write;
use std::path::Path;

use crate::rules::Glob;

use stub::Entry;

/// What is to be suggested.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Schemas; all if absent.
    pub schema: Option<Glob>,
    /// Tables; all if absent.
    pub table: Option<Glob>,
    /// Keys that a sequence fills, too.
    pub sequences: bool,
}

impl Wanted {
    /// Whether it is wanted, as far as it is known where it is.
    fn admits(&self, schema: Option<&str>, table: Option<&str>) -> bool {
        let admits = |glob: &Option<Glob>, name: Option<&str>| match (glob, name) {
            (Some(glob), Some(name)) => glob.matches(name),
            (Some(_), None) => false,
            (None, _) => true,
        };
        admits(&self.schema, schema) && admits(&self.table, table)
    }
}

/// Suggests rules for the unique constraints and indexes of a database.
pub fn from_database(url: &str, wanted: &Wanted, out: &mut impl Write) -> anyhow::Result<()> {
    write(out, tables::entries(url, wanted)?)
}

/// Suggests rules for the constraints whose duplicate keys a log tells of, `-` being standard
/// input; what of it could not be read is said on `err`.
pub fn from_log(
    path: &Path,
    wanted: &Wanted,
    out: &mut impl Write,
    err: &mut impl Write,
) -> anyhow::Result<()> {
    let log = log::Log::read(path)?;
    for line in log.unread() {
        writeln!(err, "{line}")?;
    }
    write(out, log.entries(wanted))
}

fn write(out: &mut impl Write, entries: Vec<Entry>) -> anyhow::Result<()> {
    if entries.is_empty() {
        writeln!(out, "# nothing to suggest")?;
        return Ok(());
    }
    write!(out, "{}", stub::text(entries)?)?;
    Ok(())
}
