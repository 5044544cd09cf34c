//! A client's text with more in it: commands of the proxy's own, and ON CONFLICT clauses.
//!
//! The client's characters stay as they are. Where each run of them has come to stand is kept, for
//! the positions in what the server says of the text.

use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;

use crate::sql::{Script, Statement, TransactionCommand};
use crate::wire::backend::SqlState;

use super::expected::Purpose;
use super::rewrite::{self, Rewritten};
use super::tally::Treatment;

/// A Query's text with more in it.
#[derive(Debug)]
pub(super) struct Splice {
    pub(super) text: BytesMut,
    /// What answers with a CommandComplete each, in order.
    pieces: Vec<Piece>,
    /// Pieces that have.
    done: usize,
    places: Places,
    /// What takes its place if the server refuses it before anything of it has run.
    fallback: Fallback,
}

/// Whether a text that the server has refused as a whole may be sent as the client wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fallback {
    No,
    /// Where it is not taken for what a savepoint, or BEGIN, has in front.
    Unparsed,
    /// Where a clause is not taken: nothing around it is the proxy's own.
    Clause,
}

/// One statement of a spliced text.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Own(Purpose),
    Client {
        /// Its place in the client's text, if a savepoint stands before it.
        guarded: Option<Range<usize>>,
        /// What it has in addition.
        rewritten: Option<Arc<Rewritten>>,
    },
}

/// What one statement of a text gets in addition.
#[derive(Debug, Default)]
pub(super) struct Additions {
    pub(super) guarded: bool,
    pub(super) rewritten: Option<Arc<Rewritten>>,
}

impl Splice {
    fn new(places: Places) -> Self {
        Self { text: BytesMut::new(), pieces: Vec::new(), done: 0, places, fallback: Fallback::No }
    }

    /// A text that is one statement, holds no semicolon but at its end, and is guarded.
    pub(super) fn whole(text: &[u8]) -> Self {
        let mut splice = Self { fallback: Fallback::Unparsed, ..Self::new(Places::default()) };
        splice.guard(text, 0..text.len(), None);
        splice
    }

    /// A text of several statements, with what each gets in addition.
    ///
    /// `cut` is how many of the client's characters before this text are not sent any more; `alone`
    /// is whether it is a transaction of its own.
    pub(super) fn of_script(
        text: &[u8],
        script: &Script,
        additions: Vec<Additions>,
        cut: usize,
        alone: bool,
    ) -> Self {
        let mut splice = Self::new(Places::behind(cut));
        splice.fallback = fallback(script, &additions, cut, alone);
        let mut copied = 0;
        for (part, added) in script.statements.iter().zip(additions) {
            splice.clients(text.get(copied..part.range.start).unwrap_or_default());
            copied = part.range.end;
            if added.guarded {
                splice.guard(text, part.range.clone(), added.rewritten);
            } else {
                splice.client(text, &part.range, None, added.rewritten);
            }
        }
        splice.clients(text.get(copied..).unwrap_or_default());
        splice
    }

    /// Commands of the proxy's own, in order; a redo brings its text.
    pub(super) fn own(commands: &[Purpose], redo: &[u8]) -> Self {
        let mut splice = Self::new(Places::default());
        for purpose in commands {
            if !splice.text.is_empty() {
                splice.own_text(b"\n;");
            }
            splice.command(*purpose, redo);
        }
        splice
    }

    /// What the statement that the server is at was rewritten to.
    pub(super) fn rewritten(&self) -> Option<&Rewritten> {
        match self.current()? {
            Piece::Client { rewritten, .. } => rewritten.as_deref(),
            Piece::Own(_) => None,
        }
    }

    /// The commands of the proxy's own that are in it.
    pub(super) fn commands(&self) -> impl Iterator<Item = Purpose> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Own(purpose) => Some(*purpose),
            Piece::Client { .. } => None,
        })
    }

    /// How the client's statements are sent, as far as it is not as they came.
    pub(super) fn treatments(&self) -> impl Iterator<Item = Treatment> {
        self.pieces
            .iter()
            .flat_map(|piece| match piece {
                Piece::Own(_) => [None, None],
                Piece::Client { guarded, rewritten } => [
                    guarded.as_ref().map(|_| Treatment::Guarded),
                    rewritten.as_ref().map(|_| Treatment::Rewritten),
                ],
            })
            .flatten()
    }

    /// Whether any commands of the proxy's own are in it.
    pub(super) fn has_commands(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Own(_)))
    }

    /// Whether the text is another than the client's, or stands elsewhere than the client thinks.
    pub(super) fn changes_anything(&self) -> bool {
        self.places.differ()
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

    /// Whether an error of this SQLSTATE means that the client's own text can take the place of this
    /// one: the server has refused it as a whole, the savepoint in its front, or its first clause. `alone` is whether
    /// nothing else has been undone.
    pub(super) fn is_refused_by(&self, sqlstate: SqlState, alone: bool) -> bool {
        if self.done > 0 {
            return false;
        }
        let current = self.current();
        match (self.fallback, &sqlstate.0) {
            (Fallback::Unparsed, [b'4' | b'2', b'2', ..] | [b'0', b'A', ..]) => true,
            (Fallback::Unparsed, [b'2', b'5', ..]) => {
                matches!(current, Some(Piece::Own(Purpose::Savepoint)))
            }
            (Fallback::Clause, _) => {
                let rewritten = matches!(current, Some(Piece::Client { rewritten: Some(_), .. }));
                alone && rewritten && rewrite::is_caused(sqlstate)
            }
            (Fallback::No | Fallback::Unparsed, _) => false,
        }
    }

    /// Where the character at a position of this text, counted from 1, stands in the client's.
    pub(super) fn clients_position(&self, position: usize) -> usize {
        self.places.clients_position(position)
    }

    fn guard(&mut self, text: &[u8], range: Range<usize>, rewritten: Option<Arc<Rewritten>>) {
        self.command(Purpose::Savepoint, b"");
        self.own_text(b";");
        self.client(text, &range.clone(), Some(range), rewritten);
        // A comment at the statement's end would swallow what follows on its line.
        self.own_text(b"\n;");
        self.command(Purpose::Release, b"");
    }

    fn client(
        &mut self,
        text: &[u8],
        range: &Range<usize>,
        guarded: Option<Range<usize>>,
        rewritten: Option<Arc<Rewritten>>,
    ) {
        let cut = rewritten.as_ref().map_or(range.end, |rewritten| rewritten.at);
        self.clients(text.get(range.start..cut).unwrap_or_default());
        if let Some(rewritten) = &rewritten {
            self.own_text(&rewritten.clause);
        }
        self.clients(text.get(cut..range.end).unwrap_or_default());
        self.pieces.push(Piece::Client { guarded, rewritten });
    }

    /// Text of the client's.
    fn clients(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
        self.places.clients(text);
    }

    /// Text of the proxy's own.
    fn own_text(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
        self.places.own(text);
    }

    fn command(&mut self, purpose: Purpose, redo: &[u8]) {
        self.own_text(purpose.text().map_or(redo, str::as_bytes));
        self.pieces.push(Piece::Own(purpose));
    }
}

/// What may take the place of a text of which the server has run nothing.
fn fallback(script: &Script, additions: &[Additions], cut: usize, alone: bool) -> Fallback {
    let Some((first, added)) = script.statements.first().zip(additions.first()) else {
        return Fallback::No;
    };
    let commands = additions.iter().any(|added| added.guarded);
    let begins = first.statement == Statement::Transaction(TransactionCommand::Begin);
    if cut > 0 {
        Fallback::No
    } else if commands && (added.guarded || begins) {
        // Neither our savepoint nor BEGIN is refused for what a statement says.
        Fallback::Unparsed
    } else if !commands && alone {
        Fallback::Clause
    } else {
        Fallback::No
    }
}

/// Where each run of the client's characters stands in a text that has more in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// For each run how many characters stand before it here, and in the text that the client sent.
    runs: Vec<[usize; 2]>,
    counts: [usize; 2],
    /// Whether the last text was the client's.
    in_run: bool,
}

impl Places {
    /// Of a text before which the client had sent so many characters that are not sent any more.
    fn behind(cut: usize) -> Self {
        Self { counts: [0, cut], ..Self::default() }
    }

    /// Of a text with a clause at one place.
    pub(super) fn around(text: &[u8], at: usize, clause: &[u8]) -> Self {
        let mut places = Self::default();
        let (before, behind) = text.split_at_checked(at).unwrap_or((text, b""));
        places.clients(before);
        places.own(clause);
        places.clients(behind);
        places
    }

    fn clients(&mut self, text: &[u8]) {
        if !self.in_run && !text.is_empty() {
            self.runs.push(self.counts);
            self.in_run = true;
        }
        self.counts = self.counts.map(|count| count + characters(text));
    }

    fn own(&mut self, text: &[u8]) {
        self.in_run = false;
        self.counts[0] += characters(text);
    }

    fn differ(&self) -> bool {
        self.counts[0] != self.counts[1] || self.runs.iter().any(|[here, there]| here != there)
    }

    /// Where the character at a position, counted from 1, stands in the client's text. One of the
    /// proxy's own stands at the place where those are put in.
    pub(super) fn clients_position(&self, position: usize) -> usize {
        let following = self.runs.partition_point(|[here, _]| *here < position);
        let limit = self.runs.get(following).map_or(self.counts[1], |[_, there]| *there);
        let run = following.checked_sub(1).and_then(|run| self.runs.get(run));
        run.map_or(1, |[here, there]| (position - here + there).min(limit + 1))
    }
}

/// Characters of a text in ASCII or UTF-8.
pub(super) fn characters(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte & 0xC0 != 0x80).count()
}

#[cfg(test)]
mod tests;
