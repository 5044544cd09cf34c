//! The programs that the comparison needs, found or installed.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context as _, bail};

/// Where each program is.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) pgbench: PathBuf,
    pub(crate) pgbouncer: PathBuf,
    pub(crate) haproxy: PathBuf,
    /// PgBouncer refuses to be root: arguments that say whom it becomes.
    pub(crate) pgbouncer_user: Vec<String>,
}

impl Programs {
    /// Finds the programs, after installing those that are missing where that is possible.
    pub(crate) fn find_or_install() -> anyhow::Result<Self> {
        let missing: Vec<_> = PACKAGES
            .iter()
            .filter(|(program, _)| find(program).is_none())
            .map(|(_, package)| *package)
            .collect();
        if !missing.is_empty() {
            install(&missing)?;
        }
        let found = |program: &str| find(program).with_context(|| format!("no {program} found"));
        Ok(Self {
            pgbench: found("pgbench")?,
            pgbouncer: found("pgbouncer")?,
            haproxy: found("haproxy")?,
            pgbouncer_user: unprivileged_user()?,
        })
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let mut places: Vec<PathBuf> = env::var_os("PATH").iter().flat_map(env::split_paths).collect();
    // Not on the PATH of everyone.
    places.push(PathBuf::from("/usr/sbin"));
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    places.extend(versions.map(|version| version.path().join("bin")));
    places.into_iter().map(|place| place.join(program)).find(|path| path.is_file())
}

/// Installs packages by apt, as root or with a sudo that asks for no password.
fn install(packages: &[&str]) -> anyhow::Result<()> {
    let list = packages.join(" ");
    let sudo: &[&str] = if is_root()? { &[] } else { &["sudo", "-n"] };
    if find("apt-get").is_none() || (!sudo.is_empty() && !succeeds(&["sudo", "-n", "true"])) {
        bail!(
            "these are needed and not installed: {list}; on Debian or Ubuntu: apt-get install \
             {list}; elsewhere install PostgreSQL with pgbench, PgBouncer and HAProxy"
        );
    }
    eprintln!("installing {list}");
    let apt = |arguments: &[&str]| {
        let prefix = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
        succeeds(&[sudo, &prefix, arguments].concat())
    };
    if apt(&[&["install", "-y"], packages].concat())
        || (apt(&["update"]) && apt(&[&["install", "-y"], packages].concat()))
    {
        return Ok(());
    }
    bail!("apt-get install {list} failed")
}

fn succeeds(command: &[&str]) -> bool {
    let Some((program, arguments)) = command.split_first() else { return false };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn is_root() -> anyhow::Result<bool> {
    Ok(Path::new("/proc/self").metadata()?.uid() == 0)
}

fn unprivileged_user() -> anyhow::Result<Vec<String>> {
    if !is_root()? {
        return Ok(Vec::new());
    }
    let passwd = fs::read_to_string("/etc/passwd")?;
    let exists = |name: &&str| passwd.lines().any(|line| line.split(':').next() == Some(*name));
    let user = ["postgres", "nobody"].into_iter().find(exists);
    let user = user.context("PgBouncer does not run as root, and there is no other user")?;
    Ok(vec!["--user".to_owned(), user.to_owned()])
}

/// Programs, and the Debian packages that hold them.
const PACKAGES: &[(&str, &str)] =
    &[("pgbench", "postgresql"), ("pgbouncer", "pgbouncer"), ("haproxy", "haproxy")];
