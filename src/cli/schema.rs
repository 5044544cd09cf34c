//! `pgabsorb schema`: the JSON Schema of the rules file, for editors.

use std::io::Write;

/// Writes the schema to `out`.
pub fn schema(out: &mut impl Write) -> anyhow::Result<()> {
    out.write_all(SCHEMA.as_bytes())?;
    Ok(())
}

/// What an editor knows of a rules file.
const SCHEMA: &str = include_str!("../../docs/rules.schema.json");
