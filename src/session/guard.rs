//! The savepoint around an INSERT inside a transaction block.
//!
//! It is made and released in the flight of the statement itself, so nothing waits for it: as
//! commands of the proxy's own around an Execute, and spliced into the text of a Query.
//!
//! ```text
//!   Parse Bind [SAVEPOINT] Execute [RELEASE] Sync
//!   Query "BEGIN;" "SAVEPOINT pgabsorb_guard;" "INSERT ..." "\n;RELEASE SAVEPOINT pgabsorb_guard"
//! ```

use bytes::{Bytes, BytesMut};

use crate::wire::build;

use super::expected::{Command, Expected, Purpose};

/// The name of the savepoint, and of the statements and portals that make and release it.
const NAME: &str = "pgabsorb_guard";

const SAVEPOINT: &str = "SAVEPOINT pgabsorb_guard";
const RELEASE: &str = "RELEASE SAVEPOINT pgabsorb_guard";
const ROLLBACK_TO: &str = "ROLLBACK TO SAVEPOINT pgabsorb_guard";
/// Fails in a transaction block and outside one, for want of such a savepoint.
const ABORT: &str = "ROLLBACK TO SAVEPOINT pgabsorb_none";

impl Purpose {
    /// The command's messages and its entry. Those that take more than a fixed text are built
    /// elsewhere: asked for one of them, this gives a command that fails.
    ///
    /// If one before it has failed, it begins with a Close of what that has left behind.
    pub(super) fn command(self, before: Behind) -> (Bytes, Expected) {
        let text = self.text().unwrap_or(ABORT);
        let mut closes = build::COMMAND_CLOSES;
        let mut out = BytesMut::new();
        if before == Behind::Statement {
            out.extend_from_slice(&build::close_statement(NAME.as_bytes()));
            closes += 1;
        }
        out.extend_from_slice(&build::command(NAME, text, &[]));
        (out.freeze(), Expected::Own(Command::new(self, closes)))
    }

    /// The command's text, if it is always the same.
    pub(super) fn text(self) -> Option<&'static str> {
        match self {
            Self::Savepoint => Some(SAVEPOINT),
            Self::Release => Some(RELEASE),
            Self::RollbackTo => Some(ROLLBACK_TO),
            Self::Abort => Some(ABORT),
            Self::Lookup | Self::Verify | Self::Redo | Self::Restore => None,
        }
    }
}

/// What the last command of the proxy's own has left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Behind {
    #[default]
    Nothing,
    /// It failed: closing what is not there would be no error, but cost a message each time.
    Statement,
}
