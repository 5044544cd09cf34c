//! Places for clients: as many as `[limits]` says, counted in and out.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::config::Limits;

use super::refusal::Refusal;

/// What there is.
#[derive(Debug)]
pub(super) struct Places {
    limits: Limits,
    /// One permit a session.
    sessions: Arc<Semaphore>,
    /// One permit a client that is not logged in.
    logins: Semaphore,
    /// Clients of each address, where that is limited.
    by_address: Arc<Counts>,
}

type Counts = Mutex<HashMap<IpAddr, usize>>;

/// A client of an address, where those are counted.
#[derive(Debug)]
pub(super) struct OfAddress(Option<(Arc<Counts>, IpAddr)>);

impl Places {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            sessions: Arc::new(Semaphore::new(limits.connections)),
            logins: Semaphore::new(limits.logins),
            by_address: Arc::default(),
        }
    }

    /// One for a session.
    pub(super) fn session(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let permit = Arc::clone(&self.sessions).try_acquire_owned();
        permit.map_err(|_| Refusal::Full(self.limits.connections))
    }

    /// One for a client that is not logged in.
    pub(super) fn login(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        self.logins.try_acquire().map_err(|_| Refusal::FullLogins(self.limits.logins))
    }

    /// One among those of its address; a Unix-domain socket has none.
    pub(super) fn of_address(&self, peer: &str) -> Result<OfAddress, Refusal> {
        let address = peer.parse::<SocketAddr>().ok().map(|it| it.ip().to_canonical());
        let (Some(limit), Some(address)) = (self.limits.connections_per_address, address) else {
            return Ok(OfAddress(None));
        };
        let mut counts = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= limit {
            return Err(Refusal::FullAddress(limit));
        }
        *count += 1;
        Ok(OfAddress(Some((Arc::clone(&self.by_address), address))))
    }
}

impl Drop for OfAddress {
    fn drop(&mut self) {
        let Some((counts, address)) = self.0.take() else { return };
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_and_gives_them_back() {
        let limits = Limits { connections_per_address: Some(2), ..Limits::default() };
        let places = Places::new(limits);
        let [one, same, other] = ["192.0.2.1:1", "192.0.2.1:2", "[2001:db8::1]:1"];
        let first = places.of_address(one).unwrap();
        let _second = places.of_address(same).unwrap();
        assert!(
            places.of_address("[::ffff:192.0.2.1]:3").is_err(),
            "the same address, written as IPv6"
        );
        let another = places.of_address(other).unwrap();
        drop(first);
        drop(places.of_address(one).unwrap());
        drop(places.of_address(one).unwrap());
        for _ in 0..3 {
            assert!(places.of_address("unix").is_ok());
        }
        drop(another);
        assert_eq!(places.by_address.lock().unwrap().len(), 1, "nothing is kept of who is gone");
    }
}
