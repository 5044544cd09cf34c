//! What can be wrong with a rules file, where, and how it is told.

use std::fmt;

use humantime::format_duration;

use super::AddressError;
use crate::rules::{ColumnError, DateError, GlobError, RuleIdError};

/// All that is wrong with one text, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Orders what was found at byte offsets of the text.
    pub(super) fn new(mut found: Vec<(usize, Problem)>, lines: &Lines<'_>) -> Self {
        found.sort_by_key(|(at, _)| *at);
        let place = |(at, problem)| {
            let (line, column) = lines.position(at);
            Mistake { line, column, problem }
        };
        Self(found.into_iter().map(place).collect())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The mistakes one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Mistake> {
        self.0.iter()
    }

    /// To be shown with the name of the file, one mistake a line, and their number in the end.
    #[must_use]
    pub fn in_file<'a>(&'a self, name: &'a str) -> InFile<'a> {
        InFile { name, mistakes: self }
    }
}

impl<'a> IntoIterator for &'a Mistakes {
    type Item = &'a Mistake;
    type IntoIter = std::slice::Iter<'a, Mistake>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// [`Mistakes`] as a compiler would show them.
#[derive(Clone, Copy, Debug)]
pub struct InFile<'a> {
    name: &'a str,
    mistakes: &'a Mistakes,
}

impl fmt::Display for InFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, mistakes } = self;
        for mistake in *mistakes {
            writeln!(f, "{name}:{mistake}")?;
        }
        let noun = if mistakes.len() == 1 { "mistake" } else { "mistakes" };
        write!(f, "{} {noun} in {name}", mistakes.len())
    }
}

/// One thing that is wrong. Shown as `line:column: problem`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {problem}")]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not TOML; the parser says why.
    #[error("{0}")]
    Syntax(String),
    /// A table or key at the top that means nothing.
    #[error("unknown section {name:?}; {hint}")]
    UnknownSection {
        /// What was written.
        name: String,
        /// What may have been meant.
        hint: Hint,
    },
    /// A key that means nothing where it stands.
    #[error("unknown key {key:?} in {section}; {hint}")]
    UnknownKey {
        /// What was written.
        key: String,
        /// Where.
        section: &'static str,
        /// What may have been meant.
        hint: Hint,
    },
    /// A key without which the rest is worth nothing.
    #[error("{key} is missing in {section}; write it like {example}")]
    Missing {
        /// The key.
        key: &'static str,
        /// Where.
        section: &'static str,
        /// How it is written.
        example: &'static str,
    },
    /// A number where a text belongs, and the like.
    #[error("{key} must be {expected}, not {found}")]
    WrongType {
        /// The key.
        key: &'static str,
        /// What belongs there.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// `""` or `[]`
    #[error("{0} is empty; give it a value or leave the key out")]
    Empty(&'static str),
    /// A value of the right type that will not do.
    #[error("{key} {value:?} {reason}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// What was written.
        value: String,
        /// Why it will not do.
        reason: Reason,
    },
    /// An address to listen on, given twice.
    #[error("{key} names {value:?} twice")]
    Twice {
        /// The key.
        key: &'static str,
        /// What is there twice.
        value: String,
    },
    /// The proxy would connect to itself.
    #[error("upstream is {0}, where the proxy itself listens")]
    Loop(String),
    /// Two listeners in one place.
    #[error("listen of [admin] is {admin}, and {proxy} is where [proxy] listens; give it another {}", if proxy.starts_with("unix:") { "path" } else { "port" })]
    Taken {
        /// Where metrics were to be told.
        admin: String,
        /// Where clients connect.
        proxy: String,
    },
    /// A key that needs another one.
    #[error("{key} means nothing without {other}")]
    Alone {
        /// The key.
        key: &'static str,
        /// What it needs.
        other: &'static str,
    },
    /// Certificates to verify with, where nothing is verified.
    #[error("ca verifies nothing in mode {0:?}; write mode = \"verify-full\" or \"verify-ca\"")]
    Unverified(&'static str),
    /// Encryption on a Unix-domain socket, where the server has none.
    #[error("mode {0:?} cannot be: PostgreSQL has no TLS on a Unix-domain socket")]
    EncryptedSocket(&'static str),
    /// Clients would fall back to plain text by themselves.
    #[error(
        "mode \"allow\" together with [server_tls] would send clients into plain text silently: \
         SCRAM's channel binding fails between two TLS connections, and libpq then tries without \
         encryption; write mode = \"require\", or [auth] mode = \"scram\""
    )]
    SilentFallback,
    /// A conflict is to update the row, and nothing says with what.
    #[error("on_conflict = \"update\" needs set: name the columns, or write set = \"*\"")]
    UpdateWithoutSet,
    /// Columns to update, and no update.
    #[error("set means nothing without on_conflict = \"update\"")]
    SetWithoutUpdate,
    /// All columns, in a list of some.
    #[error("set = \"*\" is all there is to set; write it alone")]
    AllAmongColumns,
    /// Two rules of one name.
    #[error("id {id:?} is used already in line {line}")]
    DuplicateId {
        /// The name.
        id: String,
        /// The line of the first one.
        line: usize,
    },
    /// A rule that no error ever reaches.
    #[error("rule {id:?} never matches: rule {earlier:?} in line {line} lists the same")]
    Shadowed {
        /// The rule.
        id: String,
        /// The one before it.
        earlier: String,
        /// The line of that one.
        line: usize,
    },
}

/// Why a value will not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Not one of the words.
    #[error("is not known; {0}")]
    Word(Hint),
    /// Not an address.
    #[error(transparent)]
    Address(AddressError),
    /// An address that others can reach.
    #[error(
        "can be reached from outside, and asks for no password; write a loopback address like \
         \"127.0.0.1:9432\", or \"unix:/path\""
    )]
    NotLocal,
    /// Not an id.
    #[error(transparent)]
    Id(RuleIdError),
    /// Not a pattern.
    #[error(transparent)]
    Glob(GlobError),
    /// Not the name of a column.
    #[error(transparent)]
    Column(ColumnError),
    /// Not a day.
    #[error(transparent)]
    Date(DateError),
    /// The schema whose constraints are never absorbed.
    #[error("is never absorbed: the system catalogs are the server's own")]
    SystemSchema,
    /// Not a duration.
    #[error("is not a duration; write it like \"10s\" or \"1m 30s\"")]
    Duration,
    /// Too short or too long.
    #[error("is out of range: from {} to {}", format_duration(*.0), format_duration(*.1))]
    DurationRange(std::time::Duration, std::time::Duration),
    /// Not a size.
    #[error("is not a size; write it like \"64KiB\" or \"1MiB\"")]
    Size,
    /// Too small or too large.
    #[error("is out of range: from {0} to {1}")]
    SizeRange(bytesize::ByteSize, bytesize::ByteSize),
    /// Too few or too many.
    #[error("is out of range: from {0} to {1}")]
    CountRange(usize, usize),
    /// No file is called so.
    #[error("is not the path of a file")]
    Path,
}

/// What may have been meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// The one that looks most like it.
    Similar(&'static str),
    /// It is known elsewhere.
    Belongs(&'static str),
    /// All there are.
    Known(Vec<&'static str>),
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Similar(name) => write!(f, "did you mean {name:?}?"),
            Self::Belongs(section) => write!(f, "it belongs in {section}"),
            Self::Known(names) => write!(f, "known are {}", names.join(", ")),
        }
    }
}

impl Hint {
    /// The most similar of the known names if one is similar at all, else all of them.
    pub(super) fn of(written: &str, known: impl Iterator<Item = &'static str>) -> Self {
        let known: Vec<_> = known.collect();
        let length = written.chars().count();
        if length > LONGEST_GUESS {
            return Self::Known(known);
        }
        let written = written.to_lowercase();
        let distance = |name: &'static str| (strsim::damerau_levenshtein(&written, name), name);
        let nearest = known.iter().map(|&name| distance(name)).min_by_key(|(it, _)| *it);
        match nearest {
            Some((distance, name)) if distance <= 1 + length / 4 => Self::Similar(name),
            _ => Self::Known(known),
        }
    }
}

/// No name of ours comes near it, and comparing takes its square.
const LONGEST_GUESS: usize = 64;

/// The one mistake of a text that is not TOML.
pub(super) fn syntax(error: &toml::de::Error, lines: &Lines<'_>) -> Mistakes {
    let at = error.span().map_or(0, |span| span.start);
    Mistakes::new(vec![(at, Problem::Syntax(error.message().to_owned()))], lines)
}

/// Where the lines of a text start, to turn byte offsets into positions.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(after_newlines).collect() }
    }

    /// The line of a byte offset, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|&start| start <= at)
    }

    /// The line and the character in it, both from 1.
    pub(super) fn position(&self, at: usize) -> (usize, usize) {
        let line = self.line(at);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..at).map_or(0, |it| it.chars().count());
        (line, before + 1)
    }
}
