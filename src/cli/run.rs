//! `pgabsorb run`: the proxy, until a signal stops it.

use std::path::Path;
use std::{fs, io, io::Write as _};

use anyhow::{Context as _, bail};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{self, Address, Config, Overrides};
use crate::proxy::{Proxy, Settings};

use super::logging;

/// Reads the rules file, binds, says so in one line on standard error, and serves until SIGTERM
/// or SIGINT.
pub fn run(path: &Path, overrides: &Overrides) -> anyhow::Result<()> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    let Config { settings, rules } = match config::parse(&text, overrides) {
        Ok(config) => config,
        Err(mistakes) => bail!("{}", mistakes.in_file(&name)),
    };
    let _flushed_at_end = logging::start(&settings.log)?;
    let upstream = settings.upstream.clone();
    let proxy = Proxy::bind(Settings {
        listen: settings.listen,
        upstream: settings.upstream,
        limits: settings.limits,
        rules,
        key_values: settings.log.key_values,
    })?;
    let addresses = list(&proxy.addresses());
    let ready = format!("pgabsorb ready: listening on {addresses}, forwarding to {upstream}");
    proxy.run(stopped(&ready))?;
    say("pgabsorb stopped");
    Ok(())
}

/// Says that the proxy is ready, now that it can be stopped; resolves at SIGTERM or SIGINT.
async fn stopped(ready: &str) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("no signal handler could be installed: only SIGKILL stops this process");
        say(ready);
        return std::future::pending().await;
    };
    say(ready);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// One line on standard error; that nobody is there to read it is no reason to end.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn list(addresses: &[Address]) -> String {
    addresses.iter().map(Address::to_string).collect::<Vec<_>>().join(", ")
}
