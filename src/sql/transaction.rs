//! The commands that begin and end transaction blocks.
//!
//! The verb decides: what follows it wrongly makes the server refuse the whole text. Where a word
//! behind the verb decides too, the grammar is [`gram.y`] of PostgreSQL 15.
//!
//! [`gram.y`]: https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/parser/gram.y

use super::tokens::{Kind, Token};

/// What a statement does to the transaction block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionCommand {
    /// BEGIN or START TRANSACTION.
    Begin,
    /// COMMIT or END.
    Commit {
        /// AND CHAIN: the next block begins at once.
        chain: bool,
    },
    /// ROLLBACK or ABORT of the whole block.
    Rollback {
        /// AND CHAIN: the next block begins at once.
        chain: bool,
    },
    /// PREPARE TRANSACTION, which ends the block in this session.
    PrepareTransaction,
    /// ROLLBACK TO a savepoint: a block that was aborted goes on.
    RollbackTo,
}

impl TransactionCommand {
    /// Whether it checks the deferred constraints.
    pub(super) fn checks_deferred(self) -> bool {
        match self {
            Self::Commit { .. } | Self::PrepareTransaction => true,
            Self::Begin | Self::Rollback { .. } | Self::RollbackTo => false,
        }
    }
}

/// Reads a statement; `None` for what leaves the block as it is: SAVEPOINT, RELEASE, and COMMIT or
/// ROLLBACK PREPARED, which end a block of another session, are among it.
pub(super) fn read(tokens: &[Token<'_>]) -> Option<TransactionCommand> {
    let (verb, rest) = tokens.split_first()?;
    if verb.is_word("BEGIN") || verb.is_word("START") && at(rest, 0, "TRANSACTION") {
        Some(TransactionCommand::Begin)
    } else if verb.is_word_of(&["COMMIT", "END"]) {
        (!at(rest, 0, "PREPARED")).then(|| TransactionCommand::Commit { chain: chains(rest) })
    } else if verb.is_word_of(&["ROLLBACK", "ABORT"]) {
        read_rollback(rest)
    } else {
        // `PREPARE transaction AS ...` prepares a statement of that name.
        let string = rest.get(1).is_some_and(|token| token.kind == Kind::String);
        let prepares = verb.is_word("PREPARE") && at(rest, 0, "TRANSACTION") && string;
        prepares.then_some(TransactionCommand::PrepareTransaction)
    }
}

fn read_rollback(rest: &[Token<'_>]) -> Option<TransactionCommand> {
    if at(rest, 0, "PREPARED") {
        None
    } else if at(without_noise(rest), 0, "TO") {
        Some(TransactionCommand::RollbackTo)
    } else {
        Some(TransactionCommand::Rollback { chain: chains(rest) })
    }
}

/// Whether AND CHAIN follows; AND NO CHAIN is what happens without it.
fn chains(rest: &[Token<'_>]) -> bool {
    let rest = without_noise(rest);
    at(rest, 0, "AND") && at(rest, 1, "CHAIN")
}

/// What follows WORK or TRANSACTION, if one of them is first.
fn without_noise<'t, 'a>(rest: &'t [Token<'a>]) -> &'t [Token<'a>] {
    match rest {
        [noise, more @ ..] if noise.is_word_of(&["WORK", "TRANSACTION"]) => more,
        _ => rest,
    }
}

fn at(tokens: &[Token<'_>], index: usize, keyword: &str) -> bool {
    tokens.get(index).is_some_and(|token| token.is_word(keyword))
}
