//! A session from its client's login to its end, wherever it runs: all that it holds of the proxy's is
//! its own.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::session::login::LoginRefusal;
use crate::wire::build;

use super::connection::{Connection, End};
use super::log::SessionLog;
use super::places::OfAddress;
use super::refusal::Refusal;
use super::socket::Socket;
use super::worker::{Departure, Desk};

/// How long a client's input is read and dropped after the last word to it, so that closing the
/// socket over unread input does not reset the connection and take that word away.
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// A session that has a server, and what it takes from the proxy until it ends.
#[derive(Debug)]
pub(super) struct Established {
    pub(super) connection: Connection,
    pub(super) log: SessionLog,
    /// One of `[limits] connections`.
    pub(super) permit: OwnedSemaphorePermit,
    /// One of `[limits] connections_per_address`.
    pub(super) of_address: OfAddress,
    pub(super) departure: Departure,
}

impl Established {
    /// Runs a session whose client is logged in to its end, on the runtime; none where the proxy ends.
    pub(super) async fn run(&mut self, desk: &Desk) -> Option<End> {
        desk.shared.stopping.or(self.run_to_end(desk)).await
    }

    async fn run_to_end(&mut self, desk: &Desk) -> End {
        let Self { connection, log, .. } = self;
        let (draining, scratch) = (&desk.shared.draining, &desk.scratch);
        if !draining.is_said() {
            if let Some(end) = draining.or(connection.run(scratch, log)).await {
                return end;
            }
            connection.drain();
        }
        connection.run(scratch, log).await
    }

    /// Ends it with the last word to its client; `unfit` is that to one whose server is not what it has
    /// to be.
    pub(super) async fn finish(self: Box<Self>, end: Option<End>, unfit: Option<Refusal>) {
        // What is named first is given back last, also where there is no last word.
        let Self { departure: _last, of_address: _before, permit, mut log, connection } = *self;
        log.ended(end.as_ref(), &connection.session);
        let last_word = match end {
            Some(End::Client(_)) => return,
            Some(End::Server | End::ServerLeft) => None,
            Some(End::ServerLost(error)) => Some(Refusal::ServerLost(error)),
            Some(End::Violation(violation)) => Some(Refusal::Violation(violation)),
            Some(End::NotLoggedIn) => Some(Refusal::NotLoggedIn),
            Some(End::Login(LoginRefusal::ChannelBinding)) => Some(Refusal::ChannelBinding),
            Some(End::Login(LoginRefusal::Target(_))) => unfit,
            Some(End::Drained) | None => Some(Refusal::Stopping),
        };
        let last_word = last_word.filter(|_| connection.can_address_client());
        // The server's connection is closed here; whoever sees the end may come back at once.
        let (client, unsent) = connection.into_client();
        drop((log, permit));
        match client.attach() {
            Ok(client) => part(client, &unsent, last_word.as_ref()).await,
            Err(error) => tracing::warn!(%error, "a client could not be told of the end"),
        }
    }
}

/// The last bytes, and the last word.
async fn part(mut client: Socket, unsent: &[u8], last_word: Option<&Refusal>) {
    if timeout(LINGER, client.write_all(unsent)).await.is_ok_and(|written| written.is_ok()) {
        close(client, last_word).await;
    }
}

/// Ends a client's connection so that it can read the last word: nothing is reset while input
/// is unread.
pub(super) async fn close(mut client: Socket, last_word: Option<&Refusal>) {
    let goodbye = async {
        if let Some(refusal) = last_word {
            client.write_all(&build::fatal(refusal.sqlstate(), &refusal.to_string())).await?;
        }
        client.shutdown().await?;
        tokio::io::copy(&mut client, &mut tokio::io::sink()).await
    };
    match timeout(LINGER, goodbye).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::debug!(%error, "the client was gone before its connection was closed");
        }
        Err(_) => tracing::debug!("the client did not close its connection in time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a session takes while its client says nothing, but for what the kernel holds of its sockets.
    #[test]
    fn an_idle_session_is_small() {
        let size = size_of::<Established>();
        assert!(size < 1600, "{size}");
    }
}
