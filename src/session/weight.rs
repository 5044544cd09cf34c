//! What a session keeps of what it was sent, in bytes.

use super::Session;

impl Session {
    /// Bytes that it keeps, about: of what was sent and is not answered, of statements and portals, and
    /// of an error that is held.
    #[must_use]
    pub fn weight(&self) -> usize {
        let held = self.held.as_ref().map_or(0, |held| held.weight());
        let waiting: usize = self.waiting.iter().map(|it| it.message.len()).sum();
        self.ledger.weight() + self.statements.weight() + held + waiting + self.kept.len()
    }

    /// Whether so much is unanswered that the client has to wait.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.ledger.weight() > self.memory && self.is_busy()
    }
}
