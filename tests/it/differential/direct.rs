//! The careful author's run: on a direct connection, one message at a time, with an ON CONFLICT
//! where the contract absorbs. What comes back is what the proxy's client has to see.
//!
//! The contract decides from where a statement stands, and this run always knows, since it waits
//! for each reply: inside BEGIN every listed INSERT is absorbed; outside, only one that stands
//! alone, in its Query or between two Syncs.

use std::collections::HashMap;

use super::Strategy;
use super::session::{SEPARATOR, Step};
use super::statement::{Effect, Statement};
use crate::support::version::version;
use crate::support::wire::{self, Message, Wire};

/// What the client sends at once, and what has to come back before it goes on.
#[derive(Debug, Default)]
pub struct Batch {
    pub bytes: Vec<u8>,
    pub replies: Vec<Reply>,
}

/// A message of the server's.
#[derive(Debug)]
pub struct Reply {
    pub message: Message,
    /// The step that it answers.
    pub step: usize,
    /// It is part of what a statement says that the proxy may have to run again: from its first
    /// reply to the one that ends it.
    pub redone: bool,
}

/// Plays a session, and ends whatever transaction it has left open.
pub fn play(wire: &mut Wire, steps: &[Step], strategy: Strategy) -> Vec<Batch> {
    let mut run = Run {
        wire,
        steps,
        strategy,
        at: 0,
        block: Block::None,
        skipping: false,
        executed: 0,
        bound: 0,
        statements: HashMap::new(),
        portals: HashMap::new(),
        unnamed_in_doubt: false,
        batches: vec![Batch::default()],
    };
    for (at, step) in steps.iter().enumerate() {
        run.at = at;
        run.step(step);
    }
    run.at = steps.len();
    run.step(&Step::Sync);
    run.step(&Step::Query(vec![Statement::control("ROLLBACK", Effect::End)]));
    run.batches
}

/// Where a transaction block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    None,
    Open,
    Failed,
}

impl Block {
    fn after(self, effect: Effect) -> Self {
        match (self, effect) {
            (Self::Failed, Effect::Begin) => Self::Failed,
            (_, Effect::End) | (Self::None, Effect::Chain | Effect::RollbackTo) => Self::None,
            (_, Effect::Begin | Effect::Chain | Effect::RollbackTo) => Self::Open,
            (_, Effect::Nothing) => self,
        }
    }
}

#[derive(Clone, Debug)]
struct Portal {
    statement: Statement,
    values: Vec<String>,
    /// Whether it has not been executed yet.
    fresh: bool,
}

struct Run<'a> {
    wire: &'a mut Wire,
    steps: &'a [Step],
    strategy: Strategy,
    /// The step in hand.
    at: usize,
    block: Block,
    /// The server skips to the next Sync.
    skipping: bool,
    /// Executes, and portals made, since the last Sync or Query.
    executed: usize,
    bound: usize,
    statements: HashMap<&'static str, Statement>,
    portals: HashMap<&'static str, Portal>,
    /// Whether an unnamed portal was there when a Query failed inside a block: one that fails before
    /// it runs anything leaves it, but a savepoint of the proxy's own has run.
    unnamed_in_doubt: bool,
    batches: Vec<Batch>,
}

impl Run<'_> {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Wait => self.wait(),
            Step::Query(statements) => self.query(statements),
            Step::Sync => {
                self.send(&wire::sync());
                self.skipping = false;
                self.replies(|tag| tag == b'Z', |_| false);
                self.segment_ended();
            }
            Step::Flush => self.send(&wire::flush()),
            Step::Execute("", _) | Step::Describe(b'P', "") if self.unnamed_in_doubt => {}
            _ => self.extended(step),
        }
    }

    /// The client waits, unless there is nothing to wait for.
    fn wait(&mut self) {
        let last = self.at.checked_sub(1).map(|at| &self.steps[at]);
        let answered = last.is_some_and(|last| last.ends_segment() || *last == Step::Flush);
        if answered && !self.is_undecided() {
            self.batches.push(Batch::default());
        }
    }

    /// Whether a listed INSERT is alone in its implicit transaction so far, and would not be if the
    /// client went on: it depends on its waiting here what becomes of it.
    fn is_undecided(&self) -> bool {
        self.block == Block::None && self.executed > 0 && (self.bound > 1 || self.is_followed())
    }

    fn send(&mut self, bytes: &[u8]) {
        self.wire.send(bytes);
        self.batch().bytes.extend_from_slice(bytes);
    }

    fn batch(&mut self) -> &mut Batch {
        self.batches.last_mut().expect("there is always one")
    }

    /// Takes replies up to one with such a tag; returns it. `redone` says of the number of
    /// statements done whether the next one is run again.
    fn replies(&mut self, ends: impl Fn(u8) -> bool, redone: impl Fn(usize) -> bool) -> u8 {
        let (mut done, mut failed) = (0, false);
        loop {
            let message = self.wire.message().expect("the server stays");
            let (tag, step, redone) = (message.tag, self.at, !failed && redone(done));
            done += usize::from(matches!(tag, b'C' | b'I'));
            failed |= tag == b'E';
            self.batch().replies.push(Reply { message, step, redone });
            if ends(tag) {
                return tag;
            }
        }
    }

    // === Simple query ===

    fn query(&mut self, statements: &[Statement]) {
        let several = statements.len() > 1;
        if version() < 11 && several && statements.iter().any(Statement::is_of_a_savepoint) {
            // In a text of several, outside a block, that ends the session there.
            return self.query(&[Statement::same("SELECT 'nothing'")]);
        }
        let rewritten = self.rewritten(statements);
        if self.block == Block::Failed && rewritten.contains(&true) {
            // The proxy cannot ask there what a table is; whether it has asked before is no matter
            // of the contract.
            return self.query(&[Statement::same("SELECT 'nothing'")]);
        }
        let absorbed = self.absorbed(statements, &rewritten);
        let plain = wire::query(&Step::text(statements, |_| false));
        self.batch().bytes.extend(plain);
        if self.skipping {
            return;
        }
        self.wire.send(&wire::query(&Step::text(statements, |number| absorbed[number])));
        let first = self.batch().replies.len();
        let redone = |done: usize| {
            statements.get(done).is_some_and(|it| absorbed[done] && it.redone && !rewritten[done])
        };
        self.replies(|tag| tag == b'Z', redone);
        let clauses = clauses(statements, &absorbed);
        for reply in &mut self.batch().replies[first..] {
            move_position(&mut reply.message, &clauses);
        }
        self.statements.remove("");
        let replies = self.batches.last().expect("there is always one").replies[first..].iter();
        let done = replies.filter(|it| matches!(it.message.tag, b'C' | b'I')).count();
        if statements.iter().take(done).any(Statement::renames) {
            self.forget();
        }
        self.segment_ended();
        self.unnamed_in_doubt |= self.block == Block::Failed;
    }

    /// Which statements of a Query are absorbed.
    fn absorbed(&self, statements: &[Statement], rewritten: &[bool]) -> Vec<bool> {
        let alone = self.executed == 0 && statements.len() == 1;
        let mut block = self.block;
        let absorbed = statements.iter().zip(rewritten).map(|(statement, rewritten)| {
            let here = match block {
                Block::Open => true,
                Block::None => alone,
                Block::Failed => false,
            };
            block = block.after(statement.effect);
            (here || *rewritten) && statement.is_listed()
        });
        absorbed.collect()
    }

    /// Which statements of a Query are rewritten: none behind what leaves in doubt what it means.
    fn rewritten(&self, statements: &[Statement]) -> Vec<bool> {
        let mut sure = true;
        let rewritten = statements.iter().map(|statement| {
            let rewritten = sure && self.is_rewritten(statement);
            sure &= !statement.unsettles();
            rewritten
        });
        rewritten.collect()
    }

    fn is_rewritten(&self, statement: &Statement) -> bool {
        self.strategy == Strategy::Rewrite && statement.is_listed()
    }

    /// A ReadyForQuery has come.
    fn segment_ended(&mut self) {
        let last = self.batch().replies.last().expect("a ReadyForQuery");
        self.block = match last.message.body[0] {
            b'I' => Block::None,
            b'T' => Block::Open,
            _ => Block::Failed,
        };
        (self.executed, self.bound) = (0, 0);
        if self.block == Block::None {
            self.portals.clear();
            self.unnamed_in_doubt = false;
        }
    }

    // === Extended query ===

    fn extended(&mut self, step: &Step) {
        let mut bytes = self.bytes(step);
        self.batch().bytes.extend_from_slice(&bytes);
        if self.skipping {
            return;
        }
        let by_hand = match step {
            Step::Parse(name, it) if self.is_rewritten(it) => Some((*name, it)),
            _ => None,
        };
        if let Some((name, statement)) = by_hand {
            bytes = wire::parse(name, &statement.by_hand());
        }
        if let Step::Execute(name, _) = step {
            return self.execute(name, &bytes);
        }
        self.wire.send(&[&bytes[..], &wire::flush()].concat());
        if self.replies(|tag| matches!(tag, b'1' | b'2' | b'3' | b'T' | b'n' | b'E'), |_| false)
            == b'E'
        {
            if let Some((_, statement)) = by_hand {
                let clause = [(statement.clause_at(), statement.longer())];
                let last = self.batch().replies.last_mut().expect("the error");
                move_position(&mut last.message, &clause);
            }
            self.failed(step);
        } else {
            self.succeeded(step);
        }
    }

    fn bytes(&self, step: &Step) -> Vec<u8> {
        match step {
            Step::Parse(name, statement) => wire::parse(name, &statement.plain()),
            Step::Bind(portal, name, seeds) => {
                let values = self.statements.get(name).map(|it| it.values(seeds));
                let values = values.unwrap_or_default();
                let values: Vec<_> = values.iter().map(String::as_str).collect();
                wire::bind(portal, name, &values)
            }
            Step::Describe(kind, name) => wire::describe(*kind, name),
            Step::Execute(portal, rows) => wire::execute(portal, *rows),
            Step::Close(kind, name) => wire::close(*kind, name),
            Step::Query(_) | Step::Flush | Step::Sync | Step::Wait => Vec::new(),
        }
    }

    fn failed(&mut self, step: &Step) {
        self.skipping = true;
        if self.block == Block::Open {
            self.block = Block::Failed;
        }
        if let Step::Parse("", _) = step {
            self.statements.remove("");
        }
    }

    fn succeeded(&mut self, step: &Step) {
        match step {
            Step::Parse(name, statement) => {
                self.statements.insert(name, statement.clone());
            }
            Step::Bind(portal, name, seeds) => {
                self.bound += 1;
                self.unnamed_in_doubt &= !portal.is_empty();
                // One that PREPARE has made is nothing to the proxy.
                let statement = self.statements.get(name).cloned();
                let statement = statement.unwrap_or_else(|| Statement::same(""));
                let values = statement.values(seeds);
                self.portals.insert(portal, Portal { statement, values, fresh: true });
            }
            Step::Close(b'S', name) => drop(self.statements.remove(name)),
            Step::Close(_, name) => drop(self.portals.remove(name)),
            _ => {}
        }
    }

    fn execute(&mut self, name: &'static str, bytes: &[u8]) {
        let portal = self.portals.get(name).cloned();
        let absorbed = portal.as_ref().filter(|it| {
            it.fresh
                && it.statement.is_listed()
                && !self.is_rewritten(&it.statement)
                && match self.block {
                    Block::Open => true,
                    Block::None => self.executed == 0 && !self.is_followed(),
                    Block::Failed => false,
                }
        });
        if let Some(portal) = absorbed {
            self.exchange(name, portal);
        }
        if !self.skipping {
            self.wire.send(&[bytes, &wire::flush()].concat());
            let redone = absorbed.is_some_and(|it| it.statement.redone);
            let tag = self.replies(|tag| matches!(tag, b'C' | b'I' | b's' | b'E'), |_| redone);
            self.skipping = tag == b'E';
        }
        self.executed += 1;
        if let Some(portal) = self.portals.get_mut(name) {
            portal.fresh = false;
        }
        if self.skipping && self.block == Block::Open {
            self.block = Block::Failed;
        } else if let Some(portal) = portal.filter(|_| !self.skipping) {
            self.block = self.block.after(portal.statement.effect);
            if portal.statement.renames() {
                self.forget();
            }
        }
    }

    /// Names may mean anything now.
    fn forget(&mut self) {
        self.statements.values_mut().for_each(Statement::forget);
        self.portals.values_mut().for_each(|portal| portal.statement.forget());
    }

    /// The portal gets the careful author's text in the place of the application's. One that is not
    /// there any more is the application's to find out.
    fn exchange(&mut self, name: &str, portal: &Portal) {
        self.wire.send(&[wire::describe(b'P', name), wire::flush()].concat());
        let described = self.wire.message().expect("the server stays");
        if described.tag == b'E' {
            let reply = Reply { message: described, step: self.at, redone: false };
            self.batch().replies.push(reply);
            self.skipping = true;
            return;
        }
        let values: Vec<_> = portal.values.iter().map(String::as_str).collect();
        let exchange = [
            wire::close(b'P', name),
            wire::parse(BY_HAND, &portal.statement.by_hand()),
            wire::bind(name, BY_HAND, &values),
            wire::close(b'S', BY_HAND),
            wire::flush(),
        ];
        self.wire.send(&exchange.concat());
        for expected in b"3123" {
            let reply = self.wire.message().expect("the server stays");
            assert_eq!(reply.tag, *expected, "{reply} to {:?}", portal.statement);
        }
    }

    /// Whether, before the segment ends, more comes than what belongs to the Execute.
    fn is_followed(&self) -> bool {
        let behind = self.steps.iter().skip(self.at + 1);
        for step in behind {
            match step {
                Step::Sync => return false,
                Step::Close(b'P', _) | Step::Flush | Step::Wait => {}
                Step::Describe(b'P', name) if self.is_executed(name) => {}
                _ => return true,
            }
        }
        false
    }

    fn is_executed(&self, name: &str) -> bool {
        matches!(self.steps.get(self.at), Some(Step::Execute(portal, _)) if *portal == name)
    }
}

/// Where the careful author's text has clauses, in characters, and how long they are.
fn clauses(statements: &[Statement], by_hand: &[bool]) -> Vec<(usize, usize)> {
    let mut before = 0;
    let mut clauses = Vec::new();
    for (statement, by_hand) in statements.iter().zip(by_hand) {
        let longer = if *by_hand { statement.longer() } else { 0 };
        clauses.push((before + statement.clause_at(), longer));
        before += statement.plain().chars().count() + longer + SEPARATOR.len();
    }
    clauses
}

/// Where an error or notice points into the careful author's text, it is made to point into the
/// application's.
fn move_position(message: &mut Message, clauses: &[(usize, usize)]) {
    if !matches!(message.tag, b'E' | b'N') {
        return;
    }
    let moved = |field: &[u8]| {
        let position = field.strip_prefix(b"P").and_then(|it| str::from_utf8(it).ok());
        let Some(position) = position.and_then(|it| it.parse::<usize>().ok()) else {
            return field.to_vec();
        };
        let before = clauses.iter().filter(|(at, _)| *at < position);
        let moved = position - before.map(|(_, length)| length).sum::<usize>();
        format!("P{moved}").into_bytes()
    };
    let fields: Vec<_> = message.body.split(|byte| *byte == 0).map(moved).collect();
    message.body = fields.join(&0);
}

/// The name of the statement with the careful author's text.
const BY_HAND: &str = "by_hand";
