//! How sessions begin and end, and where they stand in between.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::proxy::connection::End;
use crate::session::Session;
use crate::session::login::LoginRefusal;

use super::Label;

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum State {
    /// The client is not logged in yet.
    Login,
    /// Outside a transaction block.
    Idle,
    /// Inside one.
    Transaction,
    /// Inside one that has failed.
    Failed,
    /// What is not protocol 3: not looked at.
    Unread,
}

impl State {
    const ALL: [Self; 5] = [Self::Login, Self::Idle, Self::Transaction, Self::Failed, Self::Unread];

    /// The name in metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Idle => "idle",
            Self::Transaction => "transaction",
            Self::Failed => "failed",
            Self::Unread => "unread",
        }
    }
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Ending {
    Closed,
    ServerFatal,
    ServerClosed,
    ServerLost,
    ClientLost,
    ClientViolation,
    ProtocolViolation,
    LoginTimeout,
    ChannelBinding,
    Unfit,
    Drained,
    Stopping,
    Unread,
    Aborted,
}

impl Ending {
    const ALL: [Self; 14] = [
        Self::Closed,
        Self::ServerFatal,
        Self::ServerClosed,
        Self::ServerLost,
        Self::ClientLost,
        Self::ClientViolation,
        Self::ProtocolViolation,
        Self::LoginTimeout,
        Self::ChannelBinding,
        Self::Unfit,
        Self::Drained,
        Self::Stopping,
        Self::Unread,
        Self::Aborted,
    ];

    /// How a session ended that was stopped if there is no `end`.
    pub(in crate::proxy) fn of(end: Option<&End>, session: &Session) -> Self {
        match end {
            Some(End::Server | End::ServerLeft | End::ServerLost(_))
                if session.client_violation().is_some() =>
            {
                Self::ClientViolation
            }
            Some(End::Server) if session.fatal_was_said() => Self::ServerFatal,
            Some(End::Server) => Self::Closed,
            Some(End::ServerLeft) => Self::ServerClosed,
            Some(End::Client(_)) => Self::ClientLost,
            Some(End::ServerLost(_)) => Self::ServerLost,
            Some(End::Violation(_)) => Self::ProtocolViolation,
            Some(End::NotLoggedIn) => Self::LoginTimeout,
            Some(End::Login(LoginRefusal::ChannelBinding)) => Self::ChannelBinding,
            Some(End::Login(LoginRefusal::Target(_))) => Self::Unfit,
            Some(End::Drained) => Self::Drained,
            None => Self::Stopping,
        }
    }

    /// The name in metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::ServerFatal => "server_fatal",
            Self::ServerClosed => "server_closed",
            Self::ServerLost => "server_lost",
            Self::ClientLost => "client_lost",
            Self::ClientViolation => "client_violation",
            Self::ProtocolViolation => "protocol_violation",
            Self::LoginTimeout => "login_timeout",
            Self::ChannelBinding => "channel_binding",
            Self::Unfit => "server_unfit",
            Self::Drained => "drained",
            Self::Stopping => "stopping",
            Self::Unread => "unread",
            Self::Aborted => "aborted",
        }
    }
}

/// Why a client was not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Unheard {
    /// What it sent is no startup packet.
    Malformed,
    /// It closed its connection.
    Left,
    /// Nothing whole came in time.
    TimedOut,
}

impl Unheard {
    pub(super) const ALL: [Self; 3] = [Self::Malformed, Self::Left, Self::TimedOut];

    /// The name in metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Left => "left",
            Self::TimedOut => "timeout",
        }
    }
}

/// The numbers of sessions.
#[derive(Debug)]
pub(in crate::proxy) struct Lifetimes {
    now: Gauge,
    begun: Counter,
    states: [Gauge; State::ALL.len()],
    endings: [Counter; Ending::ALL.len()],
}

impl Lifetimes {
    /// Everything at 0, and registered.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let (now, begun) = (Gauge::default(), Counter::default());
        let states = Family::<Label, Gauge>::default();
        let endings = Family::<Label, Counter>::default();
        registry.register("sessions", "Sessions that go on now", now.clone());
        // The name of a counter gets its _total from the registry, so it is another one.
        registry.register(
            "sessions",
            "Clients that have got a session, a server connection of their own",
            begun.clone(),
        );
        registry.register("sessions_by_state", "The sessions by where they stand", states.clone());
        registry.register("sessions_ended", "Sessions that have ended, by how", endings.clone());
        Self {
            now,
            begun,
            states: State::ALL.map(|it| states.get_or_create_owned(&[("state", it.name())])),
            endings: Ending::ALL.map(|it| endings.get_or_create_owned(&[("reason", it.name())])),
        }
    }

    /// Counts a session in, and out when what comes back is dropped.
    pub(in crate::proxy) fn session(self: &Arc<Self>) -> Present {
        self.begun.inc();
        self.now.inc();
        self.state(State::Login).inc();
        Present { lifetimes: Arc::clone(self), state: State::Login, ending: Ending::Aborted }
    }

    fn state(&self, state: State) -> &Gauge {
        let [login, idle, transaction, failed, unread] = &self.states;
        match state {
            State::Login => login,
            State::Idle => idle,
            State::Transaction => transaction,
            State::Failed => failed,
            State::Unread => unread,
        }
    }

    /// Sessions that go on now.
    pub(in crate::proxy) fn now(&self) -> i64 {
        self.now.get()
    }

    /// Clients that have got a session.
    pub(in crate::proxy) fn begun(&self) -> u64 {
        self.begun.get()
    }

    /// How many sessions stand where.
    pub(in crate::proxy) fn states(&self) -> impl Iterator<Item = (&'static str, i64)> {
        State::ALL.iter().zip(&self.states).map(|(state, gauge)| (state.name(), gauge.get()))
    }

    /// How many sessions have ended how.
    pub(in crate::proxy) fn endings(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let numbers = Ending::ALL.iter().zip(&self.endings);
        numbers.map(|(ending, counter)| (ending.name(), counter.get()))
    }
}

/// A session that goes on.
#[derive(Debug)]
pub(in crate::proxy) struct Present {
    lifetimes: Arc<Lifetimes>,
    state: State,
    ending: Ending,
}

impl Present {
    /// It is about to end like this; one that ends without a word was aborted.
    pub(in crate::proxy) fn ends(&mut self, ending: Ending) {
        self.ending = ending;
    }

    /// It stands here now.
    pub(in crate::proxy) fn stands(&mut self, state: State) {
        if state != self.state {
            self.lifetimes.state(self.state).dec();
            self.lifetimes.state(state).inc();
            self.state = state;
        }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.lifetimes.state(self.state).dec();
        if let Some(counter) = self.lifetimes.endings.get(self.ending as usize) {
            counter.inc();
        }
        self.lifetimes.now.dec();
    }
}
