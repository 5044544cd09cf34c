//! The two sockets of one session: read a side, feed the session, write what it says, repeat; on a
//! relay, or as a task of the runtime.
//!
//! A side is read only while what waits to be written to the other is under a limit, and each
//! direction goes on while the other is stuck: that rule, here and nowhere else, is what bounds
//! the memory and prevents a deadlock. What is read passes through a buffer that the sessions
//! of a thread share; a session keeps bytes of its own only while a message is incomplete or a peer
//! is slow.

use std::future::poll_fn;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use mio::event::Event;
use mio::{Registry, Token};

use crate::session::login::LoginRefusal;
use crate::session::output::{Note, Output};
use crate::session::tally::Tally;
use crate::session::{ProtocolViolation, Session};
use crate::wire::backend::TransactionStatus;
use crate::wire::build;

use super::memory::Account;
use super::ruling::Follower;
use super::side::Side;
use super::socket::Socket;

/// Bytes read at once: the size of the buffer that a worker's sessions share.
pub(super) const READ_SIZE: usize = 64 * 1024;

/// A side is not read while more than this many bytes wait to be written to the other.
const UNSENT_LIMIT: usize = 256 * 1024;

/// How often a side is read and written in one turn, so that a session with much to move does not hold
/// up the others of its thread.
const ROUNDS: usize = 32;

/// How a session came to its end.
#[derive(Debug)]
pub(super) enum End {
    /// The server closed, as it does after Terminate and FATAL; what it sent has been passed on.
    Server,
    /// The server closed though nobody had said goodbye, as it does when its process is killed.
    /// What it sent has been passed on, and so is its end, as it came: every driver knows what a
    /// connection that ends without a word is, and a word of the proxy's own would hide from it
    /// that the server had none.
    ServerLeft,
    /// The client is gone, with no way to tell it anything.
    Client(io::Error),
    /// The server's connection broke; what it sent has been passed on. A reset cannot be, so a
    /// FATAL takes its place, unless the server's own came before it.
    ServerLost(io::Error),
    /// The server broke the protocol.
    Violation(ProtocolViolation),
    /// The proxy is draining, and the session is between transactions.
    Drained,
    /// The client was not logged in in time.
    NotLoggedIn,
    /// The client's login goes no further.
    Login(LoginRefusal),
}

/// Where bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Client,
    Server,
}

/// Where a session's facts go.
pub(super) trait Notes {
    /// Bytes came.
    fn read(&mut self, from: Peer, bytes: usize);
    /// The session wakes up.
    fn wakes(&mut self);
    /// It has done something.
    fn goes_on(&mut self, session: &Session);
    /// It has nothing more to do for now.
    fn rests(&mut self);
    /// What it has counted, and what the last ReadyForQuery said.
    fn count(&mut self, tally: &mut Tally, status: Option<TransactionStatus>);
    fn note(&mut self, note: Note);
}

/// A session with its sockets.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) session: Session,
    follower: Follower,
    client: Side,
    server: Side,
    /// What was read of the server before there was a session.
    heard: Vec<u8>,
    /// What was read of the client is not wanted yet.
    holds_back: bool,
    stays: Stays,
    account: Account,
}

/// How long a session goes on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stays {
    /// Until one side ends it.
    On,
    /// Until the client, of which nothing has come yet, has had one transaction.
    ForOne,
    /// Until it is between transactions.
    UntilRest,
}

impl Connection {
    pub(super) fn new(
        session: Session,
        follower: Follower,
        client: Socket,
        server: Socket,
        heard: Vec<u8>,
        account: Account,
    ) -> Self {
        let (client, server) = (Side::new(client), Side::new(server));
        Self {
            session,
            follower,
            client,
            server,
            heard,
            holds_back: false,
            stays: Stays::On,
            account,
        }
    }

    /// Ends where the session is between transactions, from here on, if it may not have one first.
    pub(super) fn drain(&mut self) {
        if self.stays == Stays::On {
            self.stays = Stays::UntilRest;
        }
    }

    /// The same, after one transaction: the client has just come, and could not know.
    pub(super) fn drain_after_one(&mut self) {
        self.stays = Stays::ForOne;
    }

    /// Runs the session until its client is logged in, or to an end before that.
    pub(super) async fn log_in(
        &mut self,
        scratch: &Mutex<Vec<u8>>,
        notes: &mut impl Notes,
    ) -> Option<End> {
        poll_fn(|cx| {
            let mut scratch = scratch.lock().unwrap_or_else(PoisonError::into_inner);
            match self.poll(cx, &mut scratch, notes) {
                Poll::Pending if self.session.is_logged_in() => Poll::Ready(None),
                polled => polled.map(Some),
            }
        })
        .await
    }

    /// Runs the session to its end.
    pub(super) async fn run(&mut self, scratch: &Mutex<Vec<u8>>, notes: &mut impl Notes) -> End {
        // Whoever has waited for it until here may have been woken by another.
        (self.server.dry, self.client.dry) = (false, false);
        poll_fn(|cx| {
            let mut scratch = scratch.lock().unwrap_or_else(PoisonError::into_inner);
            self.poll(cx, &mut scratch, notes)
        })
        .await
    }

    /// Whether a relay can serve it: TLS takes steps of its own.
    pub(super) fn is_plain(&self) -> bool {
        !self.client.socket.is_encrypted() && !self.server.socket.is_encrypted()
    }

    /// Its sockets are watched by a relay from here on: the client's, and the server's.
    pub(super) fn enter(&mut self, registry: &Registry, tokens: (Token, Token)) -> io::Result<()> {
        self.client.enter(registry, tokens.0)?;
        self.server.enter(registry, tokens.1)
    }

    /// Nobody watches its sockets any more.
    pub(super) fn leave(&mut self, registry: &Registry) -> io::Result<()> {
        self.client.socket.leave(registry)?;
        self.server.socket.leave(registry)
    }

    /// The kernel has told something of a socket that a relay watches.
    pub(super) fn has_changed(&mut self, peer: Peer, event: &Event) {
        match peer {
            Peer::Client => self.client.socket.has_changed(event),
            Peer::Server => self.server.socket.has_changed(event),
        }
    }

    /// Whether a message of the proxy's own to the client would be understood: none of the
    /// server's is cut short by it.
    pub(super) fn can_address_client(&self) -> bool {
        let cut_short = self.server.ended && !self.server.unread.is_empty();
        self.session.can_end_with_fatal() && !cut_short && self.client.broken.is_none()
    }

    /// Takes the client's socket, with what still waits to be written to it.
    pub(super) fn into_client(self) -> (Socket, Vec<u8>) {
        (self.client.socket, self.client.unsent)
    }

    /// Goes on with the session, as far as its sockets let it: to an end, or until `cx` is told.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
        notes: &mut impl Notes,
    ) -> Poll<End> {
        notes.wakes();
        let polled = self.turn(cx, scratch, notes);
        let weight = self.client.weight() + self.server.weight() + self.session.weight();
        self.account.keeps(weight, self.session.is_full());
        notes.rests();
        polled
    }

    fn turn(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
        notes: &mut impl Notes,
    ) -> Poll<End> {
        self.server.wakes();
        self.client.wakes();
        for _ in 0..ROUNDS {
            let mut progress = self.server.flush(cx) | self.client.flush(cx);
            progress |= match self.read_server(cx, scratch, notes) {
                Ok(progress) => progress,
                Err(violation) => return Poll::Ready(End::Violation(violation)),
            };
            let told = self.stays == Stays::UntilRest && self.client.is_flushed();
            if told && self.session.is_at_rest() {
                self.server.write(cx, &build::terminate());
                return Poll::Ready(End::Drained);
            }
            self.follower.follow(&mut self.session);
            progress |= self.resume_client(cx, notes);
            progress |= self.read_client(cx, scratch, notes);
            progress |= self.pass_end(cx);
            notes.goes_on(&self.session);
            if let Some(end) = self.end() {
                return Poll::Ready(end);
            }
            if !progress {
                return Poll::Pending;
            }
        }
        // It is the others' turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn read_server(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
        notes: &mut impl Notes,
    ) -> Result<bool, ProtocolViolation> {
        if self.server.ended || self.server.dry || self.is_full(&self.client) {
            return Ok(false);
        }
        let heard = std::mem::take(&mut self.heard);
        let read = if heard.is_empty() {
            let Poll::Ready(read) = self.server.read(cx, scratch) else { return Ok(false) };
            read
        } else {
            &heard
        };
        notes.read(Peer::Server, read.len());
        let mut unread = std::mem::take(&mut self.server.unread);
        let mut lanes = Lanes { cx, client: &mut self.client, server: &mut self.server, notes };
        if read.is_empty() {
            self.session.handle_backend_end(&mut lanes);
            lanes.to_frontend(&unread);
            self.server.unread = unread;
            return Ok(true);
        }
        let done = self.session.handle_backend(joined(&mut unread, read), &mut lanes)?;
        self.server.unread = rest(unread, read, done);
        Ok(!self.server.dry)
    }

    fn read_client(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
        notes: &mut impl Notes,
    ) -> bool {
        let waits = self.client.dry || self.is_full(&self.server);
        if self.client.ended || waits || !self.session.wants_frontend() {
            return false;
        }
        let Poll::Ready(read) = self.client.read(cx, scratch) else { return false };
        notes.read(Peer::Client, read.len());
        if read.is_empty() {
            return true;
        }
        let mut unread = std::mem::take(&mut self.client.unread);
        let mut lanes = Lanes { cx, client: &mut self.client, server: &mut self.server, notes };
        let done = self.session.handle_frontend(joined(&mut unread, read), &mut lanes);
        self.client.unread = rest(unread, read, done);
        if self.stays == Stays::ForOne && done > 0 {
            self.stays = Stays::UntilRest;
        }
        self.holds_back = !self.session.wants_frontend();
        !self.client.dry || self.stays == Stays::UntilRest
    }

    /// What the session did not want before it may want now.
    fn resume_client(&mut self, cx: &mut Context<'_>, notes: &mut impl Notes) -> bool {
        if !self.holds_back || !self.session.wants_frontend() {
            return false;
        }
        let unread = std::mem::take(&mut self.client.unread);
        let mut lanes = Lanes { cx, client: &mut self.client, server: &mut self.server, notes };
        let done = self.session.handle_frontend(&unread, &mut lanes);
        self.client.unread = rest(unread, &[], done);
        self.holds_back = !self.session.wants_frontend();
        true
    }

    /// The client's end of sending is passed on once all it sent has been, the start of a message
    /// that will not be whole any more included.
    fn pass_end(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.client.ended || self.holds_back {
            return false;
        }
        let unread = std::mem::take(&mut self.client.unread);
        if !unread.is_empty() {
            self.server.write(cx, &unread);
        }
        self.server.is_flushed() && self.server.shut_down(cx)
    }

    /// Whether so much waits for a side that the other is not read: anything at all, where all
    /// sessions together keep too much.
    fn is_full(&self, side: &Side) -> bool {
        let unsent = side.unsent.len();
        unsent > UNSENT_LIMIT || unsent > 0 && self.account.is_over()
    }

    fn end(&mut self) -> Option<End> {
        if let Some(refusal) = self.session.login_refusal() {
            return Some(End::Login(refusal));
        }
        if let Some(error) = self.client.broken.take_if(|_| self.server.is_flushed()) {
            return Some(End::Client(error));
        }
        if self.server.ended && self.client.is_flushed() {
            let goodbye = self.session.goodbye_was_said();
            return Some(match self.server.broken.take() {
                Some(error) if !goodbye => End::ServerLost(error),
                None if !goodbye && !self.client.ended => End::ServerLeft,
                _ => End::Server,
            });
        }
        None
    }
}

/// The session's outputs, as writes.
struct Lanes<'a, 'c, N> {
    cx: &'a mut Context<'c>,
    client: &'a mut Side,
    server: &'a mut Side,
    notes: &'a mut N,
}

impl<N: Notes> Output for Lanes<'_, '_, N> {
    fn to_backend(&mut self, bytes: &[u8]) {
        self.server.write(self.cx, bytes);
    }

    fn to_frontend(&mut self, bytes: &[u8]) {
        self.client.write(self.cx, bytes);
    }

    fn note(&mut self, note: Note) {
        self.notes.note(note);
    }

    fn count(&mut self, tally: &mut Tally, status: Option<TransactionStatus>) {
        self.notes.count(tally, status);
    }
}

fn joined<'a>(unread: &'a mut Vec<u8>, read: &'a [u8]) -> &'a [u8] {
    if unread.is_empty() {
        return read;
    }
    unread.extend_from_slice(read);
    unread
}

/// What the session was not done with of what [`joined`] made of the two; usually nothing, which
/// holds no memory. A message that comes a byte at a time is not copied with each of them.
fn rest(mut unread: Vec<u8>, read: &[u8], done: usize) -> Vec<u8> {
    if unread.is_empty() {
        let rest = read.get(done..).unwrap_or_default();
        return if rest.is_empty() { unread } else { rest.to_vec() };
    }
    if done > 0 {
        unread = unread.get(done..).unwrap_or_default().to_vec();
    }
    unread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_piece_by_piece_is_joined_in_place_and_leaves_no_memory() {
        let mut unread = Vec::with_capacity(64);
        unread.extend_from_slice(b"Q\0\0");
        let place = unread.as_ptr();
        assert_eq!(joined(&mut unread, b"\0"), b"Q\0\0\0");
        unread = rest(unread, b"\0", 0);
        assert_eq!((unread.as_ptr(), &*unread), (place, &b"Q\0\0\0"[..]));
        assert_eq!(joined(&mut unread, b"\x05xH"), b"Q\0\0\0\x05xH");
        unread = rest(unread, b"\x05xH", 6);
        assert_eq!(unread, b"H");
        assert_eq!(rest(unread, b"", 1).capacity(), 0);
        assert_eq!(rest(Vec::new(), b"XH", 1), b"H");
    }
}
