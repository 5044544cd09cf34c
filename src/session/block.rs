//! The transaction block as the server will see it when the next message reaches it.
//!
//! Drivers send BEGIN and the first INSERT in one flight, so the status of the last ReadyForQuery
//! is not that of the statement in hand: it is predicted from what was sent since, and each reply
//! corrects it. Where an error that may still come decides, an INSERT waits for it. A prediction
//! that fails nevertheless does no harm: at worst a savepoint is refused, or an error shown that
//! could have been absorbed.

use crate::sql::{Statement, TransactionCommand};
use crate::wire::backend::TransactionStatus;

/// Where a transaction block stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Block {
    /// None is open: each statement, pipeline or Query is a transaction of its own.
    None,
    Open,
    /// Aborted: only a rollback is heard.
    Failed,
    /// Anything may have happened.
    #[default]
    Unknown,
}

impl From<Option<TransactionStatus>> for Block {
    fn from(status: Option<TransactionStatus>) -> Self {
        match status {
            Some(TransactionStatus::Idle) => Self::None,
            Some(TransactionStatus::Transaction) => Self::Open,
            Some(TransactionStatus::Failed) => Self::Failed,
            None => Self::Unknown,
        }
    }
}

impl Block {
    /// The block behind a statement that succeeds, or that the failed block refuses.
    pub(super) fn after(self, statement: &Statement) -> Self {
        let Statement::Transaction(command) = statement else { return self };
        Effect::of(*command).on(self)
    }

    /// The block behind a statement that fails.
    pub(super) fn failed(self) -> Self {
        if self == Self::Open { Self::Failed } else { self }
    }
}

/// What a text does to the block, whatever it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Effect {
    none: Block,
    open: Block,
    failed: Block,
}

impl Effect {
    pub(super) const NOTHING: Self =
        Self { none: Block::None, open: Block::Open, failed: Block::Failed };

    /// A savepoint is rolled back to.
    pub(super) const REVIVES: Self =
        Self { none: Block::None, open: Block::Open, failed: Block::Open };

    /// A statement fails.
    pub(super) const ABORTS: Self =
        Self { none: Block::None, open: Block::Failed, failed: Block::Failed };

    /// BEGIN.
    pub(super) const BEGINS: Self =
        Self { none: Block::Open, open: Block::Open, failed: Block::Failed };

    /// COMMIT or ROLLBACK: whatever becomes of it, the block is over.
    pub(super) const ENDS: Self =
        Self { none: Block::None, open: Block::None, failed: Block::None };

    pub(super) const UNKNOWN: Self =
        Self { none: Block::Unknown, open: Block::Unknown, failed: Block::Unknown };

    /// The effect of statements that run one behind the other.
    pub(super) fn of_all<'a>(statements: impl Iterator<Item = &'a Statement>) -> Self {
        statements.fold(Self::NOTHING, |effect, statement| Self {
            none: effect.none.after(statement),
            open: effect.open.after(statement),
            failed: effect.failed.after(statement),
        })
    }

    /// The block behind the text.
    pub(super) fn on(self, block: Block) -> Block {
        match block {
            Block::None => self.none,
            Block::Open => self.open,
            Block::Failed => self.failed,
            Block::Unknown if self.none == self.open && self.open == self.failed => self.none,
            Block::Unknown => Block::Unknown,
        }
    }

    /// The manual's [transaction commands](https://www.postgresql.org/docs/current/sql-commands.html).
    fn of(command: TransactionCommand) -> Self {
        use Block::{Failed, None, Open};
        use TransactionCommand::{Begin, Commit, PrepareTransaction, Rollback, RollbackTo};
        let (none, open, failed) = match command {
            Begin => (Open, Open, Failed),
            Commit { chain: true } | Rollback { chain: true } | RollbackTo => (None, Open, Open),
            Commit { chain: false } | Rollback { chain: false } | PrepareTransaction => {
                (None, None, None)
            }
        };
        Self { none, open, failed }
    }
}

#[cfg(test)]
mod tests;
