//! The PostgreSQL programs: found, or installed, or asked for.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::cli::throwaway;

/// Where `psql` is. If it or the server is missing, the system's package is installed first; if
/// that may not be, the user has been told what to type.
pub(super) fn psql() -> anyhow::Result<PathBuf> {
    if let Some(psql) = find() {
        return Ok(psql);
    }
    eprintln!("The demo starts a PostgreSQL of its own and uses psql; not all of it is here.");
    let status = Command::new("sh")
        .args(["-c", INSTALL, "install", "postgresql"])
        .stdin(Stdio::null())
        .status()
        .context("cannot run sh")?;
    if !status.success() {
        bail!("the demo needs PostgreSQL: see above");
    }
    // Says where it has looked for the server.
    let programs = throwaway::find_programs()?;
    match find() {
        Some(psql) => Ok(psql),
        None => bail!("psql is neither in {} nor in PATH: install it", programs.display()),
    }
}

/// `psql`, beside the server's programs or in PATH; nothing if there is no server.
fn find() -> Option<PathBuf> {
    let programs = throwaway::find_programs().ok()?;
    let path = env::var_os("PATH").unwrap_or_default();
    let in_directory = |directory: &Path| Some(directory.join("psql")).filter(|it| it.is_file());
    in_directory(&programs).or_else(|| env::split_paths(&path).find_map(|it| in_directory(&it)))
}

/// Installs Debian packages; shared with `tests/run`.
const INSTALL: &str = include_str!("install.sh");
