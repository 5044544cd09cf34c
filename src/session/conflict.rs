//! A 23505 has come: which rule lists it, what was it the reply to, what becomes of it.

use bytes::{Bytes, BytesMut};

use crate::rules::{Action, Constraint};
use crate::sql::{self, Insert, Part, Rows, Script, Statement, Syntax};
use crate::wire::backend::ErrorFields;
use crate::wire::build;
use crate::wire::frame::Frame;

use super::held::Held;
use super::ledger::{Expected, Failed, Object, Segment};
use super::output::{Conflict, Note, Outcome};
use super::passage::Passage;
use super::recovery::{self, Reason, ReplyTo, Situation};
use super::statements::{Name, Text};
use super::{Fate, Session};

impl Session {
    /// Decides what becomes of a 23505 that `failed` has brought on, after `segment`.
    pub(super) fn conflict(
        &mut self,
        frame: &Frame<'_>,
        segment: Segment,
        failed: &Failed,
        passage: &mut Passage<'_, '_>,
    ) -> Fate {
        let fields = ErrorFields::new(frame.body());
        let asked = self.asked(failed);
        let mut conflict = self.describe(&fields, &asked);
        let success = self.success(failed, segment);
        let outcome = match self.judge(frame, &mut conflict, &asked, segment, success.is_some()) {
            Ok(Action::Alert) => Outcome::Alert,
            Ok(Action::Observe) => Outcome::Observed,
            Ok(Action::Absorb) => Outcome::Absorbed,
            Err(reason) => Outcome::Shown(reason),
        };
        conflict.outcome = outcome;
        if let (Outcome::Absorbed, Some(success)) = (outcome, success) {
            self.hold(frame, success, conflict, passage);
            return Fate::Withhold;
        }
        passage.note(Note::Conflict(Box::new(conflict)));
        Fate::Pass
    }

    fn hold(
        &mut self,
        frame: &Frame<'_>,
        success: BytesMut,
        conflict: Conflict,
        passage: &mut Passage<'_, '_>,
    ) {
        self.held = Some(Box::new(Held {
            error: Bytes::copy_from_slice(frame.bytes),
            success,
            behind: BytesMut::new(),
            conflict: Box::new(conflict),
        }));
        if self.ledger.head().is_none() {
            passage.ask_backend(&build::sync());
            self.ledger.sent(Expected::OwnSync);
        }
    }

    fn judge(
        &self,
        frame: &Frame<'_>,
        conflict: &mut Conflict,
        asked: &Asked,
        segment: Segment,
        alone: bool,
    ) -> Result<Action, Reason> {
        let Some(constraint) = &conflict.constraint else { return Err(Reason::NotListed) };
        let catalog = self.catalog.current();
        let index = catalog.as_ref().and_then(|catalog| catalog.index(constraint));
        conflict.columns = index.map(|index| index.columns.clone());
        let listed = index.map_or(constraint, |index| &index.root);
        let rule = self.rules.find(listed, &self.origin).ok_or(Reason::NotListed)?;
        conflict.rule = Some((rule.id.as_str().to_owned(), rule.action));
        if rule.action == Action::Alert {
            return Ok(Action::Alert);
        }
        let reply_to = if frame.whole { asked.reply_to() } else { ReplyTo::TooLarge };
        recovery::judge(&Situation {
            fields: ErrorFields::new(frame.body()),
            constraint,
            index,
            in_step: self.ledger.is_sure(),
            reply_to,
            result_sent: segment.begun,
            status: self.status,
            alone,
        })?;
        Ok(rule.action)
    }

    /// What failed, classified: only now is its text looked at.
    fn asked(&self, failed: &Failed) -> Asked {
        match failed {
            Failed::Head => match self.ledger.head() {
                Some(Expected::Query(text)) => Asked::of(text, self.syntax),
                Some(Expected::Sync | Expected::OwnSync) => Asked::DeferredChecks,
                Some(Expected::FunctionCall) => Asked::NotInsert,
                _ => Asked::Unclassified,
            },
            Failed::Extended { failed: Expected::Execute { portal }, .. } => {
                match self.statements.portal(portal) {
                    Some(prepared) => Asked::of(&prepared.text, prepared.syntax),
                    None => Asked::NotInsert,
                }
            }
            Failed::Extended { .. } | Failed::Unasked => Asked::Unclassified,
        }
    }

    /// What the client is to be answered if the statement stood alone; `None` if it did not.
    fn success(&self, failed: &Failed, segment: Segment) -> Option<BytesMut> {
        if segment.executed > 0 {
            return None;
        }
        let mut answer = BytesMut::from(&build::command_complete("INSERT 0 0")[..]);
        let Failed::Extended { failed: Expected::Execute { portal }, skipped } = failed else {
            return matches!(failed, Failed::Head).then_some(answer);
        };
        for message in skipped {
            answer.extend_from_slice(&skipped_reply(message, portal)?);
        }
        let may_sync = self.frontend.at_boundary() && segment.bound == 1;
        (self.ledger.head().is_some() || may_sync).then_some(answer)
    }

    fn describe(&self, fields: &ErrorFields<'_>, asked: &Asked) -> Conflict {
        Conflict {
            outcome: Outcome::Shown(Reason::NotListed),
            rule: None,
            constraint: self.constraint(fields),
            columns: None,
            detail: fields.detail().map(<[u8]>::to_vec),
            origin: self.origin.clone(),
            backend_pid: self.backend_pid,
            transaction_status: self.status,
            statement: asked.kind(),
            rows_requested: asked.rows(),
            rows_inserted: None,
            fingerprint: asked.fingerprint(),
        }
    }

    /// The constraint that an error names, if all of its name can be read: outside UTF-8, that is
    /// if it is ASCII.
    fn constraint(&self, fields: &ErrorFields<'_>) -> Option<Constraint> {
        let read = |name: Option<&[u8]>| {
            let name = std::str::from_utf8(name?).ok()?;
            (self.syntax.encoding == sql::Encoding::Utf8 || name.is_ascii())
                .then(|| name.to_owned())
        };
        Some(Constraint {
            schema: read(fields.schema())?,
            table: read(fields.table())?,
            name: read(fields.constraint())?,
        })
    }
}

/// What the server would have answered, had it not skipped this message behind the INSERT.
///
/// `None` for a message that would have had an effect. The portal is gone with the transaction,
/// so closing it does nothing more; and an INSERT without RETURNING has no columns.
fn skipped_reply(message: &Expected, portal: &Name) -> Option<Bytes> {
    match message {
        Expected::Close(Object::Portal(_)) => Some(build::close_complete()),
        Expected::Describe(Object::Portal(name)) if name == portal => Some(build::no_data()),
        _ => None,
    }
}

/// What failed, as far as its text says.
enum Asked {
    Script(Script, u64),
    DeferredChecks,
    NotInsert,
    TooLarge,
    Unclassified,
}

impl Asked {
    fn of(text: &Text, syntax: Syntax) -> Self {
        match text {
            Text::MayInsert(text) => match sql::classify(text, syntax) {
                Ok(script) => Self::Script(script, sql::fingerprint(text, syntax)),
                Err(_) => Self::Unclassified,
            },
            Text::DeferredChecks => Self::DeferredChecks,
            Text::TooLarge => Self::TooLarge,
            Text::Other => Self::NotInsert,
        }
    }

    fn reply_to(&self) -> ReplyTo<'_> {
        match self {
            Self::Script(script, _) => ReplyTo::Script(script),
            Self::DeferredChecks => ReplyTo::DeferredChecks,
            Self::NotInsert => ReplyTo::NotInsert,
            Self::TooLarge => ReplyTo::TooLarge,
            Self::Unclassified => ReplyTo::Unclassified,
        }
    }

    fn insert(&self) -> Option<&Insert> {
        let Self::Script(script, _) = self else { return None };
        match script.statements.as_slice() {
            [Part { statement: Statement::Insert(insert), .. }] => Some(insert),
            _ => None,
        }
    }

    fn kind(&self) -> Option<&'static str> {
        let Self::Script(script, _) = self else { return None };
        Some(match script.statements.as_slice() {
            [Part { statement: Statement::Insert(_), .. }] => "insert",
            [_] => "other",
            _ => "several",
        })
    }

    fn rows(&self) -> Option<u32> {
        (self.insert()?.rows == Rows::One).then_some(1)
    }

    fn fingerprint(&self) -> Option<u64> {
        let Self::Script(_, fingerprint) = self else { return None };
        Some(*fingerprint)
    }
}
