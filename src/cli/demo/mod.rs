//! `pgabsorb demo`: webhooks that are delivered several times, first straight at a PostgreSQL of
//! its own, then at a proxy before it. Also a test: whatever is not as it should be ends it with
//! status 1.
//!
//! Nothing is left behind, however it ends. The proxy is part of this process; its log is in the
//! server's directory; and the server, with that directory, goes when this process does, even by
//! SIGKILL (see [`throwaway`](super::throwaway)).

mod conflicts;
mod deliveries;
mod events;
mod programs;
mod psql;
mod stand;
mod story;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::run::Signals;

/// Tells the story on standard output. A person who is kept waiting may stop it with Ctrl-C.
pub fn demo() -> anyhow::Result<ExitCode> {
    let psql = programs::psql()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(watch(psql))
}

/// Waits for the end of the story, for a signal, or until it has taken too long.
async fn watch(psql: PathBuf) -> anyhow::Result<ExitCode> {
    let halt = Halt::default();
    let mut story = pin!(begin(psql, halt.clone()));
    let mut signals = Signals::new(|| {});
    let interrupted = tokio::select! {
        // In this order: signals are heard before there is anything to clean up.
        biased;
        _ = signals.stop() => true,
        () = hung_up() => true,
        result = &mut story => return result.map(|()| ExitCode::SUCCESS),
        () = tokio::time::sleep(LIMIT) => false,
    };
    halt.raise();
    // Should even this take too long, the end of this process stops the server.
    let _ = tokio::time::timeout(GRACE, story).await;
    if interrupted {
        // The terminal may be gone.
        let _ = writeln!(io::stderr(), "pgabsorb demo: interrupted");
        return Ok(ExitCode::from(INTERRUPTED));
    }
    bail!("the demo was not done after {LIMIT:?}")
}

/// Resolves at SIGHUP: the terminal was closed.
async fn hung_up() {
    match signal(SignalKind::hangup()) {
        Ok(mut hangup) => drop(hangup.recv().await),
        Err(_) => std::future::pending().await,
    }
}

/// The story, in a thread of its own: it waits for processes.
async fn begin(psql: PathBuf, halt: Halt) -> anyhow::Result<()> {
    let (finish, finished) = oneshot::channel();
    thread::spawn(move || {
        // All that was started is gone when `tell` returns. Nobody may listen any more.
        let _ = finish.send(story::tell(&psql, &halt, &mut io::stdout()));
    });
    finished.await.context("the demo ended in a panic")?
}

/// Tells the story's thread to end.
#[derive(Debug, Clone, Default)]
struct Halt(Arc<AtomicBool>);

impl Halt {
    fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Fails once it is raised.
    fn check(&self) -> anyhow::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("told to stop");
        }
        Ok(())
    }
}

/// A story takes about three seconds.
const LIMIT: Duration = Duration::from_mins(2);
/// How long a step of the story may take to its end.
const GRACE: Duration = Duration::from_secs(10);
/// What shells make of a SIGINT.
const INTERRUPTED: u8 = 130;
