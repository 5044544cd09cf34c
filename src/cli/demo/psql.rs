//! Real clients: `psql` processes.

use std::env;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context as _, bail};

use crate::cli::throwaway::Throwaway;

/// How to reach one address with psql.
#[derive(Debug)]
pub(super) struct Psql {
    program: PathBuf,
    address: SocketAddr,
}

impl Psql {
    pub(super) fn new(program: &Path, address: SocketAddr) -> Self {
        Self { program: program.to_owned(), address }
    }

    /// Runs SQL that has to succeed; returns its rows, columns parted by `|`.
    pub(super) fn sql(&self, sql: &str) -> anyhow::Result<String> {
        let mut command = self.command("demo");
        command.args(["-qAt", "-v", "ON_ERROR_STOP=1", "-c", sql]).stdin(Stdio::null());
        let output = command.output().with_context(|| self.cannot_run())?;
        if !output.status.success() {
            bail!("{sql}: {}", String::from_utf8_lossy(&output.stderr).trim_end());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Starts a client that goes through a file of statements, past errors.
    pub(super) fn start(&self, name: &str, script: &Path) -> anyhow::Result<Client> {
        let script = File::open(script).with_context(|| format!("{}", script.display()))?;
        let child = self.command(name).stdin(script).spawn().with_context(|| self.cannot_run())?;
        Ok(Client(Some(child)))
    }

    /// A psql that connects nowhere else than here, whatever the environment and the user's own
    /// files say.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        for (variable, _) in env::vars_os() {
            if variable.to_string_lossy().starts_with("PG") {
                command.env_remove(variable);
            }
        }
        command
            .arg("-X")
            .env("PGHOST", self.address.ip().to_string())
            .env("PGPORT", self.address.port().to_string())
            .env("PGUSER", Throwaway::SUPERUSER)
            .env("PGDATABASE", Throwaway::SUPERUSER)
            .env("PGAPPNAME", name)
            .env("PGCLIENTENCODING", "UTF8")
            .env("PGCONNECT_TIMEOUT", "10")
            .env("PGOPTIONS", "-c statement_timeout=30s")
            .env("LC_ALL", "C")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn cannot_run(&self) -> String {
        format!("cannot run {}", self.program.display())
    }
}

/// A running psql, killed if nobody waits for its end.
#[derive(Debug)]
pub(super) struct Client(Option<Child>);

impl Client {
    /// What it printed, when it has ended.
    pub(super) fn finish(mut self) -> io::Result<Output> {
        match self.0.take() {
            Some(child) => child.wait_with_output(),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
