//! The listeners' life, and the proxy's way to its end: nobody is sent here any more, then nobody is
//! let in any more, then the sessions end one after the other between their transactions.

use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, interval, sleep, timeout};

use super::socket::Listener;
use super::worker::{Worker, assign};
use super::{ACCEPT_PAUSE, Shared};

/// How the proxy is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Sessions may come to the end of their transactions.
    Drain,
    /// At once.
    Now,
}

/// How often the connections that are left are counted.
const COUNT_INTERVAL: Duration = Duration::from_millis(20);

/// How often they are told.
const TELL_INTERVAL: Duration = Duration::from_secs(5);

/// Lets clients in until the proxy is to end, and then waits for them if it is to drain.
pub(super) async fn serve(
    shared: &Shared,
    listeners: Vec<Listener>,
    workers: &[Worker],
    mut stop: impl AsyncFnMut() -> Stop,
) {
    let drains = tokio::select! {
        biased;
        stop = stop() => stop == Stop::Drain,
        () = accept_all(&listeners, workers) => false,
    };
    if drains {
        tokio::select! {
            biased;
            _ = stop() => tracing::warn!("told to stop again: not draining any more"),
            () = drain(shared, listeners, workers) => {}
        }
    }
}

async fn drain(shared: &Shared, listeners: Vec<Listener>, workers: &[Worker]) {
    let (delay, limit) = (shared.limits.drain_delay, shared.limits.drain_timeout);
    shared.is_leaving.store(true, Ordering::Relaxed);
    shared.metrics.draining();
    tracing::info!(connections = connections(workers), ?delay, ?limit, "draining");
    tokio::select! {
        () = sleep(delay) => {}
        () = accept_all(&listeners, workers) => {}
    }
    shared.draining.say();
    for listener in listeners {
        close(listener, workers).await;
    }
    let emptied = timeout(limit, emptied(workers)).await;
    if emptied.is_ok() {
        tracing::info!("drained");
    } else {
        let connections = connections(workers);
        tracing::warn!(connections, ?limit, "[limits] drain_timeout is over: the rest is cut off");
    }
}

/// Closes a listener. Who was in its queue is let in first: the system would reset the connection.
async fn close(listener: Listener, workers: &[Worker]) {
    while let Ok(Ok((client, peer))) = timeout(Duration::ZERO, listener.accept()).await {
        assign(client, peer, workers).await;
    }
}

/// Waits until no connection is left, and tells now and then how many are.
async fn emptied(workers: &[Worker]) {
    let mut ticks = interval(COUNT_INTERVAL);
    let mut told = Instant::now();
    while connections(workers) > 0 {
        ticks.tick().await;
        if told.elapsed() >= TELL_INTERVAL {
            told = Instant::now();
            tracing::info!(connections = connections(workers), "draining");
        }
    }
}

fn connections(workers: &[Worker]) -> usize {
    workers.iter().map(|worker| worker.load.load(Ordering::Relaxed)).sum()
}

/// Hands the clients of all listeners to workers, for ever.
async fn accept_all(listeners: &[Listener], workers: &[Worker]) {
    forever(listeners.iter().map(|listener| accept(listener, workers))).await;
}

/// Polls endless futures side by side.
async fn forever(futures: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    poll_fn(|cx| -> Poll<()> {
        for future in &mut futures {
            // None of them ever ends.
            let _pending = future.as_mut().poll(cx);
        }
        Poll::Pending
    })
    .await;
}

/// Hands every client of a listener to a worker.
async fn accept(listener: &Listener, workers: &[Worker]) {
    loop {
        match listener.accept().await {
            Ok((client, peer)) => assign(client, peer, workers).await,
            Err(error) => {
                tracing::warn!(%error, "a client could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
