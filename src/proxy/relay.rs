//! The relay: one thread's loop over the sessions whose clients are logged in, on sockets without TLS.
//!
//! A session that goes on does nothing but read, decide and write, so it takes no task: an entry in a
//! table, woken by the number that the kernel gives back. What takes time or several steps stays with the
//! worker's runtime, from which a session comes and to which it goes back to end.
//!
//! ```text
//!   epoll ─▶ events: each marks a socket, and queues its session once
//!             │
//!             ▼
//!           queue: each session takes its turn; one that has more to do than a turn allows is
//!             │    queued again, behind the others
//!             ▼
//!           an end ─▶ the worker's runtime, which says goodbye
//! ```

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Token};
use slab::Slab;
use tokio::runtime::Handle;

use super::connection::{End, Peer, READ_SIZE};
use super::established::Established;
use super::pulse::Answers;

/// Events that are taken from the kernel at once.
const EVENTS: usize = 1024;

/// What has been said to the relay, not to one of its sessions.
const ORDERS: Token = Token(usize::MAX);

/// What a relay is told.
#[derive(Debug)]
enum Order {
    /// A session goes on here.
    Take(Box<Established>),
    /// Sessions end between their transactions.
    Drain,
    /// Sessions end.
    Stop,
    /// The thread ends: the worker's runtime, where sessions come from and go to, has ended.
    Quit,
    /// Answer, if you can.
    Answer(Sender<()>),
}

/// A relay's thread, from outside.
#[derive(Debug)]
pub(super) struct Relay {
    orders: Orders,
    thread: JoinHandle<()>,
}

/// The way to tell a relay something.
#[derive(Clone, Debug)]
pub(super) struct Orders {
    sender: Sender<Order>,
    waker: Arc<mio::Waker>,
}

impl Relay {
    /// Starts a thread, whose sessions end on a runtime.
    pub(super) fn start(number: usize, runtime: Handle) -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), ORDERS)?);
        let (sender, orders) = mpsc::channel();
        let hall = Hall {
            poll,
            orders,
            runtime,
            sessions: Slab::new(),
            queue: VecDeque::new(),
            scratch: vec![0; READ_SIZE],
            again: Arc::default(),
            phase: Phase::Runs,
        };
        let thread = thread::Builder::new().name(format!("relay-{number}")).spawn(|| hall.run())?;
        Ok(Self { orders: Orders { sender, waker }, thread })
    }

    pub(super) fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Ends the thread, and what sessions it has left.
    pub(super) fn quit(self) {
        self.orders.tell(Order::Quit).unwrap_or_else(drop);
        if self.thread.join().is_err() {
            tracing::error!("a relay ended in a panic");
        }
    }
}

impl Orders {
    /// Has a session go on there; it comes back if there is no relay any more.
    pub(super) fn take(&self, session: Box<Established>) -> Result<(), Box<Established>> {
        match self.tell(Order::Take(session)) {
            Err(Order::Take(session)) => Err(session),
            _ => Ok(()),
        }
    }

    /// Sessions end between their transactions from here on.
    pub(super) fn drain(&self) {
        self.tell(Order::Drain).unwrap_or_else(drop);
    }

    /// Sessions end from here on.
    pub(super) fn stop(&self) {
        self.tell(Order::Stop).unwrap_or_else(drop);
    }

    /// A relay that has ended hears nothing.
    fn tell(&self, order: Order) -> Result<(), Order> {
        self.sender.send(order).map_err(|unsent| unsent.0)?;
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "a relay could not be woken");
        }
        Ok(())
    }
}

impl Answers for Orders {
    fn ask(&self, answer: Sender<()>) {
        self.tell(Order::Answer(answer)).unwrap_or_else(drop);
    }
}

/// How sessions go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Runs,
    Drains,
    Stops,
    Over,
}

/// The loop's own.
#[derive(Debug)]
struct Hall {
    poll: mio::Poll,
    orders: Receiver<Order>,
    runtime: Handle,
    sessions: Slab<Place>,
    /// Sessions that have something to do.
    queue: VecDeque<usize>,
    /// The buffer that they read into.
    scratch: Vec<u8>,
    /// Whether the one whose turn it is has more to do than a turn allows.
    again: Arc<Again>,
    phase: Phase,
}

/// A session's place in the table.
#[derive(Debug)]
struct Place {
    session: Box<Established>,
    is_queued: bool,
}

#[derive(Debug, Default)]
struct Again(AtomicBool);

impl Wake for Again {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Hall {
    fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        let waker = Waker::from(Arc::clone(&self.again));
        while self.phase != Phase::Over {
            let wait = if self.queue.is_empty() { None } else { Some(Duration::ZERO) };
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    tracing::error!(%error, "a relay cannot wait for its sockets");
                    return;
                }
                _ => {}
            }
            for event in &events {
                self.mark(event);
            }
            // Who is queued meanwhile has to wait for what the kernel has to say.
            for _ in 0..self.queue.len() {
                if let Some(key) = self.queue.pop_front() {
                    self.turn(key, &mut Context::from_waker(&waker));
                }
            }
        }
    }

    /// The kernel has told something of a socket.
    fn mark(&mut self, event: &Event) {
        let Token(number) = event.token();
        if event.token() == ORDERS {
            return self.hear();
        }
        let (key, peer) = (number / 2, if number % 2 == 0 { Peer::Client } else { Peer::Server });
        if let Some(place) = self.sessions.get_mut(key) {
            place.session.connection.has_changed(peer, event);
            self.enqueue(key);
        }
    }

    fn enqueue(&mut self, key: usize) {
        if let Some(place) = self.sessions.get_mut(key).filter(|place| !place.is_queued) {
            place.is_queued = true;
            self.queue.push_back(key);
        }
    }

    /// A session does what there is to do. One that panics is gone, and its sockets with it.
    fn turn(&mut self, key: usize, cx: &mut Context<'_>) {
        let Some(place) = self.sessions.get_mut(key) else { return };
        place.is_queued = false;
        let Established { connection, log, .. } = &mut *place.session;
        let scratch = &mut self.scratch;
        match catch_unwind(AssertUnwindSafe(|| connection.poll(cx, scratch, log))) {
            Ok(Poll::Pending) if self.again.0.swap(false, Ordering::Relaxed) => self.enqueue(key),
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(end)) => self.end(key, Some(end)),
            Err(_) => drop(self.sessions.remove(key)),
        }
    }

    /// A session goes back to where it came from; `end` is none where the proxy ends.
    fn end(&mut self, key: usize, end: Option<End>) {
        let Some(place) = self.sessions.try_remove(key) else { return };
        let mut session = place.session;
        if let Err(error) = session.connection.leave(self.poll.registry()) {
            return session.log.lost(&error);
        }
        self.runtime.spawn(session.finish(end, None));
    }

    /// What has been said to the relay.
    fn hear(&mut self) {
        loop {
            match self.orders.try_recv() {
                Ok(Order::Take(session)) => self.take(session),
                Ok(Order::Drain) => self.drain(),
                Ok(Order::Stop) => self.stop(),
                Ok(Order::Answer(answer)) => {
                    // Who asked may have given up.
                    let _ = answer.send(());
                }
                Ok(Order::Quit) | Err(TryRecvError::Disconnected) => {
                    self.phase = Phase::Over;
                    return;
                }
                Err(TryRecvError::Empty) => return,
            }
        }
    }

    fn take(&mut self, mut session: Box<Established>) {
        let vacant = self.sessions.vacant_entry();
        let key = vacant.key();
        let tokens = (Token(2 * key), Token(2 * key + 1));
        if let Err(error) = session.connection.enter(self.poll.registry(), tokens) {
            return session.log.lost(&error);
        }
        if self.phase == Phase::Drains {
            session.connection.drain();
        }
        vacant.insert(Place { session, is_queued: false });
        if self.phase == Phase::Stops { self.end(key, None) } else { self.enqueue(key) }
    }

    fn drain(&mut self) {
        self.phase = Phase::Drains;
        for key in self.keys() {
            if let Some(place) = self.sessions.get_mut(key) {
                place.session.connection.drain();
            }
            self.enqueue(key);
        }
    }

    fn stop(&mut self) {
        self.phase = Phase::Stops;
        for key in self.keys() {
            self.end(key, None);
        }
    }

    fn keys(&self) -> Vec<usize> {
        self.sessions.iter().map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests;
