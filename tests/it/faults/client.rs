//! The client: plays a session, and takes each reply for what a client takes it for.

use std::collections::BTreeSet;
use std::time::Duration;

use super::admin::columns;
use super::belief::{Belief, Reply, Rows, Unanswered};
use super::fault::Fault;
use super::relay::Link;
use super::session::{Batch, Exchange, Last, Statement};
use crate::support::wire::{self, Message, Received, Wire};

/// Nothing that the proxy does takes as long, though other tests run at the same time.
const LIMIT: Duration = Duration::from_secs(10);

/// A clock that is short for a busy machine may stop a statement more than once.
const ATTEMPTS: usize = 20;

pub struct Client<'a> {
    wire: Wire,
    fault: Fault,
    pub link: &'a Link,
    pub belief: Belief,
    /// Statements that have failed because of the fault.
    pub failed: usize,
    /// Whether a COMMIT has failed in this segment.
    commit_failed: bool,
    /// Listed duplicates that were told to be successes.
    pub absorbed: usize,
    /// Whether the client itself has ended the session.
    goodbye: bool,
}

/// Why a session does not go on.
#[derive(Debug)]
enum Stop {
    /// The connection is lost, as the fault has it.
    Lost,
    /// Something that no client should see.
    Wrong(String),
}

type Outcome<T> = Result<T, Stop>;

/// Whether a statement's neighbours go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Done,
    Failed,
}

impl<'a> Client<'a> {
    /// One that is logged in.
    pub fn new(wire: Wire, fault: Fault, link: &'a Link) -> Self {
        Self {
            wire,
            fault,
            link,
            belief: Belief::new(),
            failed: 0,
            commit_failed: false,
            absorbed: 0,
            goodbye: false,
        }
    }

    /// Plays a session to its end; what may be stored then.
    pub fn play(&mut self, session: &[Batch]) -> Result<BTreeSet<Rows>, String> {
        for batch in session {
            let bytes: Vec<u8> = batch.iter().flat_map(Exchange::bytes).collect();
            self.note(&format!("sends {batch:?}"));
            self.wire.send(&bytes);
            let all: Vec<_> = batch.iter().map(Exchange::statements).collect();
            for (number, exchange) in batch.iter().enumerate() {
                if let Some(fates) = self.exchange(exchange, &all[number + 1..])? {
                    return Ok(fates);
                }
            }
        }
        self.end()
    }

    /// Takes the replies to an exchange; what may be stored in the end if there are no others.
    fn exchange(
        &mut self,
        exchange: &Exchange,
        behind: &[Vec<Statement>],
    ) -> Result<Option<BTreeSet<Rows>>, String> {
        let statements = exchange.statements();
        let mut at = 0;
        let mut synced = !matches!(exchange, Exchange::Calls(_, Last::Flush));
        let outcome = self.replies(exchange, &statements, &mut at, &mut synced);
        match outcome {
            Ok(()) => Ok(None),
            Err(Stop::Wrong(what)) => Err(what),
            Err(Stop::Lost) => {
                let statements = &statements[at..];
                Ok(Some(self.belief.fates(&Unanswered { statements, ends: synced, behind })))
            }
        }
    }

    fn replies(
        &mut self,
        exchange: &Exchange,
        statements: &[Statement],
        at: &mut usize,
        synced: &mut bool,
    ) -> Outcome<()> {
        for (number, statement) in statements.iter().enumerate() {
            let step = match exchange {
                Exchange::Query(_) => self.statement(statement, b"TDCE")?,
                Exchange::Calls(calls, _) => {
                    self.call(statement, calls[number].describe, calls[number].close, at)?
                }
            };
            *at = if step == Step::Done { number + 1 } else { statements.len() };
            if step == Step::Failed {
                break;
            }
        }
        if !*synced {
            self.note("sends a Sync");
            self.wire.send(&wire::sync());
            *synced = true;
        }
        self.ready()
    }

    /// The replies to Parse, Bind and Execute, and to what is around them.
    fn call(
        &mut self,
        statement: &Statement,
        describe: bool,
        close: bool,
        at: &mut usize,
    ) -> Outcome<Step> {
        let described: &[&[u8]] = if describe { &[b"TnE"] } else { &[] };
        for expected in [&[&b"1E"[..], b"2E"], described].concat() {
            let message = self.next(expected)?;
            if message.tag == b'E' {
                return self.failed(statement, &message);
            }
        }
        let step = self.statement(statement, b"DCE")?;
        if step == Step::Done {
            *at += 1;
            if close {
                self.next(b"3")?;
            }
        }
        Ok(step)
    }

    /// The reply to a statement, which consists of these messages.
    fn statement(&mut self, statement: &Statement, expected: &[u8]) -> Outcome<Step> {
        let mut values = Vec::new();
        loop {
            let message = self.next(expected)?;
            match message.tag {
                b'T' => {}
                b'D' => values.extend(columns(&message)),
                b'C' => {
                    let tag = message.body.strip_suffix(b"\0").unwrap_or_default();
                    let tag = String::from_utf8_lossy(tag).into_owned();
                    return self.done(statement, tag, values);
                }
                _ => return self.failed(statement, &message),
            }
        }
    }

    fn done(&mut self, statement: &Statement, tag: String, values: Vec<i32>) -> Outcome<Step> {
        let reply = Reply::Done(tag, values);
        let outcomes = self.belief.outcomes(statement);
        self.absorbed += outcomes.len() - 1;
        let Some((_, next)) = outcomes.iter().find(|(it, _)| *it == reply) else {
            let expected: Vec<_> = outcomes.iter().map(|(reply, _)| reply).collect();
            return wrong(format!("{statement:?} is answered {reply:?}, not {expected:?}"));
        };
        self.belief = next.clone();
        Ok(Step::Done)
    }

    fn failed(&mut self, statement: &Statement, error: &Message) -> Outcome<Step> {
        let reply = Reply::Failed(code(error));
        let outcomes = self.belief.outcomes(statement);
        if let Some((_, next)) = outcomes.iter().find(|(it, _)| *it == reply) {
            self.belief = next.clone();
        } else {
            let expected: Vec<_> = outcomes.iter().map(|(reply, _)| reply).collect();
            self.excuse(error, &format!("{statement:?}, not {expected:?}"))?;
            self.belief = self.belief.failed();
            self.commit_failed = matches!(statement, Statement::Commit);
        }
        Ok(Step::Failed)
    }

    /// An error that no statement has by itself: it is the fault's, and only one has it that does
    /// not come again and again.
    fn excuse(&mut self, error: &Message, of: &str) -> Outcome<()> {
        self.failed += 1;
        let again = self.failed <= self.fault.what.most() || self.fault.has_a_clock();
        if self.fault.what.excuses(&code(error)) && self.has_fired() && again {
            return Ok(());
        }
        wrong(format!("an error that is not the fault's, for {of}"))
    }

    fn has_fired(&self) -> bool {
        // A timeout of the statement's own needs none.
        self.fault.has_a_clock() || self.link.seen().fired
    }

    /// ReadyForQuery, and nothing else, with the status that is believed.
    fn ready(&mut self) -> Outcome<()> {
        let mut message = self.next(b"ZE")?;
        if message.tag == b'E' {
            self.excuse(&message, "the end of a segment")?;
            self.belief = self.belief.failed();
            message = self.next(b"Z")?;
        }
        if std::mem::take(&mut self.commit_failed) && message.body == b"I" {
            // It had begun, or else the block would be there.
            self.belief = self.belief.rolled_back();
        }
        let status = self.belief.status();
        self.belief.segment_ended();
        if message.body == [status] {
            return Ok(());
        }
        wrong(format!("the status should be {:?}", char::from(status)))
    }

    /// The next message, which has to be one of these; what may come at any time passes by.
    fn next(&mut self, expected: &[u8]) -> Outcome<Message> {
        loop {
            let message = match self.wire.message_within(LIMIT) {
                Received::Message(message) => message,
                Received::End => return self.lost(),
                Received::Nothing => return wrong("nothing comes any more".to_owned()),
            };
            self.note(&message.to_string());
            if is_of_the_proxy(&message) {
                return wrong("this is the proxy's own".to_owned());
            }
            match message.tag {
                b'N' | b'S' | b'A' => {}
                b'E' if message.body.starts_with(b"SFATAL\0") => return self.fatal(&message),
                tag if expected.contains(&tag) => return Ok(message),
                _ => return wrong(format!("expected one of {}", expected.escape_ascii())),
            }
        }
    }

    fn fatal(&mut self, error: &Message) -> Outcome<Message> {
        let (rest, cut) = self.wire.rest();
        if !rest.is_empty() || !cut.is_empty() {
            return wrong(format!("after FATAL comes {rest:?} {}", cut.escape_ascii()));
        }
        match code(error).as_str() {
            "57P01" | "08006" => self.lost(),
            code => wrong(format!("FATAL with {code}")),
        }
    }

    fn lost(&mut self) -> Outcome<Message> {
        self.note("the connection ends");
        if self.goodbye || self.fault.what.loses() && self.link.seen().fired {
            return Err(Stop::Lost);
        }
        wrong("the connection has no reason to end".to_owned())
    }

    /// The session has survived: it answers as ever, and nothing has come that was not asked for.
    fn end(&mut self) -> Result<BTreeSet<Rows>, String> {
        for statement in [Statement::Rollback, Statement::Select(4711)] {
            if let Some(fates) = self.last(statement)? {
                return Ok(fates);
            }
        }
        self.wire.send(&wire::terminate());
        self.goodbye = true;
        match self.next(b"") {
            Err(Stop::Lost) => Ok(BTreeSet::from([self.belief.committed().clone()])),
            Err(Stop::Wrong(what)) => Err(format!("after Terminate: {what}")),
            Ok(message) => Err(format!("after Terminate: {message}")),
        }
    }

    /// A statement that succeeds, if not at once: the fault may come as late as that.
    fn last(&mut self, statement: Statement) -> Result<Option<BTreeSet<Rows>>, String> {
        let exchange = Exchange::Query(vec![statement]);
        for _ in 0..ATTEMPTS {
            let before = self.failed;
            self.wire.send(&exchange.bytes());
            let fates = self.exchange(&exchange, &[])?;
            if fates.is_some() || self.failed == before {
                return Ok(fates);
            }
        }
        Err(format!("{exchange:?} fails again and again"))
    }

    fn note(&self, what: &str) {
        self.link.note(format!("client  {what}"));
    }
}

/// Whether it names what the client knows nothing of.
///
/// One word of the server's does, and cannot be held back: where a timeout falls between the Bind
/// and the Execute of a rollback, the end of the block tells of a portal that was never run.
fn is_of_the_proxy(message: &Message) -> bool {
    let has = |needle: &[u8]| message.body.windows(needle.len()).any(|it| it == needle);
    has(b"pgabsorb") && !(message.tag == b'N' && has(b"skipping cleanup for portal"))
}

fn wrong<T>(what: String) -> Outcome<T> {
    Err(Stop::Wrong(what))
}

fn code(error: &Message) -> String {
    let mut fields = error.body.split(|byte| *byte == 0);
    let code = fields.find_map(|field| field.strip_prefix(b"C")).unwrap_or_default();
    String::from_utf8_lossy(code).into_owned()
}
