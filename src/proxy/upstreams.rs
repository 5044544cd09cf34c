//! The servers of `[proxy] upstream`: in which order they are tried, by what was learnt of them.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::Address;
use crate::wire::target::{Attributes, TargetSessionAttrs};

use super::metrics::Connections;

/// How long a server that could not be reached is tried after the others.
const AWAY: Duration = Duration::from_secs(30);

/// The servers, and what a client is to have of them.
#[derive(Debug)]
pub(super) struct Upstreams {
    pub(super) target: TargetSessionAttrs,
    servers: Vec<Server>,
}

/// One server.
#[derive(Debug)]
pub(super) struct Server {
    /// Its place in the file, from 0.
    pub(super) number: usize,
    pub(super) address: Address,
    connections: Connections,
    learnt: Mutex<Learnt>,
}

/// What was learnt of a server when it was last used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Learnt {
    Nothing,
    /// It is what clients are to have.
    Fits,
    /// It is not.
    Unfit(Instant),
    /// It could not be reached.
    Away(Instant),
}

impl Upstreams {
    pub(super) fn new(
        servers: impl Iterator<Item = (Address, Connections)>,
        target: TargetSessionAttrs,
    ) -> Self {
        let server = |(number, (address, connections))| Server {
            number,
            address,
            connections,
            learnt: Mutex::new(Learnt::Nothing),
        };
        Self { target, servers: servers.enumerate().map(server).collect() }
    }

    pub(super) fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// Whether there is another one to try.
    pub(super) fn are_several(&self) -> bool {
        self.servers.len() > 1
    }

    /// All of them, those first that are most likely to do.
    ///
    /// Where any will do that is the order of the file, but for those that were away a moment ago.
    /// Else it is those that fitted, those of which nothing is known, and the others, of which the
    /// one that did not fit the longest time ago is the most likely to have changed.
    pub(super) fn in_order(&self, now: Instant) -> Vec<&Server> {
        let unknown = u8::from(self.target != TargetSessionAttrs::Any);
        let mut order: Vec<_> = self.servers.iter().collect();
        // A stable sort: the file's order is the last word.
        order.sort_by_cached_key(|server| match server.learnt() {
            Learnt::Fits => (0, None),
            Learnt::Nothing => (unknown, None),
            Learnt::Away(since) if now.duration_since(since) >= AWAY => (unknown, None),
            Learnt::Unfit(since) => (2, Some(since)),
            Learnt::Away(since) => (3, Some(since)),
        });
        order
    }
}

impl Server {
    fn learnt(&self) -> Learnt {
        *self.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, learnt: Learnt) {
        *self.learnt.lock().unwrap_or_else(PoisonError::into_inner) = learnt;
    }

    /// It could not be reached.
    pub(super) fn is_away(&self) {
        self.connections.failed.inc();
        self.learn(Learnt::Away(Instant::now()));
    }

    /// It takes connections, which does not say that it serves them.
    pub(super) fn was_reached(&self) {
        self.connections.reached.inc();
    }

    /// It has begun to serve a client, whatever it is.
    pub(super) fn is_there(&self) {
        if matches!(self.learnt(), Learnt::Away(_)) {
            self.learn(Learnt::Nothing);
        }
    }

    /// It has said what it is. Whether that fits, as far as it can be told.
    pub(super) fn has_said(
        &self,
        target: TargetSessionAttrs,
        attributes: Attributes,
    ) -> Option<bool> {
        let fits = target.fits(attributes);
        if fits == Some(true) {
            self.learn(Learnt::Fits);
        } else {
            self.connections.unfit.inc();
            self.learn(Learnt::Unfit(Instant::now()));
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON_STANDBY: Attributes =
        Attributes { in_hot_standby: Some(true), default_transaction_read_only: Some(false) };
    const ON_PRIMARY: Attributes =
        Attributes { in_hot_standby: Some(false), default_transaction_read_only: Some(false) };

    fn upstreams(target: TargetSessionAttrs) -> Upstreams {
        let servers = ["a:1", "b:1", "c:1"].map(|it| (it.parse().unwrap(), Connections::default()));
        Upstreams::new(servers.into_iter(), target)
    }

    fn order(upstreams: &Upstreams, now: Instant) -> String {
        let hosts = upstreams.in_order(now).into_iter().map(|it| it.address.to_string());
        hosts.map(|it| it.replace(":1", "")).collect()
    }

    #[test]
    fn where_any_will_do_the_order_is_that_of_the_file() {
        let upstreams = upstreams(TargetSessionAttrs::Any);
        let [a, b, c] = upstreams.servers() else { panic!() };
        assert_eq!(order(&upstreams, Instant::now()), "abc");
        c.has_said(upstreams.target, ON_STANDBY);
        assert_eq!(order(&upstreams, Instant::now()), "abc", "no better than the others");
        a.is_away();
        let later = Instant::now() + AWAY;
        assert_eq!(order(&upstreams, Instant::now()), "bca");
        assert_eq!(order(&upstreams, later), "abc", "it is tried again");
        a.is_there();
        assert_eq!(order(&upstreams, Instant::now()), "abc");
        b.is_away();
        a.is_away();
        assert_eq!(order(&upstreams, Instant::now()), "cba", "the one that was away first");
    }

    #[test]
    fn those_that_fit_come_first_and_what_has_not_the_longest_next() {
        let upstreams = upstreams(TargetSessionAttrs::ReadWrite);
        let [a, b, c] = upstreams.servers() else { panic!() };
        assert_eq!(a.has_said(upstreams.target, ON_STANDBY), Some(false));
        assert_eq!(order(&upstreams, Instant::now()), "bca");
        assert_eq!(b.has_said(upstreams.target, ON_PRIMARY), Some(true));
        assert_eq!(order(&upstreams, Instant::now()), "bca");
        assert_eq!(c.has_said(upstreams.target, Attributes::default()), None);
        assert_eq!(order(&upstreams, Instant::now()), "bac", "the longest time ago");
        b.is_away();
        assert_eq!(order(&upstreams, Instant::now()), "acb");
        assert_eq!(order(&upstreams, Instant::now() + AWAY), "bac", "nothing is known of it");
        a.is_there();
        assert_eq!(order(&upstreams, Instant::now()), "acb", "it was never away");
    }
}
