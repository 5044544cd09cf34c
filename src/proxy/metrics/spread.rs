//! Numbers that all workers add to, many times in each transaction.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;
use prometheus_client::metrics::counter::{Atomic, Counter};

/// A counter whose additions stay with the thread that makes them.
pub(in crate::proxy) type Spread = Counter<u64, Places>;

/// A place for each thread, so that two that count do not take a line of memory from each other each
/// time; beyond [`PLACES`] threads, some share one.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Places([CachePadded<AtomicU64>; PLACES]);

const PLACES: usize = 16;

impl Atomic<u64> for Places {
    fn inc(&self) -> u64 {
        self.inc_by(1)
    }

    /// Returns what this thread's place has had before.
    fn inc_by(&self, count: u64) -> u64 {
        let place = PLACE.get() % PLACES;
        self.0.get(place).map_or(0, |number| number.fetch_add(count, Ordering::Relaxed))
    }

    fn get(&self) -> u64 {
        self.0.iter().map(|number| number.load(Ordering::Relaxed)).sum()
    }
}

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Counts the threads that have counted something.
    static PLACE: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed));
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn what_all_threads_have_counted_is_told() {
        let counter = Spread::default();
        let threads: Vec<_> = (0..2 * PLACES)
            .map(|_| {
                let counter = counter.clone();
                thread::spawn(move || {
                    for _ in 0..100 {
                        counter.inc_by(2);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        counter.inc();
        assert_eq!(counter.get(), 2 * 2 * 100 * PLACES as u64 + 1);
    }
}
