//! What the sessions keep of what they were sent, in all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::metrics::counter::Counter;

use super::refusal::Refusal;

/// Bytes are counted in steps of so many, so that a session that keeps a few does not touch what all
/// workers share.
const STEP: usize = 16 * 1024;

/// All sessions' memory.
#[derive(Debug)]
pub(super) struct Memory {
    steps: AtomicUsize,
    limit: usize,
    waits: Counter,
}

impl Memory {
    pub(super) fn new(limit: usize, waits: Counter) -> Self {
        Self { steps: AtomicUsize::new(0), limit, waits }
    }

    /// Bytes that are kept, in steps.
    pub(super) fn held(&self) -> usize {
        self.steps.load(Ordering::Relaxed) * STEP
    }

    /// Whether that is more than it may be.
    pub(super) fn is_over(&self) -> bool {
        self.held() > self.limit
    }

    /// An error if nobody else may come.
    pub(super) fn admit(&self) -> Result<(), Refusal> {
        if self.is_over() { Err(Refusal::OutOfMemory(self.limit)) } else { Ok(()) }
    }
}

/// One session's part.
#[derive(Debug)]
pub(super) struct Account {
    memory: Arc<Memory>,
    steps: usize,
    waits: bool,
}

impl Account {
    pub(super) fn new(memory: &Arc<Memory>) -> Self {
        Self { memory: Arc::clone(memory), steps: 0, waits: false }
    }

    /// The session keeps so many bytes now, and its client waits because they are too many, or not.
    pub(super) fn keeps(&mut self, bytes: usize, waits: bool) {
        let steps = bytes / STEP;
        if steps > self.steps {
            self.memory.steps.fetch_add(steps - self.steps, Ordering::Relaxed);
        } else if steps < self.steps {
            self.memory.steps.fetch_sub(self.steps - steps, Ordering::Relaxed);
        }
        self.steps = steps;
        if waits && !self.waits {
            self.memory.waits.inc();
        }
        self.waits = waits;
    }

    /// Whether all sessions together keep more than they may.
    pub(super) fn is_over(&self) -> bool {
        self.memory.is_over()
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.keeps(0, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sessions_keep_is_counted_in_and_out() {
        let waits = Counter::default();
        let memory = Arc::new(Memory::new(10 * STEP, waits.clone()));
        let (mut one, mut other) = (Account::new(&memory), Account::new(&memory));
        one.keeps(STEP - 1, false);
        assert_eq!(memory.held(), 0, "a session that keeps a few bytes");
        one.keeps(6 * STEP + 1, true);
        other.keeps(4 * STEP, true);
        assert!(!memory.is_over() && memory.admit().is_ok());
        other.keeps(5 * STEP, true);
        assert!(memory.is_over() && memory.admit().is_err());
        assert_eq!(waits.get(), 2, "once for each time that it waits");
        one.keeps(0, false);
        assert_eq!(memory.held(), 5 * STEP);
        drop((one, other));
        assert_eq!(memory.held(), 0);
    }
}
