//! Patterns over names: `*` is any run of characters, `?` is one character, the rest is literal.
//!
//! A matcher of our own, since general glob crates speak of paths: brackets, braces, separators and
//! a `?` that is one byte would all have to be argued away.

use std::{fmt, ops::Deref};

/// The longest name that PostgreSQL stores, in bytes
/// ([`NAMEDATALEN`](https://www.postgresql.org/docs/current/limits.html) less one).
pub const NAME_BYTES: usize = 63;

/// A pattern over names, case-sensitive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Glob(String);

impl Glob {
    /// Takes a text as a pattern, if some name could match it.
    pub fn new(text: &str) -> Result<Self, GlobError> {
        let shortest: usize = text.chars().filter(|&it| it != '*').map(char::len_utf8).sum();
        if text.is_empty() {
            Err(GlobError::Empty)
        } else if text.contains('\0') {
            Err(GlobError::Nul)
        } else if shortest > NAME_BYTES {
            Err(GlobError::TooLong)
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The one name that it matches, if it is no more than a name.
    pub fn exact(&self) -> Option<&str> {
        (!self.0.contains(is_wildcard)).then_some(&self.0)
    }

    /// Whether the whole name matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.chars(), name.chars());
        let mut last_star = None;
        loop {
            match (pattern.next(), rest.clone().next()) {
                (None, None) => return true,
                (Some('*'), _) => last_star = Some((pattern.clone(), rest.clone())),
                (Some(want), Some(have)) if want == '?' || want == have => drop(rest.next()),
                _ => {
                    // Let the last star take one character more, and try again from there.
                    let Some((after_star, from)) = &mut last_star else { return false };
                    if from.next().is_none() {
                        return false;
                    }
                    (pattern, rest) = (after_star.clone(), from.clone());
                }
            }
        }
    }

    /// Whether it surely matches all that the other matches; of two patterns, only the same one.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self == other || other.exact().is_some_and(|name| self.matches(name))
    }

    /// The pattern as an operand of SQL `LIKE` with the backslash as its escape, over the bytes of
    /// UTF-8: it matches all that the glob does, and a little more, since `?` may be any bytes.
    #[must_use]
    pub fn to_like(&self) -> String {
        let mut like = String::with_capacity(self.0.len());
        for it in self.0.chars() {
            match it {
                '*' => like.push('%'),
                '?' => like.push_str("_%"),
                '%' | '_' | '\\' => like.extend(['\\', it]),
                _ => like.push(it),
            }
        }
        like
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::Escaped(&self.0).fmt(f)
    }
}

/// A [`Glob`] for constraints, which never matches every name there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConstraintGlob(Glob);

impl ConstraintGlob {
    /// Takes a text as a pattern, if it holds at least one literal character.
    pub fn new(text: &str) -> Result<Self, GlobError> {
        let glob = Glob::new(text)?;
        if text.chars().all(is_wildcard) { Err(GlobError::Everything) } else { Ok(Self(glob)) }
    }
}

impl Deref for ConstraintGlob {
    type Target = Glob;

    fn deref(&self) -> &Glob {
        &self.0
    }
}

impl fmt::Display for ConstraintGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// No name is empty.
    #[error("is empty")]
    Empty,
    /// No name holds a NUL.
    #[error("holds a NUL, which no name in PostgreSQL does")]
    Nul,
    /// PostgreSQL cuts names to [`NAME_BYTES`].
    #[error("is longer than 63 bytes, to which PostgreSQL cuts every name")]
    TooLong,
    /// It would list every constraint of the database.
    #[error("would list every constraint; write at least one character besides * and ?")]
    Everything,
}

fn is_wildcard(it: char) -> bool {
    matches!(it, '*' | '?')
}
