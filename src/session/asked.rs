//! What failed, as far as its text says: only an error has it read.

use std::sync::Arc;

use crate::sql::{Insert, Part, Rows, Script, Statement, Unclassified};

use super::recovery::ReplyTo;
use super::text::{Kind, Text};

/// What the statements of a text are, and its shape.
pub(super) type Read = (Result<Arc<Script>, Unclassified>, u64);

/// What failed, as far as its text says.
#[derive(Debug)]
pub(super) enum Asked {
    /// One statement, where the next one in its text begins, and the text's shape.
    Statement(Part, Option<usize>, u64),
    /// Several, of which it is not known which.
    Several(u64),
    DeferredChecks,
    NotInsert,
    TooLarge,
    Unclassified,
}

impl Asked {
    /// `start` is where the statement begins in a text of several.
    pub(super) fn of(text: &Text, start: Option<usize>, read: impl FnOnce(&[u8]) -> Read) -> Self {
        let text = match &text.kind {
            Kind::MayInsert(text) => text,
            Kind::DeferredChecks => return Self::DeferredChecks,
            Kind::TooLarge => return Self::TooLarge,
            Kind::Unsure => return Self::Unclassified,
            Kind::Other => return Self::NotInsert,
        };
        let (Ok(script), fingerprint) = read(text) else { return Self::Unclassified };
        let alone = script.statements.len() == 1;
        let asked = |part: &Part| alone || Some(part.range.start) == start;
        let mut parts = script.statements.iter().skip_while(|part| !asked(part));
        match parts.next() {
            Some(found) => {
                let next = parts.next().map(|part| part.range.start);
                Self::Statement(found.clone(), next, fingerprint)
            }
            None if script.statements.is_empty() => Self::Unclassified,
            None => Self::Several(fingerprint),
        }
    }

    pub(super) fn reply_to(&self) -> ReplyTo<'_> {
        match self {
            Self::Statement(part, ..) => ReplyTo::Statement(&part.statement),
            Self::Several(_) => ReplyTo::Several,
            Self::DeferredChecks => ReplyTo::DeferredChecks,
            Self::NotInsert => ReplyTo::NotInsert,
            Self::TooLarge => ReplyTo::TooLarge,
            Self::Unclassified => ReplyTo::Unclassified,
        }
    }

    pub(super) fn part(&self) -> Option<&Part> {
        match self {
            Self::Statement(part, ..) => Some(part),
            _ => None,
        }
    }

    /// Where the next statement begins in the text.
    pub(super) fn next(&self) -> Option<usize> {
        match self {
            Self::Statement(_, next, _) => *next,
            _ => None,
        }
    }

    pub(super) fn insert(&self) -> Option<&Insert> {
        match &self.part()?.statement {
            Statement::Insert(insert) => Some(insert),
            _ => None,
        }
    }

    pub(super) fn kind(&self) -> Option<&'static str> {
        Some(match self {
            Self::Statement(..) if self.insert().is_some() => "insert",
            Self::Statement(..) => "other",
            Self::Several(_) => "several",
            _ => return None,
        })
    }

    pub(super) fn rows(&self, server_version: u32) -> Option<u32> {
        self.insert().and_then(|insert| rows_requested(insert, server_version))
    }

    pub(super) fn fingerprint(&self) -> Option<u64> {
        match self {
            Self::Statement(.., fingerprint) | Self::Several(fingerprint) => Some(*fingerprint),
            _ => None,
        }
    }
}

/// How many rows a statement means to insert, where its text says so.
pub(super) fn rows_requested(insert: &Insert, server_version: u32) -> Option<u32> {
    match insert.rows_at(server_version) {
        Rows::One => Some(1),
        Rows::Several(rows) => Some(rows),
        Rows::Calls | Rows::Query => None,
    }
}
