//! The proxy's end, as every session on a runtime waits for it; those on a relay are told by an order.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

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
    pub(super) fn or<F: Future>(&self, running: F) -> Or<'_, F> {
        Or { running, said: self.token.cancelled(), stopping: self, waits: false }
    }
}

pin_project! {
    /// What [`Stopping::or`] gives. By hand, since an async function would keep what it runs twice.
    pub(super) struct Or<'a, F> {
        #[pin]
        running: F,
        #[pin]
        said: WaitForCancellationFuture<'a>,
        stopping: &'a Stopping,
        waits: bool,
    }
}

impl<F: Future> Future for Or<'_, F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.running.poll(cx) {
            return Poll::Ready(Some(output));
        }
        if *this.waits && !this.stopping.is_said() {
            return Poll::Pending;
        }
        *this.waits = true;
        this.said.poll(cx).map(|()| None)
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
