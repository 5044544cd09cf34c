//! `pgabsorb run`: the proxy, until a signal stops it.

use std::num::NonZero;
use std::path::Path;
use std::thread;
use std::{io, io::Write as _};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{self, Address, Config, Overrides};
use crate::proxy::access::Access;
use crate::proxy::inherited::Inherited;
use crate::proxy::{LostLines, Proxy, Settings, Stop};
use crate::rules::Ruleset;

use super::logging;
use super::reload::{self, File, Reload};
use super::service;

/// Reads the rules file, binds, says so in one line on standard error, and serves until SIGTERM
/// (its sessions end between transactions) or SIGINT (at once). At SIGHUP it reads the rules anew.
pub fn run(path: &Path, overrides: &Overrides) -> anyhow::Result<()> {
    // As long as there is one thread.
    let inherited = Inherited::from_environment()?;
    let File { config: Config { settings, rules, .. }, fingerprint } =
        reload::read(path, overrides)?;
    let log = logging::start(&settings.log)?;
    let upstream = list(&settings.upstream);
    let proxy = bind(settings.clone(), rules, log.lost_lines.clone(), fingerprint, inherited)?;
    let addresses = list(&proxy.addresses());
    let admin = proxy.admin_address().map(|it| format!(", admin on {it}")).unwrap_or_default();
    let ready = format!("listening on {addresses}, forwarding to {upstream}{admin}");
    let reload = Reload { path, overrides, settings, handle: proxy.handle() };
    service::watch(proxy.handle())?;
    let mut signals = None;
    proxy.run(async || {
        let told =
            async { signals.get_or_insert_with(|| Signals::new(|| announce(&ready))).stop().await };
        let stop = tokio::select! {
            // In this order: SIGHUP is heard before it is told that the proxy is ready.
            biased;
            never = reload.at_each_signal() => never,
            stop = told => stop,
        };
        service::stopping(stop);
        stop
    })?;
    say("pgabsorb stopped");
    Ok(())
}

fn announce(ready: &str) {
    say(&format!("pgabsorb ready: {ready}"));
    service::ready(ready);
}

/// A proxy as a rules file describes it, on sockets that are there already or its own.
pub(super) fn bind(
    settings: config::Settings,
    rules: Ruleset,
    lost_lines: LostLines,
    fingerprint: String,
    inherited: Vec<Inherited>,
) -> anyhow::Result<Proxy> {
    raise_descriptor_limit(&settings.limits);
    let access = Access::load(&settings)?;
    let proxy = Proxy::bind(Settings {
        listen: settings.listen,
        inherited,
        reuse_port: settings.reuse_port,
        access,
        upstream: settings.upstream,
        target_session_attrs: settings.target_session_attrs,
        admin_reload: settings.admin.as_ref().is_some_and(|it| it.reload),
        admin: settings.admin.map(|it| it.listen),
        fingerprint,
        limits: settings.limits,
        rules,
        key_values: settings.log.key_values,
        lost_lines,
    })?;
    Ok(proxy)
}

/// Two descriptors for each session, one for each client on its way to one, and some for the rest:
/// as many as the system lets us have.
fn raise_descriptor_limit(limits: &config::Limits) {
    let cores = thread::available_parallelism().map_or(1, NonZero::get) as u64;
    let spare = SPARE_DESCRIPTORS + cores * OF_A_WORKER;
    let wanted = 2 * limits.connections as u64 + limits.logins as u64 + spare;
    match rlimit::increase_nofile_limit(wanted) {
        Ok(limit) if limit < wanted => tracing::warn!(
            limit,
            wanted,
            "fewer descriptors than [limits] connections and logins need: raise ulimit -n or lower them"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the descriptor limit could not be raised"),
    }
}

/// Descriptors for listeners, logs, and connections that are not sessions.
const SPARE_DESCRIPTORS: u64 = 128;

/// Descriptors of the event queues of a worker and its relay.
const OF_A_WORKER: u64 = 8;

/// SIGTERM and SIGINT, which no longer end the process at once.
pub(super) struct Signals(Option<(Signal, Signal)>);

impl Signals {
    /// Hears them from here on, which `heard` is to tell.
    pub(super) fn new(heard: impl FnOnce()) -> Self {
        let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
        heard();
        let (Ok(terminate), Ok(interrupt)) = signals else {
            let event = "no signal handler could be installed: only SIGKILL stops this process";
            tracing::error!("{event}");
            return Self(None);
        };
        Self(Some((terminate, interrupt)))
    }

    /// The next one: a service manager's is for the sessions to come to an end, a person's is not.
    pub(super) async fn stop(&mut self) -> Stop {
        let Some((terminate, interrupt)) = &mut self.0 else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => Stop::Drain,
            _ = interrupt.recv() => Stop::Now,
        }
    }
}

/// One line on standard error; that nobody is there to read it is no reason to end.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn list(addresses: &[Address]) -> String {
    addresses.iter().map(Address::to_string).collect::<Vec<_>>().join(", ")
}
