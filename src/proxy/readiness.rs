//! Whether a client that comes now could be served.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Shared;
use super::refusal::Refusal;
use super::upstream::{Search, reach};

/// How long the server may take to accept a connection, where `[limits] connect_timeout` is not
/// shorter.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How long an answer is good: however many ask, the server is asked no more often.
const LIFETIME: Duration = Duration::from_secs(1);

/// What is known of the server.
#[derive(Debug, Default)]
pub(super) struct Readiness(Mutex<Option<Answer>>);

#[derive(Debug)]
struct Answer {
    until: Instant,
    reached: Result<(), Arc<Refusal>>,
}

impl Readiness {
    /// What a client would be told; those who ask while the server is being asked wait for the same
    /// answer.
    pub(super) async fn now(&self, shared: &Shared) -> Result<(), Arc<Refusal>> {
        if shared.is_leaving.load(Ordering::Relaxed) {
            return Err(Arc::new(Refusal::Stopping));
        }
        let mut known = self.0.lock().await;
        if let Some(answer) = known.as_ref().filter(|it| Instant::now() < it.until) {
            return answer.reached.clone();
        }
        // PostgreSQL logs nothing of a connection that sends nothing, unless log_connections is on.
        let limit = TIMEOUT.min(shared.limits.connect_timeout);
        let reached = reach_any(shared, limit).await.map_err(Arc::new);
        *known = Some(Answer { until: Instant::now() + LIFETIME, reached: reached.clone() });
        reached
    }
}

/// Whether some server can be reached.
async fn reach_any(shared: &Shared, limit: Duration) -> Result<(), Refusal> {
    let mut search = Search::new(shared);
    while let Some(server) = search.next() {
        match reach(shared, server, limit).await {
            Ok(_) => return Ok(()),
            Err(refusal) => search.refused(refusal),
        }
    }
    Err(search.refusal())
}
