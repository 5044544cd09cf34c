//! The savepoint around an INSERT inside a transaction block.
//!
//! It is made and released in the flight of the statement itself, so nothing waits for it: as
//! commands of the proxy's own around an Execute, and spliced into the text of a Query.
//!
//! ```text
//!   Parse Bind [SAVEPOINT] Execute [RELEASE] Sync
//!   Query "BEGIN;" "SAVEPOINT pgabsorb_guard;" "INSERT ..." "\n;RELEASE SAVEPOINT pgabsorb_guard"
//! ```

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::sql::{Script, Statement, TransactionCommand};
use crate::wire::backend::SqlState;
use crate::wire::build;

use super::block::Block;
use super::expected::{Command, Expected, Purpose};

/// The name of the savepoint, and of the statements and portals that make and release it.
const NAME: &str = "pgabsorb_guard";

const SAVEPOINT: &str = "SAVEPOINT pgabsorb_guard";
const RELEASE: &str = "RELEASE SAVEPOINT pgabsorb_guard";
const ROLLBACK_TO: &str = "ROLLBACK TO SAVEPOINT pgabsorb_guard";
/// Fails in a transaction block and outside one, for want of such a savepoint.
const ABORT: &str = "ROLLBACK TO SAVEPOINT pgabsorb_none";

impl Purpose {
    /// The command's messages and its entry. A lookup and a redo take more than a fixed text and are
    /// built elsewhere: asked for one of them, this gives a command that fails.
    ///
    /// If one before it has failed, it begins with a Close of what that has left behind.
    pub(super) fn command(self, before: Behind) -> (Bytes, Expected) {
        let text = match self {
            Self::Savepoint => SAVEPOINT,
            Self::Release => RELEASE,
            Self::RollbackTo => ROLLBACK_TO,
            Self::Abort | Self::Lookup | Self::Redo => ABORT,
        };
        let mut closes = build::COMMAND_CLOSES;
        let mut out = BytesMut::new();
        if before == Behind::Statement {
            out.extend_from_slice(&build::close_statement(NAME));
            closes += 1;
        }
        out.extend_from_slice(&build::command(NAME, text, &[]));
        (out.freeze(), Expected::Own(Command { purpose: self, closes }))
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

/// A Query's text with the proxy's own commands in it.
#[derive(Debug)]
pub(super) struct Splice {
    pub(super) text: BytesMut,
    /// What answers with a CommandComplete each, in order.
    pieces: Vec<Piece>,
    /// Pieces that have.
    done: usize,
    /// Characters of the text, and of the client's that is in it.
    counts: [usize; 2],
    /// Whether the text may be sent again as the client wrote it where the first piece has failed.
    resendable: bool,
}

/// One statement of a spliced text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Own(Purpose),
    Client {
        /// Its place in the client's text, if a savepoint stands before it.
        guarded: Option<Range<usize>>,
        /// How many characters stand before it here, and in the text that the client sent.
        before: [usize; 2],
    },
}

impl Splice {
    fn new() -> Self {
        Self {
            text: BytesMut::new(),
            pieces: Vec::new(),
            done: 0,
            counts: [0; 2],
            resendable: false,
        }
    }

    /// A text that is one statement and holds no semicolon but at its end.
    pub(super) fn whole(text: &[u8]) -> Self {
        let mut splice = Self { resendable: true, ..Self::new() };
        splice.guard(text, 0..text.len());
        splice
    }

    /// A text of several statements: those that `guards` names are guarded where a block is open.
    ///
    /// `cut` is how many of the client's characters before this text are not sent any more.
    pub(super) fn of_script(
        text: &[u8],
        script: &Script,
        mut block: Block,
        cut: usize,
        guards: impl Fn(&Statement) -> bool,
    ) -> Self {
        let mut splice = Self { counts: [0, cut], ..Self::new() };
        let mut copied = 0;
        for part in &script.statements {
            splice.clients(text.get(copied..part.range.start).unwrap_or_default());
            copied = part.range.end;
            let guarded = block == Block::Open && guards(&part.statement);
            if splice.pieces.is_empty() {
                // Neither our savepoint nor BEGIN is refused for what a statement says.
                let begins = Statement::Transaction(TransactionCommand::Begin);
                splice.resendable = cut == 0 && (guarded || part.statement == begins);
            }
            if guarded {
                splice.guard(text, part.range.clone());
            } else {
                splice.client(text, &part.range, None);
            }
            block = block.after(&part.statement);
        }
        splice.clients(text.get(copied..).unwrap_or_default());
        splice
    }

    /// Commands of the proxy's own, in order; a redo brings its text.
    pub(super) fn own(commands: &[Purpose], redo: &[u8]) -> Self {
        let mut splice = Self::new();
        for purpose in commands {
            if !splice.text.is_empty() {
                splice.own_text(b"\n;");
            }
            splice.command(*purpose, redo);
        }
        splice
    }

    /// Whether any statement of the client's is guarded, or stands elsewhere than it thinks.
    pub(super) fn changes_anything(&self) -> bool {
        let changes = |piece: &Piece| match piece {
            Piece::Own(_) => true,
            Piece::Client { before: [here, there], .. } => here != there,
        };
        self.pieces.iter().any(changes)
    }

    /// What the server is at.
    pub(super) fn current(&self) -> Option<&Piece> {
        self.pieces.get(self.done)
    }

    /// A CommandComplete has come; of which piece.
    pub(super) fn complete(&mut self) -> Option<&Piece> {
        self.done += 1;
        self.pieces.get(self.done - 1)
    }

    /// Whether an error of this SQLSTATE means that the server has refused the text as a whole, or
    /// the savepoint in its front: nothing has run, and the client's own text can take its place.
    pub(super) fn is_refused_by(&self, sqlstate: SqlState) -> bool {
        let savepoint = self.current() == Some(&Piece::Own(Purpose::Savepoint));
        let refused = match &sqlstate.0 {
            [b'4' | b'2', b'2', ..] | [b'0', b'A', ..] => true,
            [b'2', b'5', ..] => savepoint,
            _ => false,
        };
        refused && self.resendable && self.done == 0
    }

    /// Where the character at a position of this text, counted from 1, stands in the client's.
    pub(super) fn clients_position(&self, position: usize) -> usize {
        let befores = self.pieces.iter().rev().filter_map(|piece| match piece {
            Piece::Client { before, .. } => Some(*before),
            Piece::Own(_) => None,
        });
        let found = befores.into_iter().find(|[here, _]| *here < position);
        found.map_or(1, |[here, there]| position - here + there)
    }

    fn guard(&mut self, text: &[u8], range: Range<usize>) {
        self.command(Purpose::Savepoint, b"");
        self.own_text(b";");
        self.client(text, &range.clone(), Some(range));
        // A comment at the statement's end would swallow what follows on its line.
        self.own_text(b"\n;");
        self.command(Purpose::Release, b"");
    }

    fn client(&mut self, text: &[u8], range: &Range<usize>, guarded: Option<Range<usize>>) {
        self.pieces.push(Piece::Client { guarded, before: self.counts });
        self.clients(text.get(range.clone()).unwrap_or_default());
    }

    /// Text of the client's.
    fn clients(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
        self.counts = self.counts.map(|count| count + characters(text));
    }

    /// Text of the proxy's own, which is ASCII.
    fn own_text(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
        self.counts[0] += text.len();
    }

    fn command(&mut self, purpose: Purpose, redo: &[u8]) {
        self.own_text(match purpose {
            Purpose::Savepoint => SAVEPOINT.as_bytes(),
            Purpose::Release => RELEASE.as_bytes(),
            Purpose::RollbackTo => ROLLBACK_TO.as_bytes(),
            Purpose::Redo | Purpose::Lookup => redo,
            Purpose::Abort => ABORT.as_bytes(),
        });
        self.pieces.push(Piece::Own(purpose));
    }
}

/// Characters of a text in ASCII or UTF-8.
pub(super) fn characters(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte & 0xC0 != 0x80).count()
}
