//! How much memory is used: what is fuzzed has to do with as much as its input allows for.

use std::alloc::System;
use std::panic;
use std::sync::Once;

use cap::Cap;

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// Runs something that may hold so many bytes at once, beyond those that are there already. Whoever
/// asks for more ends the process, with a trace that shows who it was.
pub fn within<T>(bytes: usize, run: impl FnOnce() -> T) -> T {
    PANICS_ARE_FREE.call_once(|| {
        let told = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            lift();
            told(panic);
        }));
    });
    let limit = HEAP.allocated().saturating_add(bytes);
    HEAP.set_limit(limit).expect("it is more than there is");
    let result = run();
    lift();
    result
}

/// To tell what has gone wrong takes memory too.
static PANICS_ARE_FREE: Once = Once::new();

fn lift() {
    HEAP.set_limit(usize::MAX).expect("nothing is more");
}

/// The bytes that something holds.
pub fn held_by<T>(value: T) -> usize {
    let before = HEAP.allocated();
    drop(value);
    before - HEAP.allocated()
}
