//! What a service manager is told, if there is one, in the words of
//! [systemd](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html).

use std::time::Instant;
use std::{io, thread};

use sd_notify::NotifyState::{self, Ready, Reloading, Status, Stopping, Watchdog};

use crate::proxy::{Handle, Stop};

/// The proxy serves, and this is how.
pub(super) fn ready(status: &str) {
    tell(&[Ready, Status(status)]);
}

/// The rules are being read again; [`ready`] says that this is over.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[Reloading, now, Status("reading the rules again")]),
        Err(error) => tracing::warn!(%error, "there is no clock to tell of a reload with"),
    }
}

/// The proxy is on its way to its end.
pub(super) fn stopping(how: Stop) {
    let status = match how {
        Stop::Drain => "draining: sessions end between their transactions",
        Stop::Now => "stopping: sessions end at once",
    };
    tell(&[Stopping, Status(status)]);
}

/// Tells a watchdog, where there is one, that all is well, for as long as the proxy's threads answer:
/// twice in the time that it waits.
pub(super) fn watch(proxy: Handle) -> io::Result<()> {
    let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) else {
        return Ok(());
    };
    let period = limit / 2;
    let watch = move || {
        loop {
            let next = Instant::now() + period;
            if proxy.answers(period) {
                tell(&[Watchdog]);
            } else {
                tracing::error!(
                    ?period,
                    "a thread that serves clients does not answer: the watchdog is told nothing"
                );
            }
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    };
    thread::Builder::new().name("watchdog".to_owned()).spawn(watch).map(drop)
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told: NOTIFY_SOCKET is of no use");
    }
}
