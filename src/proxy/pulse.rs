//! Whether the threads that clients depend on still do their work.

use std::fmt;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

/// The threads. Each is asked to do something beside its sessions: one that is stuck in a session, or
/// gone, does not.
#[derive(Debug, Default)]
pub(super) struct Pulse(Mutex<Vec<(Duty, Arc<dyn Answers>)>>);

/// A thread, as it can be asked whether it works.
pub(super) trait Answers: fmt::Debug + Send + Sync {
    /// Has it answer, if it does.
    fn ask(&self, answer: Sender<()>);
}

impl Answers for Handle {
    fn ask(&self, answer: Sender<()>) {
        self.spawn(async move {
            // Who asked may have given up.
            let _ = answer.send(());
        });
    }
}

/// What a thread is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Duty {
    /// To let clients in, until the proxy stops.
    Accept,
    /// To serve them, until the last of its sessions has ended.
    Serve,
}

/// What the proxy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// A thread that is gone has failed.
    Runs,
    /// A thread that is gone has ended, as it was told to.
    Stops,
}

impl Pulse {
    /// From here on this one is asked too.
    pub(super) fn watch(&self, duty: Duty, thread: &(impl Answers + Clone + 'static)) {
        let thread = Arc::new(thread.clone());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((duty, thread));
    }

    /// Whether all answer within this time, which the calling thread waits for.
    pub(super) fn beats(&self, within: Duration, phase: Phase) -> bool {
        let until = Instant::now() + within;
        let (answer, answers) = channel();
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        threads.retain(|(duty, _)| phase == Phase::Runs || *duty == Duty::Serve);
        for (_, thread) in &threads {
            thread.ask(answer.clone());
        }
        drop(answer);
        for _ in threads {
            match answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => return false,
                // Whoever has not answered never will.
                Err(RecvTimeoutError::Disconnected) => return phase == Phase::Stops,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::runtime::{Builder, Runtime};
    use tokio::sync::oneshot;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);
    const SHORT: Duration = Duration::from_millis(50);

    fn runtime(pulse: &Pulse, duty: Duty) -> Runtime {
        let runtime = Builder::new_current_thread().build().unwrap();
        pulse.watch(duty, runtime.handle());
        runtime
    }

    #[test]
    fn threads_that_work_answer() {
        let pulse = Pulse::default();
        let mut stops = Vec::new();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (stop, stopped) = oneshot::channel::<()>();
                stops.push(stop);
                let runtime = runtime(&pulse, Duty::Serve);
                thread::spawn(move || runtime.block_on(stopped))
            })
            .collect();
        assert!(pulse.beats(LONG, Phase::Runs));
        drop(stops);
        for thread in threads {
            thread.join().unwrap().unwrap_err();
        }
        assert!(!pulse.beats(LONG, Phase::Runs));
        assert!(pulse.beats(LONG, Phase::Stops));
    }

    #[test]
    fn one_that_is_stuck_does_not_and_what_comes_after_makes_it_good() {
        let pulse = Pulse::default();
        let (stop, stopped) = oneshot::channel::<()>();
        let (free, stuck) = channel::<()>();
        let runtime = runtime(&pulse, Duty::Serve);
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                stuck.recv().unwrap_err();
                stopped.await.unwrap_err();
            });
        });
        assert!(!pulse.beats(SHORT, Phase::Runs));
        assert!(!pulse.beats(SHORT, Phase::Stops));
        drop(free);
        assert!(pulse.beats(LONG, Phase::Runs));
        drop(stop);
        thread.join().unwrap();
    }

    #[test]
    fn nobody_has_to_let_clients_in_while_the_proxy_stops() {
        let pulse = Pulse::default();
        let _nobody_runs_it = runtime(&pulse, Duty::Accept);
        assert!(!pulse.beats(SHORT, Phase::Runs));
        assert!(pulse.beats(SHORT, Phase::Stops));
    }
}
