//! The session's own question to the catalog: when it is asked, and what becomes of the answer.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::wire::backend::SqlState;
use crate::wire::build;
use crate::wire::frame::Frame;

use super::Session;
use super::block::Block;
use super::catalog::{self, Catalog};
use super::expected::{Command, Expected, Purpose};
use super::output::Note;
use super::passage::Passage;
use super::text::{Kind, Text};

/// Where the session's own catalog lookup stands.
#[derive(Debug, Default)]
pub(super) enum Lookup {
    #[default]
    NotAsked,
    /// Rows so far; `None` after an error or a row that could not be read.
    Asked(Option<Box<Catalog>>),
    /// It failed once: this session does not ask again.
    Failed,
}

impl Session {
    /// What is known of the database's indexes.
    pub(super) fn known_catalog(&self) -> Option<Arc<Catalog>> {
        self.own_catalog.clone().or_else(|| self.catalog.current())
    }

    /// The catalog is asked ahead of a statement that a rule may concern, or that begins a
    /// transaction of such, in the same flight, and only where a transaction of the proxy's own
    /// disturbs none of the client's.
    pub(super) fn lookup_if_due(&mut self, text: &Text) -> Bytes {
        let leads_there =
            matches!(text.kind, Kind::MayInsert(_)) || text.effect.on(Block::None) == Block::Open;
        if !leads_there || !self.may_look_up() || self.ledger.block() != Block::None {
            return Bytes::new();
        }
        let mut before = BytesMut::from(&self.look_up()[..]);
        before.extend_from_slice(&build::sync());
        self.ledger.sent(Expected::OwnSync);
        before.freeze()
    }

    fn may_look_up(&self) -> bool {
        self.ledger.is_quiescent() && self.can_look_up() && self.catalog.is_due()
    }

    /// The lookup's messages, without a Sync.
    pub(super) fn look_up(&mut self) -> Bytes {
        self.lookup = Lookup::Asked(Some(Box::default()));
        let command = Command::new(Purpose::Lookup, build::COMMAND_CLOSES + 1);
        self.sent_own(Expected::Own(command));
        catalog::lookup(&self.rules)
    }

    pub(super) fn can_look_up(&self) -> bool {
        matches!(self.lookup, Lookup::NotAsked)
    }

    pub(super) fn lookup_reply(&mut self, frame: &Frame<'_>) {
        if let (b'D', Lookup::Asked(answer)) = (frame.tag, &mut self.lookup) {
            let read = answer.as_mut().and_then(|catalog| catalog.add(frame.body()));
            if read.is_none() || !frame.whole {
                *answer = None;
            }
        }
    }

    pub(super) fn lookup_done(&mut self, passage: &mut Passage<'_, '_>) {
        match std::mem::take(&mut self.lookup) {
            // What is seen inside a block may be the block's own, or old.
            Lookup::Asked(Some(catalog)) if self.ledger.is_in_block() => {
                self.own_catalog = Some(Arc::new(*catalog));
            }
            Lookup::Asked(Some(catalog)) => self.catalog.store(*catalog),
            Lookup::Asked(None) => self.lookup_failed(None, passage),
            state => self.lookup = state,
        }
    }

    pub(super) fn lookup_failed(
        &mut self,
        sqlstate: Option<SqlState>,
        passage: &mut Passage<'_, '_>,
    ) {
        self.lookup = Lookup::Failed;
        passage.note(Note::LookupFailed { sqlstate });
    }
}
