//! The kinds of values there are: how each is written and what it means.

use std::{path::PathBuf, time::Duration};

use bytesize::ByteSize;

use super::{
    Address, Expect, Hint, Inside, KeyValues, LogFormat, LogLevel, Problem, Reason, Roots,
    ServerMode, address,
    reader::{Kind, Written},
};
use crate::rules::{
    Action, AffectedRows, Column, ConstraintGlob, Date, Glob, Returning, RuleId, SYSTEM_SCHEMA,
    Strategy,
};
use crate::wire::target::TargetSessionAttrs;

pub(super) const LISTEN: Kind<Address> = text("an address or a list of them", |key, it| {
    it.parse().map_err(|error| invalid(key, it, Reason::Address(error)))
});

pub(super) const UPSTREAM: Kind<Address> = text("an address or a list of them", |key, it| {
    Address::of_server(it).map_err(|error| invalid(key, it, Reason::Address(error)))
});

pub(super) const TARGET: Kind<TargetSessionAttrs> = text(
    "\"any\", \"read-write\", \"read-only\", \"primary\", \"standby\" or \"prefer-standby\"",
    |key, it| word(key, it, &TargetSessionAttrs::ALL.map(|it| (it.as_str(), it))),
);

pub(super) const ADMIN: Kind<Address> = text("an address", |key, it| {
    let address: Address = it.parse().map_err(|error| invalid(key, it, Reason::Address(error)))?;
    if address.is_local() { Ok(address) } else { Err(invalid(key, it, Reason::NotLocal)) }
});

pub(super) const FORMAT: Kind<LogFormat> = text("\"json\" or \"text\"", |key, it| {
    word(key, it, &[("json", LogFormat::Json), ("text", LogFormat::Text)])
});

pub(super) const KEY_VALUES: Kind<KeyValues> = text("\"hide\", \"hash\" or \"show\"", |key, it| {
    let words = [("hide", KeyValues::Hide), ("hash", KeyValues::Hash), ("show", KeyValues::Show)];
    word(key, it, &words)
});

pub(super) const LEVEL: Kind<LogLevel> =
    text("\"error\", \"warn\", \"info\", \"debug\" or \"trace\"", |key, it| {
        use LogLevel::{Debug, Error, Info, Trace, Warn};
        word(key, it, &[Error, Warn, Info, Debug, Trace].map(|it| (it.as_str(), it)))
    });

pub(super) const FILE: Kind<PathBuf> = text("the path of a file", |key, it| {
    let path = !it.contains('\0') && !it.ends_with('/');
    if path { Ok(PathBuf::from(it)) } else { Err(invalid(key, it, Reason::Path)) }
});

pub(super) const SWITCH: Kind<bool> = Kind {
    written: Written::Boolean,
    expected: "true or false",
    parse: |key, it| word(key, it, &[("true", true), ("false", false)]),
};

pub(super) const CLIENT_MODE: Kind<ClientMode> =
    text("\"disable\", \"allow\" or \"require\"", |key, it| {
        use ClientMode::{Allow, Disable, Require};
        word(key, it, &[("disable", Disable), ("allow", Allow), ("require", Require)])
    });

/// What clients may ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ClientMode {
    #[default]
    Disable,
    Allow,
    Require,
}

pub(super) const CLIENT_CERTIFICATE: Kind<bool> = text("\"optional\" or \"require\"", |key, it| {
    word(key, it, &[("optional", false), ("require", true)])
});

pub(super) const AUTH_MODE: Kind<AuthMode> = text("\"relay\" or \"scram\"", |key, it| {
    word(key, it, &[("relay", AuthMode::Relay), ("scram", AuthMode::Scram)])
});

/// Who makes sure of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AuthMode {
    Relay,
    Scram,
}

pub(super) const SERVER_MODE: Kind<Option<ServerMode>> =
    text("\"disable\", \"prefer\", \"require\", \"verify-ca\" or \"verify-full\"", |key, it| {
        use ServerMode::{Prefer, Require, VerifyCa, VerifyFull};
        let modes = [Prefer, Require, VerifyCa, VerifyFull].map(|it| (it.as_str(), Some(it)));
        let [prefer, require, verify_ca, verify_full] = modes;
        word(key, it, &[("disable", None), prefer, require, verify_ca, verify_full])
    });

pub(super) const ROOTS: Kind<Roots> = text("the path of a file, or \"system\"", |key, it| {
    if it == "system" { Ok(Roots::System) } else { (FILE.parse)(key, it).map(Roots::File) }
});

pub(super) const SERVER_NAME: Kind<String> =
    text("the name of a host", |key, it| match address::check_host(it) {
        Ok(()) => Ok(it.to_owned()),
        Err(error) => Err(invalid(key, it, Reason::Address(error))),
    });

pub(super) const CONNECTIONS: Kind<usize> =
    Kind { written: Written::Integer, expected: "an integer", parse: |key, it| count(key, it, 1) };

pub(super) const PER_MINUTE: Kind<usize> =
    Kind { written: Written::Integer, expected: "an integer", parse: |key, it| count(key, it, 0) };

fn count(key: &'static str, it: &str, least: usize) -> Result<usize, Problem> {
    let range = least..=1_000_000;
    let reason = Reason::CountRange(*range.start(), *range.end());
    let count = it.parse().ok().filter(|it| range.contains(it));
    count.ok_or_else(|| invalid(key, it, reason))
}

pub(super) const TIMEOUT: Kind<Duration> =
    text("a duration like \"10s\"", |key, it| duration(key, it, Duration::from_millis(1)));

pub(super) const DELAY: Kind<Duration> =
    text("a duration like \"10s\"", |key, it| duration(key, it, Duration::ZERO));

fn duration(key: &'static str, it: &str, least: Duration) -> Result<Duration, Problem> {
    let range = least..=Duration::from_hours(24);
    let duration = humantime::parse_duration(it).map_err(|_| invalid(key, it, Reason::Duration))?;
    let reason = Reason::DurationRange(*range.start(), *range.end());
    if range.contains(&duration) { Ok(duration) } else { Err(invalid(key, it, reason)) }
}

pub(super) const INSPECT: Kind<usize> = text("a size like \"1MiB\"", |key, it| {
    let range = ByteSize::kib(16)..=ByteSize::gib(1);
    let bare = it.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let size = it.parse::<ByteSize>().ok().filter(|_| !bare);
    let size = size.ok_or_else(|| invalid(key, it, Reason::Size))?;
    let fits = range.contains(&size).then(|| usize::try_from(size.as_u64()).ok()).flatten();
    let reason = Reason::SizeRange(*range.start(), *range.end());
    fits.ok_or_else(|| invalid(key, it, reason))
});

pub(super) const ID: Kind<RuleId> = text("a string", |key, it| {
    RuleId::new(it).map_err(|error| invalid(key, it, Reason::Id(error)))
});

pub(super) const CONSTRAINT: Kind<ConstraintGlob> = text("a string", |key, it| {
    ConstraintGlob::new(it).map_err(|error| invalid(key, it, Reason::Glob(error)))
});

pub(super) const SCHEMA: Kind<Glob> = text("a string", |key, it| {
    if it == SYSTEM_SCHEMA {
        return Err(invalid(key, it, Reason::SystemSchema));
    }
    (GLOB.parse)(key, it)
});

pub(super) const GLOB: Kind<Glob> = text("a string", |key, it| {
    Glob::new(it).map_err(|error| invalid(key, it, Reason::Glob(error)))
});

pub(super) const GLOBS: Kind<Glob> = Kind { expected: "a string or a list of strings", ..GLOB };

pub(super) const ACTION: Kind<Action> = text("\"absorb\", \"observe\" or \"alert\"", |key, it| {
    use Action::{Absorb, Alert, Observe};
    word(key, it, &[Absorb, Observe, Alert].map(|it| (it.as_str(), it)))
});

pub(super) const DEFAULT_ACTION: Kind<Action> = text("\"absorb\" or \"observe\"", |key, it| {
    word(key, it, &[Action::Absorb, Action::Observe].map(|it| (it.as_str(), it)))
});

pub(super) const EXPIRES: Kind<Date> = Kind {
    written: Written::Date,
    expected: "a date like 2026-12-31, without quotes",
    parse: |key, it| Date::new(it).map_err(|error| invalid(key, it, Reason::Date(error))),
};

pub(super) const STRATEGY: Kind<Strategy> = text("\"react\" or \"rewrite\"", |key, it| {
    word(key, it, &[Strategy::React, Strategy::Rewrite].map(|it| (it.as_str(), it)))
});

pub(super) const ON_CONFLICT: Kind<Update> = text("\"nothing\" or \"update\"", |key, it| {
    word(key, it, &[("nothing", Update::No), ("update", Update::Yes)])
});

/// Whether a conflict updates the row that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Update {
    No,
    Yes,
}

pub(super) const SET: Kind<Set> = Kind {
    written: Written::Text,
    expected: "\"*\" or a list of columns",
    parse: |key, it| {
        if it == "*" {
            return Ok(Set::All);
        }
        let column = Column::new(it).map_err(|error| invalid(key, it, Reason::Column(error)))?;
        Ok(Set::Column(column))
    },
};

/// One value of `set`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Set {
    All,
    Column(Column),
}

pub(super) const RETURNING: Kind<Returning> =
    text("\"empty\", \"existing\" or \"error\"", |key, it| {
        let words = [
            ("empty", Returning::Empty),
            ("existing", Returning::Existing),
            ("error", Returning::Error),
        ];
        word(key, it, &words)
    });

pub(super) const AFFECTED_ROWS: Kind<AffectedRows> =
    text("\"actual\" or \"requested\"", |key, it| {
        let words = [("actual", AffectedRows::Actual), ("requested", AffectedRows::Requested)];
        word(key, it, &words)
    });

pub(super) const INSIDE: Kind<Inside> =
    text("\"autocommit\", \"transaction\" or \"pipeline\"", |key, it| {
        use Inside::{Autocommit, Pipeline, Transaction};
        let words =
            [("autocommit", Autocommit), ("transaction", Transaction), ("pipeline", Pipeline)];
        word(key, it, &words)
    });

pub(super) const EXPECT: Kind<Expect> =
    text("\"absorbed\", \"observed\", \"alert\" or \"shown\"", |key, it| {
        use Expect::{Absorbed, Alert, Observed, Shown};
        word(key, it, &[Absorbed, Observed, Alert, Shown].map(|it| (it.as_str(), it)))
    });

pub(super) const PROSE: Kind<String> = text("a string", |_, it| Ok(it.to_owned()));

fn word<T: Copy>(key: &'static str, text: &str, words: &[(&'static str, T)]) -> Result<T, Problem> {
    let found = words.iter().find(|(it, _)| *it == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let hint = Hint::of(text, words.iter().map(|(it, _)| *it));
        invalid(key, text, Reason::Word(hint))
    })
}

const fn text<T>(
    expected: &'static str,
    parse: fn(&'static str, &str) -> Result<T, Problem>,
) -> Kind<T> {
    Kind { written: Written::Text, expected, parse }
}

fn invalid(key: &'static str, value: &str, reason: Reason) -> Problem {
    Problem::Invalid { key, value: value.to_owned(), reason }
}
