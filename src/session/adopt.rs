//! Other rules are in force: a session takes them over between its transactions.

use std::sync::Arc;

use crate::rules::Ruleset;
use crate::wire::backend::TransactionStatus;

use super::catalog::SharedCatalog;
use super::lookup::Lookup;
use super::text::Renames;
use super::verified::Verified;
use super::{Pace, Session};

impl Session {
    /// Goes by other rules from here on, if it is between transactions; whether it does.
    ///
    /// `catalog` is what is known for these rules. A prepared statement that was rewritten for the
    /// old ones is made of the client's own text before it is used again.
    pub fn adopt(&mut self, rules: &Arc<Ruleset>, catalog: &Arc<SharedCatalog>) -> bool {
        if !self.is_at_rest() {
            return false;
        }
        self.rules = Arc::clone(rules);
        self.catalog = Arc::clone(catalog);
        self.lookup = Lookup::default();
        self.verified = Verified::default();
        self.doubts.clear();
        self.pace = Pace::Free;
        if !self.is_planning() {
            // While no rule can concern them, nobody follows what becomes of the names.
            self.statements.forget(&Renames::Any);
        }
        true
    }

    /// Whether it is between transactions: all that the client has sent is answered, and no
    /// transaction block is open.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let idle = self.status == Some(TransactionStatus::Idle) && self.ledger.is_quiescent();
        let waits = self.held.is_some() || self.fallback.is_some() || !self.waiting.is_empty();
        idle && !waits && self.frontend.at_boundary()
    }
}
