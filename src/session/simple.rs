//! What becomes of a Query: it goes as it came, or with more in its text, or it waits.

use std::sync::Arc;

use bytes::Bytes;

use crate::sql::{self, Encoding, Part, Script, Statement};
use crate::wire::build;

use super::block::Block;
use super::expected::Query;
use super::plan::Plan;
use super::rewrite::{Ahead, Rewritten};
use super::splice::{Additions, Splice};
use super::tally::Treatment;
use super::text::{self, Kind, Text};
use super::{Pace, Session};

/// What a text asks for.
enum Care {
    Nothing,
    /// What decides is not known until replies have come.
    Wait,
    /// The same, and something is asked first.
    Ask(Bytes),
    /// It stands alone: its error can be taken back.
    Watch,
    Splice(Splice),
}

impl Session {
    /// Plans a Query, of whose text `cut` characters are not sent any more.
    pub(super) fn query(&mut self, bytes: &[u8], cut: usize) -> Plan {
        let text = Text::of(bytes, self.syntax);
        let care = match &text.kind {
            Kind::MayInsert(_) => self.care_for_query(bytes, cut),
            _ if cut > 0 => self.care_for_query(bytes, cut),
            _ => Care::Nothing,
        };
        let before = match care {
            Care::Wait => return Plan::Wait,
            Care::Ask(asks) => return Plan::Ask(asks),
            _ => self.lookup_if_due(&text),
        };
        self.pace = if matches!(care, Care::Nothing) { Pace::Free } else { Pace::Barrier };
        self.sent_text(&text);
        self.sent_end();
        match &care {
            Care::Watch => self.treated([Some(Treatment::Watched)]),
            Care::Splice(splice) => self.treated(splice.treatments().map(Some)),
            _ => {}
        }
        let query = Query { cut, reading: self.reading, ..Query::plain(text) };
        let Care::Splice(mut splice) = care else {
            self.sent(query.into(), Bytes::new());
            return Plan::behind(before);
        };
        let message = build::query(&std::mem::take(&mut splice.text));
        let query = Query { splice: Some(Box::new(splice)), ..query };
        self.sent(query.into(), Bytes::new());
        Plan::Instead { before, message }
    }

    fn care_for_query(&mut self, text: &[u8], cut: usize) -> Care {
        if cut == 0 && sql::is_plain(text) {
            let Some(table) = self.insert_table(text) else { return Care::Nothing };
            match (self.may_rewrite(&table), self.concerns(&table)) {
                (true, _) => {}
                (false, true) => return self.care_for_one(text),
                (false, false) => return Care::Nothing,
            }
        }
        match self.memo.classify(text, self.syntax) {
            Ok(script) => self.care_for_script(text, &script, cut),
            Err(_) => Care::Nothing,
        }
    }

    /// A text of one INSERT, without a clause.
    fn care_for_one(&self, text: &[u8]) -> Care {
        let sure = self.ledger.is_drained();
        match self.ledger.block() {
            Block::Open if !sure && self.server_version < REFUSES_SAVEPOINT => Care::Wait,
            Block::Open => Care::Splice(Splice::whole(text)),
            Block::None => Care::Watch,
            Block::Unknown if !sure => Care::Wait,
            Block::Unknown | Block::Failed => Care::Nothing,
        }
    }

    fn care_for_script(&mut self, text: &[u8], script: &Script, cut: usize) -> Care {
        let single = script.statements.len() == 1;
        let rewritten = match self.ahead_of_script(text, script) {
            Ok(rewritten) => rewritten,
            Err(care) => return care,
        };
        let concerned = |statement: &Statement, rewritten: &Option<Arc<Rewritten>>| {
            let covered = rewritten.as_ref().is_some_and(|rewritten| rewritten.covers);
            match statement {
                Statement::Insert(insert) => {
                    !covered && !insert.on_conflict && self.concerns(&insert.table)
                }
                _ => false,
            }
        };
        let parts = script.statements.iter().zip(&rewritten);
        let concerned: Vec<_> = parts.map(|(part, it)| concerned(&part.statement, it)).collect();
        let any = concerned.contains(&true);
        if cut == 0 && !any && rewritten.iter().all(Option::is_none) {
            return Care::Nothing;
        }
        if any && single && cut == 0 && sql::is_plain(text) && rewritten.iter().all(Option::is_none)
        {
            return self.care_for_one(text);
        }
        if any && !self.ledger.is_drained() {
            return Care::Wait;
        }
        let additions = self.additions(script, concerned, rewritten);
        let counts = text.is_ascii() || self.syntax.encoding == Encoding::Utf8;
        if counts || single && additions.iter().all(|added| !added.guarded) {
            let in_block = |part: &Part| matches!(part.statement, Statement::Transaction(_));
            let alone =
                self.ledger.block() == Block::None && !script.statements.iter().any(in_block);
            let splice = Splice::of_script(text, script, additions, cut, alone);
            if splice.changes_anything() {
                return Care::Splice(splice);
            }
        }
        let alone = single && any && self.ledger.block() == Block::None;
        if alone { Care::Watch } else { Care::Nothing }
    }

    /// What each statement of a text gets in addition.
    fn additions(
        &self,
        script: &Script,
        concerned: Vec<bool>,
        rewritten: Vec<Option<Arc<Rewritten>>>,
    ) -> Vec<Additions> {
        let mut block = self.ledger.block();
        let parts = script.statements.iter().zip(concerned.into_iter().zip(rewritten));
        let added = parts.map(|(part, (concerned, rewritten))| {
            let guarded = concerned && block == Block::Open;
            block = block.after(&part.statement);
            Additions { guarded, rewritten }
        });
        added.collect()
    }

    /// What each INSERT of a text gets before it is sent.
    ///
    /// Behind a statement that may change what a table's name means nothing is sure.
    fn ahead_of_script(
        &mut self,
        text: &[u8],
        script: &Script,
    ) -> Result<Vec<Option<Arc<Rewritten>>>, Care> {
        let mut sure = true;
        let mut all = Vec::with_capacity(script.statements.len());
        for part in &script.statements {
            let insert = part.statement.inserts();
            let insert = insert.filter(|insert| sure && self.may_rewrite(&insert.table));
            if insert.is_some() && !self.is_read_as_judged(text) {
                return Err(Care::Wait);
            }
            all.push(match insert.map_or(Ahead::AsItIs, |insert| self.ahead(text, insert)) {
                Ahead::Rewritten(it) => Some(it),
                Ahead::AsItIs => None,
                Ahead::Wait => return Err(Care::Wait),
                Ahead::Ask(asks) => return Err(Care::Ask(asks)),
            });
            sure &= text::keeps_settings(text, part);
        }
        Ok(all)
    }

    /// Whether it is sure that the server reads a text as it was read here.
    fn is_read_as_judged(&self, text: &[u8]) -> bool {
        self.ledger.is_drained() || sql::is_read_alike(text)
    }
}

/// The first server that only refuses a SAVEPOINT in a text of several statements where no transaction
/// block is open. Those before it end the session (FATAL, "unexpected state STARTED").
const REFUSES_SAVEPOINT: u32 = 11;
