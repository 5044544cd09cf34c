//! The proxy's end, as every session waits for it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use tokio_util::sync::CancellationToken;

/// Said once, heard by all sessions.
///
/// A session looks at this each time it wakes. The token alone would make that a lock that all
/// workers share, so a flag in front of it says whether there is anything to ask the token.
#[derive(Debug, Default)]
pub(super) struct Stopping {
    said: AtomicBool,
    token: CancellationToken,
}

impl Stopping {
    /// Wakes everyone who waits.
    pub(super) fn say(&self) {
        self.said.store(true, Ordering::Release);
        self.token.cancel();
    }

    /// Whether it has been said.
    pub(super) fn is_said(&self) -> bool {
        self.said.load(Ordering::Acquire)
    }

    /// Runs something to its end, or until stopping is said: then there is no output.
    pub(super) async fn or<T>(&self, running: impl Future<Output = T>) -> Option<T> {
        let mut running = pin!(running);
        let mut said = pin!(self.token.cancelled());
        let mut waits = false;
        poll_fn(|cx| {
            if let Poll::Ready(output) = running.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            if waits && !self.is_said() {
                return Poll::Pending;
            }
            waits = true;
            said.as_mut().poll(cx).map(|()| None)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn what_ends_before_has_its_output() {
        assert_eq!(Stopping::default().or(ready(1)).await, Some(1));
    }

    #[tokio::test]
    async fn what_never_ends_is_left_when_stopping_is_said() {
        let stopping = Stopping::default();
        let (left, ()) = tokio::join!(stopping.or(pending::<()>()), async {
            tokio::task::yield_now().await;
            stopping.say();
        });
        assert_eq!(left, None);
    }

    #[tokio::test]
    async fn who_comes_after_it_was_said_leaves_at_once() {
        let stopping = Stopping::default();
        stopping.say();
        assert_eq!(stopping.or(pending::<()>()).await, None);
    }
}
