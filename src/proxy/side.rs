//! One socket of a session, with the bytes that wait on either side of it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use mio::{Registry, Token};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;

use super::socket::Socket;

/// One socket and the bytes that wait on either side of it.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) socket: Socket,
    /// Read, and not yet done with: the start of a message.
    pub(super) unread: Vec<u8>,
    /// To be written.
    pub(super) unsent: Vec<u8>,
    /// There was nothing to read, and the task is woken when there is.
    pub(super) dry: bool,
    /// The peer sends no more.
    pub(super) ended: bool,
    sending: Sending,
    /// Writing failed; what else is for the peer is dropped.
    pub(super) broken: Option<io::Error>,
}

/// Whether a side takes more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Open,
    /// What was written has not all left: TLS keeps records that the socket does not take.
    Lingers,
    /// We send no more.
    Shut,
}

impl Side {
    pub(super) fn new(socket: Socket) -> Self {
        Self {
            socket,
            unread: Vec::new(),
            unsent: Vec::new(),
            dry: false,
            ended: false,
            sending: Sending::Open,
            broken: None,
        }
    }

    /// A relay watches the socket from here on.
    pub(super) fn enter(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.dry = false;
        self.socket.enter(registry, token)
    }

    /// The task has been woken, by whatever it was. A side that was dry is so still where nothing has
    /// come: what wakes the task when something does has not gone off.
    pub(super) fn wakes(&mut self) {
        self.dry = self.dry && !self.socket.may_be_read();
    }

    pub(super) fn is_flushed(&self) -> bool {
        self.unsent.is_empty() && self.sending != Sending::Lingers
    }

    /// Bytes that are kept.
    pub(super) fn weight(&self) -> usize {
        self.unread.capacity() + self.unsent.capacity()
    }

    /// What has come; nothing at the end, which a connection that breaks has come to as well.
    pub(super) fn read<'a>(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &'a mut [u8],
    ) -> Poll<&'a [u8]> {
        let mut buffer = ReadBuf::new(scratch);
        match Pin::new(&mut self.socket).poll_read(cx, &mut buffer) {
            Poll::Pending => {
                // A task that has had its share is sent to the end of the queue: nobody has looked.
                self.dry = coop::has_budget_remaining();
                return Poll::Pending;
            }
            Poll::Ready(Ok(())) => {
                self.ended = buffer.filled().is_empty();
                let may_be_all = !self.ended && buffer.remaining() > 0;
                self.dry = may_be_all && self.waits_for_more(cx);
            }
            Poll::Ready(Err(error)) => {
                self.ended = true;
                self.broken.get_or_insert(error);
            }
        }
        let length = buffer.filled().len();
        Poll::Ready(scratch.get(..length).unwrap_or_default())
    }

    /// Whether there is no more for now, and the task is woken when there is.
    fn waits_for_more(&self, cx: &mut Context<'_>) -> bool {
        self.socket.poll_may_be_read(cx).is_pending() && coop::has_budget_remaining()
    }

    /// Writes at once, and keeps what the socket does not take.
    pub(super) fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) {
        if self.broken.is_some() {
            return;
        }
        let mut written = 0;
        if self.unsent.is_empty() {
            written = self.write_some(cx, bytes);
        }
        if self.broken.is_none() {
            self.unsent.extend_from_slice(bytes.get(written..).unwrap_or_default());
        }
    }

    /// Writes what was kept; whether there was progress.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) -> bool {
        !self.is_flushed() && self.flush_some(cx)
    }

    fn flush_some(&mut self, cx: &mut Context<'_>) -> bool {
        if self.unsent.is_empty() {
            return self.settle(cx);
        }
        let mut unsent = std::mem::take(&mut self.unsent);
        let written = self.write_some(cx, &unsent);
        if self.broken.is_none() && written < unsent.len() {
            unsent.drain(..written);
            self.unsent = unsent;
        }
        written > 0 || self.broken.is_some()
    }

    fn write_some(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> usize {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut self.socket).poll_write(cx, rest) {
                Poll::Ready(Ok(count)) => written += count,
                Poll::Ready(Err(error)) => {
                    self.broken = Some(error);
                    break;
                }
                Poll::Pending => break,
            }
        }
        if self.socket.is_encrypted() {
            self.settle(cx);
        }
        written
    }

    /// Sees to it that what was written leaves; whether it has.
    fn settle(&mut self, cx: &mut Context<'_>) -> bool {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        self.sending = if flushed.is_pending() { Sending::Lingers } else { Sending::Open };
        if let Poll::Ready(Err(error)) = flushed {
            self.broken.get_or_insert(error);
        }
        self.sending == Sending::Open
    }

    pub(super) fn shut_down(&mut self, cx: &mut Context<'_>) -> bool {
        if self.sending == Sending::Shut {
            return false;
        }
        let shut = Pin::new(&mut self.socket).poll_shutdown(cx).is_ready();
        if shut {
            self.sending = Sending::Shut;
        }
        shut
    }
}
