//! Wishes for the rules file to be read again, from who asks over HTTP to who reads it.

use tokio::sync::{Mutex, mpsc, oneshot};

/// What came of it: a line for whoever has asked.
pub type Reloaded = Result<String, String>;

/// Wishes that may wait; whoever comes then is sent away.
const WAITING: usize = 4;

/// Both ends of the way.
#[derive(Debug)]
pub(super) struct Reloads {
    asks: mpsc::Sender<oneshot::Sender<Reloaded>>,
    asked: Mutex<mpsc::Receiver<oneshot::Sender<Reloaded>>>,
}

impl Default for Reloads {
    fn default() -> Self {
        let (asks, asked) = mpsc::channel(WAITING);
        Self { asks, asked: Mutex::new(asked) }
    }
}

impl Reloads {
    /// Asks, and waits for what comes of it; `None` if nobody reads it now.
    pub(super) async fn ask(&self) -> Option<Reloaded> {
        let (told, tells) = oneshot::channel();
        self.asks.try_send(told).ok()?;
        tells.await.ok()
    }

    /// The next wish: what came of it is to be sent there.
    pub(super) async fn next(&self) -> oneshot::Sender<Reloaded> {
        match self.asked.lock().await.recv().await {
            Some(told) => told,
            // The other end lives as long as this one.
            None => std::future::pending().await,
        }
    }
}
