//! The rules file, read at the start and again at each SIGHUP.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{self, Config, Overrides, Settings};
use crate::proxy::access::Access;
use crate::proxy::{Handle, Reloaded, fingerprint};

use super::service;

/// A file that was read, and had no mistakes.
pub(super) struct File {
    pub(super) config: Config,
    pub(super) fingerprint: String,
}

/// Reads a file that has no mistakes.
pub(super) fn read(path: &Path, overrides: &Overrides) -> anyhow::Result<File> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    match config::parse(&text, overrides) {
        Ok(config) => Ok(File { config, fingerprint: fingerprint(&text) }),
        Err(mistakes) => bail!("{}", mistakes.in_file(&name)),
    }
}

/// What reading the file again takes.
pub(super) struct Reload<'a> {
    pub(super) path: &'a Path,
    pub(super) overrides: &'a Overrides,
    /// As they were at the start.
    pub(super) settings: Settings,
    pub(super) handle: Handle,
}

impl Reload<'_> {
    /// Reads the file at each SIGHUP, and where it is asked for over HTTP; never ends.
    pub(super) async fn at_each_signal<T>(&self) -> T {
        let mut hangups = match signal(SignalKind::hangup()) {
            Ok(hangups) => hangups,
            Err(error) => {
                tracing::error!(%error, "SIGHUP cannot be heard: changed rules take a restart");
                return std::future::pending().await;
            }
        };
        loop {
            tokio::select! {
                Some(()) = hangups.recv() => {
                    // The log says what came of it.
                    let _ = self.reload_and_tell();
                }
                told = self.handle.asked_to_reload() => {
                    // Who has asked may be gone.
                    let _ = told.send(self.reload_and_tell());
                }
            }
        }
    }

    /// Reads the file again; the service manager is told when this begins, and what came of it.
    fn reload_and_tell(&self) -> Reloaded {
        service::reloading();
        let reloaded = self.reload();
        let (Ok(told) | Err(told)) = &reloaded;
        service::ready(told.lines().next().unwrap_or_default());
        reloaded
    }

    /// Puts the file's rules in force if it has no mistakes at all; else those of before stay.
    fn reload(&self) -> Reloaded {
        let file = self.path.display().to_string();
        let read = read(self.path, self.overrides);
        match read.and_then(|file| Ok((Access::load(&file.config.settings)?, file))) {
            Ok((access, File { config: Config { settings, rules, .. }, fingerprint })) => {
                self.handle.replace_access(access);
                let count = rules.rules().len();
                let generation = self.handle.replace_rules(rules, &fingerprint);
                let sha256 = fingerprint;
                tracing::info!(file, generation, rules = count, sha256, "rules reloaded");
                if takes_restart(&self.settings, settings) {
                    let event = "settings beside the rules, TLS and users have changed: they take a restart";
                    tracing::warn!(file, "{event}");
                }
                Ok(format!("rules reloaded: generation {generation}, rules {count}"))
            }
            Err(error) => {
                let error = format!("{error:#}");
                self.handle.reject_rules(&error);
                tracing::error!(file, error, "rules not reloaded: those of before stay in force");
                Err(format!("rules not reloaded: those of before stay in force\n{error}"))
            }
        }
    }
}

/// Whether there are changes beside the rules, TLS and users.
fn takes_restart(before: &Settings, now: Settings) -> bool {
    let (client_tls, server_tls) = (before.client_tls.clone(), before.server_tls.clone());
    *before != Settings { client_tls, server_tls, users: before.users.clone(), ..now }
}
