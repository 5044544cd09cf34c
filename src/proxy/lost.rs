//! Log lines that were lost: whoever writes the log counts them, and the metrics tell.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// How many log lines were lost so far.
#[derive(Clone, Default)]
pub struct LostLines(Arc<Counts>);

#[derive(Default)]
struct Counts {
    /// Lines that could not be written.
    unwritten: AtomicU64,
    /// Tells how many found no place in the queue.
    dropped: OnceLock<Box<dyn Fn() -> u64 + Send + Sync>>,
}

impl LostLines {
    /// Lines that find no place in the queue are counted elsewhere: the first to say so is asked.
    pub fn is_told_by(&self, dropped: impl Fn() -> u64 + Send + Sync + 'static) {
        self.0.dropped.get_or_init(|| Box::new(dropped));
    }

    /// A line could not be written.
    pub fn add(&self) {
        self.0.unwritten.fetch_add(1, Ordering::Relaxed);
    }

    /// How many so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        let dropped = self.0.dropped.get().map_or(0, |dropped| dropped());
        dropped + self.0.unwritten.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for LostLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LostLines").field(&self.count()).finish()
    }
}
