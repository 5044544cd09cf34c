//! What a client is told when the proxy itself cannot go on.

use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::auth;
use crate::wire::backend::SqlState;
use crate::wire::frame::BadLength;
use crate::wire::target::{Attributes, TargetSessionAttrs};

/// What a client is told when the proxy itself cannot go on.
///
/// The codes are those that drivers and `pg_isready` understand: 57P03 makes libpq try its next
/// host and `pg_isready` say "rejecting connections".
#[derive(Debug, Error)]
pub(super) enum Refusal {
    #[error("pgabsorb could not connect to the server at {0}: {1}")]
    Unreachable(String, io::Error),
    #[error("pgabsorb could not connect to the server at {0} within {1:?}")]
    ConnectTimeout(String, Duration),
    /// It starts, stops or recovers, as it says.
    #[error("the server at {0} takes nobody for now: {1}")]
    NotNow(String, String),
    #[error("the server at {server} is not what target_session_attrs = \"{}\" asks for: it is {}", target.as_str(), what(*attributes))]
    Unfit { server: String, target: TargetSessionAttrs, attributes: Attributes },
    #[error("pgabsorb found none of its servers to be what it needs: {}", list(.0))]
    None(Vec<Self>),
    #[error("sorry, too many clients already: pgabsorb has {0} sessions, the limit of rules.toml")]
    Full(usize),
    #[error(
        "sorry, too many clients already: pgabsorb has {0} of this address, the limit of rules.toml"
    )]
    FullAddress(usize),
    #[error(
        "sorry, too many clients already: pgabsorb has {0} that are logging in, the limit of rules.toml"
    )]
    FullLogins(usize),
    #[error("unsupported frontend protocol {major}.{minor}: an encryption request was already made", major = .0 >> 16, minor = .0 & 0xffff)]
    RepeatedRequest(i32),
    #[error("terminating connection due to administrator command: pgabsorb is stopping")]
    Stopping,
    #[error("terminating connection: {0}")]
    Violation(crate::session::ProtocolViolation),
    #[error("terminating connection: the connection to the server was lost: {0}")]
    ServerLost(io::Error),
    #[error("canceling authentication due to timeout")]
    NotLoggedIn,
    #[error(
        "pgabsorb accepts encrypted connections only: the client has to use sslmode=require or better"
    )]
    Unencrypted,
    #[error("the server at {0} does not support TLS, which [server_tls] of pgabsorb requires")]
    NoServerTls(String),
    #[error("pgabsorb could not speak TLS with the server at {0}: {1}")]
    ServerTls(String, io::Error),
    #[error(
        "channel binding cannot pass from one TLS connection to another: use \
         channel_binding=disable in the client, or [auth] mode = \"scram\" or the server's own \
         certificate and key in pgabsorb"
    )]
    ChannelBinding,
    /// As the server says it, whether the user exists or not.
    #[error("{}", match why {
        auth::Refused::Password => format!("password authentication failed for user \"{user}\""),
        why => why.to_string(),
    })]
    NotVerified { user: String, why: auth::Refused },
    #[error("expected SASL response, got message type {0}")]
    NoAnswer(u8),
    #[error("invalid message length: {0}")]
    AnswerLength(BadLength),
    #[error("pgabsorb could not log in at the server: {0}")]
    Login(auth::LoginError),
    #[error(
        "pgabsorb could not log in at the server: it asks for the password itself, and the users \
         file has only a SCRAM secret for this user"
    )]
    NeedsPassword,
    #[error(
        "pgabsorb could not log in at the server: it asks for authentication method {0}, which \
         [auth] mode = \"scram\" does not know"
    )]
    Method(i32),
    #[error(
        "pgabsorb could not log in at the server: it asks for the password itself, and nobody has \
         verified that it is the server: that takes [server_tls] mode = \"verify-full\" or \
         \"verify-ca\", or a server on the same machine"
    )]
    Unverified,
    #[error("unsupported frontend protocol {major}.{minor}: pgabsorb makes sure of clients in protocol 3 alone", major = .0 >> 16, minor = .0 & 0xffff)]
    Protocol(i32),
    #[error("pgabsorb has no random numbers")]
    NoRandomNumbers,
}

impl Refusal {
    /// Why none of the servers would do.
    pub(super) fn of_all(mut refusals: Vec<Self>) -> Self {
        match refusals.pop() {
            Some(last) if refusals.is_empty() || matches!(last, Self::Stopping) => last,
            last => Self::None(refusals.into_iter().chain(last).collect()),
        }
    }

    /// The label in metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(..) => "server_unreachable",
            Self::ConnectTimeout(..) => "server_timeout",
            Self::NotNow(..) => "server_not_now",
            Self::Unfit { .. } => "server_unfit",
            Self::None(refusals) => refusals.last().map_or("server_unreachable", Self::reason),
            Self::Full(_) => "too_many_sessions",
            Self::FullAddress(_) => "too_many_of_address",
            Self::FullLogins(_) => "too_many_logins",
            Self::RepeatedRequest(_) => "repeated_request",
            Self::Stopping => "stopping",
            Self::Violation(_) => "protocol_violation",
            Self::ServerLost(_) => "server_lost",
            Self::NotLoggedIn => "login_timeout",
            Self::Unencrypted => "unencrypted",
            Self::NoServerTls(_) | Self::ServerTls(..) => "server_tls",
            Self::ChannelBinding => "channel_binding",
            Self::NotVerified { .. }
            | Self::NoAnswer(_)
            | Self::AnswerLength(_)
            | Self::Protocol(_) => "not_authenticated",
            Self::Login(_) | Self::NeedsPassword | Self::Method(_) | Self::Unverified => {
                "server_login"
            }
            Self::NoRandomNumbers => "no_random_numbers",
        }
    }

    /// The error code, from the manual's [Appendix
    /// A](https://www.postgresql.org/docs/current/errcodes-appendix.html).
    pub(super) fn sqlstate(&self) -> SqlState {
        SqlState(*match self {
            Self::Unreachable(..)
            | Self::ConnectTimeout(..)
            | Self::NotNow(..)
            | Self::Unfit { .. }
            | Self::None(_)
            | Self::NoServerTls(_)
            | Self::ServerTls(..) => b"57P03",
            Self::Full(_) | Self::FullAddress(_) | Self::FullLogins(_) => b"53300",
            Self::RepeatedRequest(_) | Self::Protocol(_) => b"0A000",
            Self::Stopping => b"57P01",
            Self::Violation(_)
            | Self::NoAnswer(_)
            | Self::AnswerLength(_)
            | Self::NotVerified { why: auth::Refused::Malformed, .. } => b"08P01",
            Self::ServerLost(_) => b"08006",
            Self::NotLoggedIn => b"57014",
            Self::NotVerified { why: auth::Refused::Password, .. } => b"28P01",
            Self::Unencrypted
            | Self::ChannelBinding
            | Self::NotVerified { .. }
            | Self::Login(_)
            | Self::NeedsPassword
            | Self::Unverified
            | Self::Method(_) => b"28000",
            Self::NoRandomNumbers => b"58000",
        })
    }
}

/// What a server says that it is.
fn what(attributes: Attributes) -> &'static str {
    match (attributes.in_hot_standby, attributes.default_transaction_read_only) {
        (Some(true), _) => "a standby",
        (Some(false), Some(true)) => "a primary whose transactions are read-only by default",
        (Some(false), _) => "a primary",
        (None, _) => {
            "older than PostgreSQL 14 and does not say what it is, which the proxy asks only where \
             [auth] mode = \"scram\""
        }
    }
}

fn list(refusals: &[Refusal]) -> String {
    refusals.iter().map(Refusal::to_string).collect::<Vec<_>>().join("; ")
}
