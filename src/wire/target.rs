//! What a client wants its server to be, as libpq's
//! [`target_session_attrs`](https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS)
//! says it, and what a server says that it is.

/// Which servers are right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetSessionAttrs {
    /// Whichever can be reached.
    #[default]
    Any,
    /// One whose transactions may write unless they say otherwise.
    ReadWrite,
    /// One whose transactions may not, unless they say otherwise.
    ReadOnly,
    /// One that is no standby.
    Primary,
    /// A standby.
    Standby,
    /// A standby, or any other if no standby is to be had.
    PreferStandby,
}

/// What a server says of itself, in ParameterStatus from PostgreSQL 14 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `in_hot_standby`: whether it is a standby.
    pub in_hot_standby: Option<bool>,
    /// `default_transaction_read_only`: whether transactions may not write unless they say
    /// otherwise.
    pub default_transaction_read_only: Option<bool>,
}

impl TargetSessionAttrs {
    /// Every one there is.
    pub const ALL: [Self; 6] = [
        Self::Any,
        Self::ReadWrite,
        Self::ReadOnly,
        Self::Primary,
        Self::Standby,
        Self::PreferStandby,
    ];

    /// The word for it, which is libpq's.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::ReadWrite => "read-write",
            Self::ReadOnly => "read-only",
            Self::Primary => "primary",
            Self::Standby => "standby",
            Self::PreferStandby => "prefer-standby",
        }
    }

    /// Whether a server is what was wanted in the first place; `None` if it has not said enough.
    #[must_use]
    pub fn fits(self, server: Attributes) -> Option<bool> {
        let Attributes { in_hot_standby, default_transaction_read_only } = server;
        let may_write = || Some(!(in_hot_standby? || default_transaction_read_only?));
        match self {
            Self::Any => Some(true),
            Self::ReadWrite => may_write(),
            Self::ReadOnly => may_write().map(|it| !it),
            Self::Primary => in_hot_standby.map(|it| !it),
            Self::Standby | Self::PreferStandby => in_hot_standby,
        }
    }

    /// What will do where nothing fits.
    #[must_use]
    pub fn at_least(self) -> Self {
        if self == Self::PreferStandby { Self::Any } else { self }
    }
}

impl Attributes {
    /// Takes note of what the server says of a parameter.
    pub fn learn(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"in_hot_standby" => self.in_hot_standby = Some(value == b"on"),
            b"default_transaction_read_only" => {
                self.default_transaction_read_only = Some(value == b"on");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TargetSessionAttrs::{Any, PreferStandby, Primary, ReadOnly, ReadWrite, Standby};

    /// The table of the manual.
    #[test]
    fn a_server_fits_as_libpq_has_it() {
        let primary = (false, false);
        let (reads_by_default, standby, both) = ((false, true), (true, false), (true, true));
        for (target, server, fits) in [
            (ReadWrite, primary, true),
            (ReadWrite, reads_by_default, false),
            (ReadWrite, standby, false),
            (ReadWrite, both, false),
            (ReadOnly, primary, false),
            (ReadOnly, reads_by_default, true),
            (ReadOnly, standby, true),
            (Primary, primary, true),
            (Primary, reads_by_default, true),
            (Primary, standby, false),
            (Standby, primary, false),
            (Standby, standby, true),
            (PreferStandby, primary, false),
            (PreferStandby, standby, true),
        ] {
            let (in_hot_standby, read_only) = server;
            let server = Attributes {
                in_hot_standby: Some(in_hot_standby),
                default_transaction_read_only: Some(read_only),
            };
            assert_eq!(target.fits(server), Some(fits), "{target:?} {server:?}");
            assert_eq!(Any.fits(server), Some(true));
        }
        assert_eq!(PreferStandby.at_least(), Any);
    }

    #[test]
    fn one_that_has_not_said_what_it_is_does_not_fit() {
        for target in TargetSessionAttrs::ALL {
            let fits = target.fits(Attributes::default());
            assert_eq!(fits, (target == Any).then_some(true), "{target:?}");
        }
    }
}
