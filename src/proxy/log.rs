//! What the sessions tell, as log lines: the conflict line above all.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::config::KeyValues;
use crate::session::Session;
use crate::session::login::LoginRefusal;
use crate::session::output::{Conflict, Note, Outcome};
use crate::session::tally::Tally;
use crate::wire::backend::TransactionStatus;

use super::Shared;
use super::connection::{End, Notes, Peer};
use super::meter::Meter;
use super::metrics::{Ending, Present};
use super::refusal::Refusal;

/// How the values of duplicate keys are logged.
#[derive(Debug)]
pub(super) enum KeyLog {
    Hide,
    /// Equal values give equal numbers while this process lives; the key of the hash is random.
    Hash(RandomState),
    Show,
}

impl KeyLog {
    pub(super) fn new(setting: KeyValues) -> Self {
        match setting {
            KeyValues::Hide => Self::Hide,
            KeyValues::Hash => Self::Hash(RandomState::new()),
            KeyValues::Show => Self::Show,
        }
    }

    pub(super) fn key(&self, detail: Option<&[u8]>) -> Option<String> {
        match self {
            Self::Hide => None,
            Self::Hash(state) => detail.map(|detail| format!("{:016x}", state.hash_one(detail))),
            Self::Show => detail.map(|detail| String::from_utf8_lossy(detail).into_owned()),
        }
    }
}

/// One session's log.
#[derive(Debug)]
pub(super) struct SessionLog {
    shared: Arc<Shared>,
    client: String,
    session: u64,
    meter: Meter,
}

impl SessionLog {
    pub(super) fn new(shared: &Arc<Shared>, present: Present, client: String) -> Self {
        let session = shared.next_session.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(client, session, "session began");
        let meter = Meter::new(present, session);
        Self { shared: Arc::clone(shared), client, session, meter }
    }

    pub(super) fn ended(&mut self, end: Option<&End>, session: &Session) {
        self.meter.ends(Ending::of(end, session));
        let violation = session.client_violation();
        let (client, session) = (&*self.client, self.session);
        match end {
            Some(End::Server | End::ServerLeft | End::ServerLost(_))
                if let Some(violation) = violation =>
            {
                let event = "session ended: the client broke the protocol";
                tracing::info!(client, session, %violation, "{event}");
            }
            None => tracing::debug!(client, session, "session ended: stopping"),
            Some(End::Drained) => tracing::debug!(client, session, "session ended: draining"),
            Some(End::Server) => tracing::debug!(client, session, "session ended"),
            Some(End::ServerLeft) => {
                let event = "session ended: the server closed the connection unexpectedly";
                tracing::warn!(client, session, "{event}");
            }
            Some(End::NotLoggedIn) => {
                tracing::warn!(client, session, "session ended: the client did not log in in time");
            }
            Some(End::Login(LoginRefusal::ChannelBinding)) => {
                tracing::warn!(client, session, "session ended: {}", Refusal::ChannelBinding);
            }
            Some(End::Login(LoginRefusal::Target(_))) => {
                let event = "session ended: the server is not what target_session_attrs asks for";
                tracing::warn!(client, session, "{event}");
            }
            Some(End::Client(error)) => {
                tracing::debug!(client, session, %error, "session ended: the client is gone");
            }
            Some(End::ServerLost(error)) => {
                tracing::warn!(client, session, %error, "session ended: the server was lost");
            }
            Some(End::Violation(violation)) => {
                tracing::error!(client, session, %violation, "session ended");
            }
        }
    }

    /// It ends without a word, since the system does not watch its sockets, or will not let go of them.
    pub(super) fn lost(&self, error: &io::Error) {
        let (client, session) = (&*self.client, self.session);
        tracing::error!(client, session, %error, "session ended: the system refused its sockets");
    }

    fn conflict(&self, conflict: &Conflict) {
        /// One event of the fields of semantics, at the level that the outcome asks for.
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    outcome = conflict.outcome.name(),
                    reason = reason(conflict.outcome),
                    strategy = strategy(conflict),
                    rule = conflict.rule.as_ref().map(|(id, _)| id.as_str()),
                    constraint = conflict.constraint.as_ref().map(|it| it.name.as_str()),
                    schema = conflict.constraint.as_ref().map(|it| it.schema.as_str()),
                    table = conflict.constraint.as_ref().map(|it| it.table.as_str()),
                    columns = conflict.columns.as_deref(),
                    key = self.shared.key_values.key(conflict.detail.as_deref()),
                    database = conflict.origin.database,
                    user = conflict.origin.user,
                    application_name = conflict.origin.application_name,
                    client = self.client,
                    session = self.session,
                    backend_pid = conflict.backend_pid,
                    transaction_status = conflict.transaction_status.map(|it| it.name()),
                    statement = conflict.statement,
                    rows_requested = conflict.rows_requested,
                    rows_inserted = conflict.rows_inserted,
                    fingerprint = conflict.fingerprint.map(|it| format!("{it:016x}")),
                    "conflict"
                )
            };
        }
        if conflict.outcome == Outcome::Alert {
            line!(error);
        } else {
            line!(info);
        }
    }
}

impl Notes for SessionLog {
    fn read(&mut self, from: Peer, bytes: usize) {
        self.shared.metrics.read(from, bytes);
        self.meter.has_read();
    }

    fn wakes(&mut self) {
        self.meter.wakes();
    }

    fn goes_on(&mut self, session: &Session) {
        self.meter.goes_on(session, &self.shared.metrics);
    }

    fn rests(&mut self) {
        self.meter.rests(&self.shared.metrics);
    }

    fn count(&mut self, tally: &mut Tally, status: Option<TransactionStatus>) {
        self.meter.count(tally, status, &self.shared.metrics);
    }

    fn note(&mut self, note: Note) {
        self.shared.metrics.note(&note);
        let (client, session) = (&*self.client, self.session);
        match note {
            Note::Conflict(conflict) => {
                self.conflict(&conflict);
                self.shared.history.conflict(&conflict, session, &self.shared.key_values);
                let rule = conflict.rule.as_ref().filter(|_| conflict.outcome == Outcome::Absorbed);
                if let Some((rule, _)) = rule {
                    self.shared.rulings.absorbed(rule);
                }
            }
            Note::LookupFailed { sqlstate } => {
                let sqlstate = sqlstate.map(|it| it.to_string());
                tracing::warn!(
                    client,
                    session,
                    sqlstate,
                    "catalog lookup failed: nothing is absorbed"
                );
            }
            Note::NotRewritten { table, doubt } => {
                let sqlstate = doubt.sqlstate().map(|it| it.to_string());
                tracing::warn!(
                    client,
                    session,
                    table,
                    reason = doubt.name(),
                    sqlstate,
                    "not rewritten: the strategy is react for this table"
                );
            }
            Note::OutOfStep { tag } => {
                let reply = char::from(tag).escape_default().to_string();
                tracing::warn!(client, session, reply, "unexpected reply: nothing is absorbed");
            }
        }
    }
}

/// How it was dealt with, where it was.
pub(super) fn strategy(conflict: &Conflict) -> Option<&'static str> {
    match conflict.outcome {
        Outcome::Absorbed | Outcome::Observed | Outcome::LeftOut => {
            Some(conflict.strategy.as_str())
        }
        Outcome::Shown(_) | Outcome::Alert => None,
    }
}

/// Why it was shown, where it was.
pub(super) fn reason(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Shown(reason) => Some(reason.name()),
        _ => None,
    }
}
