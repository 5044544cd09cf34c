//! The login, as far as something may stand in its way: SCRAM's channel binding where there is TLS on
//! one leg or on both, and a server that is not what clients are to have.
//!
//! A client that binds its login to the channel signs the hash of the certificate that it was
//! shown, and one that could have and did not signs that too (RFC 5802, section 6). What it signs
//! cannot be changed on the way, so whether the server is asked to offer the binding to it is all
//! there is to decide. See the manual's [SASL
//! Authentication](https://www.postgresql.org/docs/current/sasl-authentication.html).

use crate::wire::backend;
use crate::wire::build;
use crate::wire::frame::Frame;
use crate::wire::frontend;
use crate::wire::target::{Attributes, TargetSessionAttrs};

use super::passage::Passage;
use super::{Fate, Session};

/// What becomes of the server's offer to bind a login to the channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelBinding {
    /// It passes: the client's channel is the server's, or the server has none to bind to.
    #[default]
    Passes,
    /// It is taken out: the client's leg is plain, where libpq refuses such an offer.
    Withheld,
    /// It passes, and whoever takes it up is refused: the client would bind to the proxy's
    /// certificate. One that has no use for it is let in; taking the offer out would make the
    /// others say that they could have bound, which the server takes for an attack.
    Refused,
}

/// Where the login is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Login {
    /// It passes, with or without the offer.
    Passed(ChannelBinding),
    /// It goes no further.
    Refused(LoginRefusal),
    /// The server has been ready for queries.
    Done,
}

/// Why a login goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginRefusal {
    /// The client has tried to bind it to a channel that is not the server's.
    ChannelBinding,
    /// The server is not what clients are to have, by what it says of itself.
    Target(Attributes),
}

/// The mechanism that binds.
const PLUS: &[u8] = b"SCRAM-SHA-256-PLUS";

impl Session {
    /// Why the client's login goes no further, if that is so. The server has not been ready.
    #[must_use]
    pub fn login_refusal(&self) -> Option<LoginRefusal> {
        match self.login {
            Login::Refused(refusal) => Some(refusal),
            Login::Passed(_) | Login::Done => None,
        }
    }

    /// What the server says that it is.
    #[must_use]
    pub fn attributes(&self) -> Attributes {
        self.attributes
    }

    /// Whether messages with this tag are read for the login's sake.
    pub(super) fn reads_login(&self, tag: u8) -> bool {
        match self.login {
            Login::Passed(ChannelBinding::Withheld) => tag == b'R',
            Login::Passed(ChannelBinding::Refused) => tag == b'p',
            Login::Passed(ChannelBinding::Passes) | Login::Refused(_) | Login::Done => false,
        }
    }

    /// ReadyForQuery has come, whatever it says.
    pub(super) fn logged_in(&mut self) {
        if self.login_refusal().is_none() {
            self.login = Login::Done;
        }
    }

    /// The server asks the client to authenticate.
    pub(super) fn authentication(&self, frame: &Frame<'_>, passage: &mut Passage<'_, '_>) -> Fate {
        let offered = backend::sasl_mechanisms(frame.body()).unwrap_or_default();
        let left: Vec<_> = offered.iter().copied().filter(|it| *it != PLUS).collect();
        // An offer of the binding alone is for the client to refuse.
        if !self.reads_login(b'R') || left.is_empty() || left.len() == offered.len() {
            return Fate::Pass;
        }
        passage.insert(&build::sasl_mechanisms(&left));
        Fate::Withhold
    }

    /// The client answers. `false` if that goes nowhere.
    pub(super) fn password(&mut self, frame: &Frame<'_>) -> bool {
        let chosen = frontend::sasl_initial_response(frame.body()).map(|(mechanism, _)| mechanism);
        if self.reads_login(b'p') && chosen == Some(PLUS) {
            self.login = Login::Refused(LoginRefusal::ChannelBinding);
        }
        self.login_refusal().is_none()
    }

    /// Whether what the client asks waits, since the server may not be one that it should have.
    pub(super) fn waits_for_login(&self) -> bool {
        self.target != TargetSessionAttrs::Any && !self.is_logged_in()
    }

    /// The server is ready for its first query. `false` if the client should have another server.
    pub(super) fn is_wanted(&mut self) -> bool {
        let fits = self.target.at_least().fits(self.attributes) == Some(true);
        if !fits {
            self.login = Login::Refused(LoginRefusal::Target(self.attributes));
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::rules::Origin;
    use crate::session::Setup;
    use crate::session::output::{Note, Output};

    const OFFER: &[u8] = b"R\0\0\0\x2a\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";
    const WITHOUT: &[u8] = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0";
    const TAKEN_UP: &[u8] = b"p\0\0\0\x1dSCRAM-SHA-256-PLUS\0\0\0\0\x02p=";
    const NOT_TAKEN_UP: &[u8] = b"p\0\0\0\x18SCRAM-SHA-256\0\0\0\0\x02n,";

    #[derive(Default)]
    struct Bytes {
        frontend: Vec<u8>,
        backend: Vec<u8>,
    }

    impl Output for Bytes {
        fn to_backend(&mut self, bytes: &[u8]) {
            self.backend.extend_from_slice(bytes);
        }

        fn to_frontend(&mut self, bytes: &[u8]) {
            self.frontend.extend_from_slice(bytes);
        }

        fn note(&mut self, _note: Note) {}
    }

    fn session(channel_binding: ChannelBinding) -> Session {
        session_for(channel_binding, TargetSessionAttrs::Any)
    }

    fn session_for(channel_binding: ChannelBinding, target: TargetSessionAttrs) -> Session {
        Session::new(Setup {
            target,
            origin: Origin::default(),
            rules: Arc::default(),
            catalog: Arc::default(),
            inspect: 1 << 20,
            memory: 1 << 24,
            channel_binding,
        })
    }

    /// What the client gets, where the server's bytes come cut in two anywhere.
    fn offered(channel_binding: ChannelBinding, bytes: &[u8]) -> Vec<u8> {
        let mut seen = None;
        for cut in 0..=bytes.len() {
            let (mut session, mut out) = (session(channel_binding), Bytes::default());
            let done = session.handle_backend(&bytes[..cut], &mut out).unwrap();
            session.handle_backend(&bytes[done..], &mut out).unwrap();
            assert_eq!(
                *seen.get_or_insert_with(|| out.frontend.clone()),
                out.frontend,
                "cut at {cut}"
            );
        }
        seen.unwrap()
    }

    #[test]
    fn an_offer_that_nobody_could_take_up_is_taken_out() {
        assert_eq!(offered(ChannelBinding::Withheld, OFFER), WITHOUT);
        assert_eq!(offered(ChannelBinding::Passes, OFFER), OFFER);
        assert_eq!(offered(ChannelBinding::Refused, OFFER), OFFER);
    }

    #[test]
    fn other_requests_to_authenticate_pass() {
        for request in [
            WITHOUT,
            b"R\0\0\0\x1c\0\0\0\x0aSCRAM-SHA-256-PLUS\0\0",
            b"R\0\0\0\x0c\0\0\0\x05salt",
            b"R\0\0\0\x08\0\0\0\0",
            b"R\0\0\0\x06\0\0",
            b"R\0\0\0\x1b\0\0\0\x0aSCRAM-SHA-256-PLUS\0",
        ] {
            assert_eq!(offered(ChannelBinding::Withheld, request), request);
        }
    }

    #[test]
    fn a_login_bound_to_the_wrong_channel_does_not_reach_the_server() {
        for (binding, message, refused) in [
            (ChannelBinding::Refused, TAKEN_UP, true),
            (ChannelBinding::Refused, NOT_TAKEN_UP, false),
            (ChannelBinding::Passes, TAKEN_UP, false),
            (ChannelBinding::Withheld, TAKEN_UP, false),
        ] {
            let (mut session, mut out) = (session(binding), Bytes::default());
            session.handle_frontend(message, &mut out);
            let refusal = refused.then_some(LoginRefusal::ChannelBinding);
            assert_eq!(session.login_refusal(), refusal, "{binding:?}");
            session.handle_frontend(b"S\0\0\0\x04", &mut out);
            let passed = [message, b"S\0\0\0\x04"].concat();
            assert_eq!(out.backend, if refused { b"" } else { &passed[..] });
        }
    }

    /// As a standby of PostgreSQL 14 or later, or a server before that, begins.
    const WELCOME: &[u8] = b"R\0\0\0\x08\0\0\0\0S\0\0\0\x16in_hot_standby\0on\0\
        S\0\0\0\x26default_transaction_read_only\0off\0";
    const OLD_WELCOME: &[u8] = b"R\0\0\0\x08\0\0\0\0";
    const READY: &[u8] = b"Z\0\0\0\x05I";

    #[test]
    fn what_is_asked_ahead_of_the_login_waits_until_the_server_is_known() {
        let (password, asks) = (b"p\0\0\0\x08abc\0", b"Q\0\0\0\x0dSELECT 1\0");
        let sent = [&password[..], asks].concat();
        for (target, waits) in
            [(TargetSessionAttrs::Any, false), (TargetSessionAttrs::Standby, true)]
        {
            let (mut session, mut out) =
                (session_for(ChannelBinding::Passes, target), Bytes::default());
            let done = session.handle_frontend(&sent, &mut out);
            assert_eq!(done, if waits { password.len() } else { sent.len() });
            assert_eq!(session.wants_frontend(), !waits);
            session.handle_backend(&[WELCOME, READY].concat(), &mut out).unwrap();
            assert!(session.wants_frontend());
            session.handle_frontend(&sent[done..], &mut out);
            assert_eq!(out.backend, sent);
        }
    }

    #[test]
    fn a_server_that_is_not_wanted_is_never_ready() {
        use TargetSessionAttrs::{Any, PreferStandby, Primary, ReadWrite, Standby};
        for (target, welcome, wanted) in [
            (ReadWrite, WELCOME, false),
            (Primary, WELCOME, false),
            (Standby, WELCOME, true),
            (PreferStandby, WELCOME, true),
            (PreferStandby, OLD_WELCOME, true),
            (Any, OLD_WELCOME, true),
            (ReadWrite, OLD_WELCOME, false),
        ] {
            let (mut session, mut out) =
                (session_for(ChannelBinding::Passes, target), Bytes::default());
            session.handle_backend(&[welcome, READY].concat(), &mut out).unwrap();
            let passed = if wanted { [welcome, READY].concat() } else { welcome.to_vec() };
            assert_eq!(out.frontend, passed, "{target:?}");
            assert_eq!(session.is_logged_in(), wanted);
            let refused = matches!(session.login_refusal(), Some(LoginRefusal::Target(_)));
            assert_eq!(refused, !wanted);
            // What comes behind it, a promotion or a row, is for those that it is wanted by.
            let promoted = b"S\0\0\0\x17in_hot_standby\0off\0";
            session.handle_backend(promoted, &mut out).unwrap();
            assert_eq!(session.attributes().in_hot_standby == Some(false), wanted, "{target:?}");
            assert_eq!(out.frontend.ends_with(promoted), wanted);
        }
    }
}
