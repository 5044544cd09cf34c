//! A worker: a thread with a runtime, where clients arrive, log in and leave, and beside it a relay, where
//! those that are logged in go on.

use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::Shared;
use super::connection::READ_SIZE;
use super::pulse::Duty;
use super::relay::{self, Relay};
use super::socket::{Detached, Socket};
use super::startup;

/// Connections that may wait for a worker to take them over; behind them, nothing is accepted.
const ARRIVALS: usize = 256;

/// How long the sessions have to say goodbye when the proxy stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What the connections on a worker's runtime share.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) shared: Arc<Shared>,
    /// The buffer that they read into.
    pub(super) scratch: Mutex<Vec<u8>>,
    /// Where those go on that are logged in, without TLS.
    pub(super) relay: relay::Orders,
}

/// Hands a client to a worker.
pub(super) async fn assign(client: Socket, peer: String, workers: &[Worker]) {
    let loads = workers.iter().map(Worker::rank);
    let Some(worker) = choose(loads).and_then(|chosen| workers.get(chosen)) else { return };
    match client.detach() {
        Ok(client) => worker.take(client, peer).await,
        Err(error) => tracing::warn!(%error, client = peer, "a client could not be handed on"),
    }
}

/// So many connections share a worker before another gets any: it finds more to do each time that it
/// wakes, and wakes less often.
const FEW: usize = 8;

/// The load of a worker whose thread has ended: it is the last to be chosen.
const GONE: usize = usize::MAX;

/// The worker for the next connection, by the connections that each has: while all have few, the one with
/// the most, and else the one with the fewest.
fn choose(loads: impl Iterator<Item = usize> + Clone) -> Option<usize> {
    let few = loads.clone().all(|load| load < FEW || load == GONE);
    let rank = |load: usize| if few && load != GONE { FEW - load } else { load };
    loads.enumerate().min_by_key(|(_, load)| rank(*load)).map(|(number, _)| number)
}

/// A thread with a runtime of its own, its relay, and the connections on both.
pub(super) struct Worker {
    thread: thread::JoinHandle<()>,
    clients: mpsc::Sender<(Detached, String)>,
    /// Connections given to it and not yet closed.
    pub(super) load: Arc<AtomicUsize>,
}

impl Worker {
    /// Starts its threads.
    pub(super) fn start(number: usize, shared: &Arc<Shared>) -> io::Result<Self> {
        let (clients, arrivals) = mpsc::channel(ARRIVALS);
        let load = Arc::new(AtomicUsize::new(0));
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let relay = Relay::start(number, runtime.handle().clone())?;
        shared.pulse.watch(Duty::Serve, runtime.handle());
        shared.pulse.watch(Duty::Serve, relay.orders());
        let desk = Arc::new(Desk {
            shared: Arc::clone(shared),
            scratch: Mutex::new(vec![0; READ_SIZE]),
            relay: relay.orders().clone(),
        });
        let work = work(desk, Arc::clone(&load), arrivals);
        let thread = thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            runtime.block_on(work);
            // A name that is still being looked up is not waited for.
            runtime.shutdown_background();
            relay.quit();
        })?;
        Ok(Self { thread, clients, load })
    }

    async fn take(&self, client: Detached, peer: String) {
        self.load.fetch_add(1, Ordering::Relaxed);
        if self.clients.send((client, peer)).await.is_err() {
            self.load.fetch_sub(1, Ordering::Relaxed);
            tracing::error!("a client was dropped: its worker is gone");
        }
    }

    /// What [`choose`] goes by.
    fn rank(&self) -> usize {
        if self.clients.is_closed() { GONE } else { self.load.load(Ordering::Relaxed) }
    }

    /// Lets nobody in any more, and waits for its end.
    pub(super) fn join(self) {
        drop(self.clients);
        if self.thread.join().is_err() {
            tracing::error!("a worker ended in a panic");
        }
    }
}

async fn work(
    desk: Arc<Desk>,
    load: Arc<AtomicUsize>,
    mut arrivals: mpsc::Receiver<(Detached, String)>,
) {
    tokio::spawn(tell_the_relay(Arc::clone(&desk)));
    let tasks = TaskTracker::new();
    while let Some((client, peer)) = arrivals.recv().await {
        let departure = Departure { load: Arc::clone(&load), _awaited: tasks.token() };
        match client.attach() {
            Ok(client) => {
                tasks.spawn(startup::serve(Arc::clone(&desk), client, peer, departure));
            }
            Err(error) => tracing::warn!(%error, client = peer, "a client could not be taken over"),
        }
    }
    tasks.close();
    if tokio::time::timeout(STOP_TIMEOUT, tasks.wait()).await.is_err() {
        tracing::warn!(sessions = load.load(Ordering::Relaxed), "sessions were cut off");
    }
}

/// Tells the relay that the proxy comes to its end.
async fn tell_the_relay(desk: Arc<Desk>) {
    let Shared { draining, stopping, .. } = &*desk.shared;
    stopping.or(draining.or(pending::<()>())).await;
    if draining.is_said() {
        desk.relay.drain();
        stopping.or(pending::<()>()).await;
    }
    desk.relay.stop();
}

/// Counts a connection out, also when what serves it panics.
#[derive(Debug)]
pub(super) struct Departure {
    load: Arc<AtomicUsize>,
    /// The worker waits for it when the proxy ends.
    _awaited: TaskTrackerToken,
}

#[cfg(test)]
impl Departure {
    /// One that no worker counts.
    pub(super) fn of_nobody() -> Self {
        Self { load: Arc::new(AtomicUsize::new(1)), _awaited: TaskTracker::new().token() }
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_few_share_a_worker_and_many_are_spread() {
        let mut loads = [0; 3];
        let mut next = |count| {
            for _ in 0..count {
                let chosen = choose(loads.iter().copied()).unwrap();
                loads[chosen] += 1;
            }
            loads
        };
        assert_eq!(next(8), [8, 0, 0]);
        assert_eq!(next(2), [8, 1, 1]);
        assert_eq!(next(90), [34, 33, 33]);
        assert_eq!(choose([3, 5, 0].into_iter()), Some(1), "who is left is joined");
        assert_eq!(choose([3, 9, 2].into_iter()), Some(2));
        assert_eq!(choose([GONE, 1, 4].into_iter()), Some(2), "who is gone is left out");
        assert_eq!(choose([9, GONE, 9].into_iter()), Some(0));
        assert_eq!(choose([].into_iter()), None);
    }
}
