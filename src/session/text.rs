//! What is kept of a statement's text: enough to plan ahead of it, and to judge its error.

use std::sync::Arc;

use crate::sql::{self, Part, Script, Statement, Syntax};

use super::block::Effect;
use super::name::Name;

/// A Query's or a prepared statement's text.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) kind: Kind,
    /// What it does to the transaction block.
    pub(super) effect: Effect,
    /// Whether it is one statement: no other can fail before what it does to the block.
    pub(super) single: bool,
    /// The prepared statements whose names it may give another meaning.
    pub(super) renames: Renames,
    /// Whether it surely changes nothing that the meaning of an INSERT depends on.
    pub(super) keeps_settings: bool,
}

/// Prepared statements by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Renames {
    These(Vec<Name>),
    Any,
}

/// What an error may be about.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// It may hold an INSERT: the text itself, to be classified if need be.
    MayInsert(Arc<[u8]>),
    /// It may be COMMIT or SET CONSTRAINTS, where deferred constraints are checked.
    DeferredChecks,
    /// It is longer than the inspection limit, or the session keeps enough already.
    TooLarge,
    /// It is not known.
    Unsure,
    /// It is none of these.
    Other,
}

impl Text {
    /// Nothing that matters here.
    pub(super) const OTHER: Self = Self {
        kind: Kind::Other,
        effect: Effect::NOTHING,
        single: false,
        renames: Renames::These(Vec::new()),
        keeps_settings: true,
    };

    /// Whatever a name may stand for that is not known any more.
    pub(super) const UNSURE: Self = Self {
        kind: Kind::Unsure,
        effect: Effect::UNKNOWN,
        single: false,
        renames: Renames::Any,
        keeps_settings: false,
    };

    /// Longer than the inspection limit.
    pub(super) const TOO_LARGE: Self = Self { kind: Kind::TooLarge, ..Self::UNSURE };

    /// What is to be kept of a text.
    pub(super) fn of(text: &[u8], syntax: Syntax) -> Self {
        let kind = if sql::may_insert(text) {
            Kind::MayInsert(text.into())
        } else if sql::may_check_deferred(text) {
            Kind::DeferredChecks
        } else {
            Kind::Other
        };
        if sql::is_plain(text) {
            return Self { kind, keeps_settings: sql::keeps_settings(text), ..Self::OTHER };
        }
        match sql::classify(text, syntax) {
            Ok(script) => {
                let effect = Effect::of_all(script.statements.iter().map(|part| &part.statement));
                let single = script.statements.len() == 1;
                let keeps_settings =
                    script.statements.iter().all(|part| keeps_settings(text, part));
                Self { kind, effect, single, renames: renames(text, &script), keeps_settings }
            }
            Err(_) => Self { kind, ..Self::UNSURE },
        }
    }

    /// Bytes of it that are kept.
    pub(super) fn weight(&self) -> usize {
        match &self.kind {
            Kind::MayInsert(text) => text.len(),
            _ => 0,
        }
    }

    /// Whether it says nothing that would have to be remembered.
    pub(super) fn is_other(&self) -> bool {
        matches!(self.kind, Kind::Other)
            && self.effect == Effect::NOTHING
            && self.renames.is_none()
            && self.keeps_settings
    }
}

impl Renames {
    /// Whether it is not any name at all.
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::These(names) if names.is_empty())
    }
}

/// Whether one statement of a text surely changes nothing that an INSERT depends on.
pub(super) fn keeps_settings(text: &[u8], part: &Part) -> bool {
    text.get(part.range.clone()).is_some_and(sql::keeps_settings)
}

fn renames(text: &[u8], script: &Script) -> Renames {
    let mut names = Vec::new();
    for part in &script.statements {
        let plain = || text.get(part.range.clone()).is_some_and(sql::is_plain);
        match &part.statement {
            Statement::Renames { name, .. } => names.push(Name::new(name.as_bytes())),
            Statement::Other if !plain() => return Renames::Any,
            _ => {}
        }
    }
    Renames::These(names)
}
