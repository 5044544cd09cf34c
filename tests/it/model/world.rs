//! A client, a session, a server, and the bytes on their way.

use std::sync::Arc;

use pgabsorb::rules::{Constraint, ConstraintGlob, Origin, Rule, RuleId, Ruleset};
use pgabsorb::session::catalog::{Catalog, Index, SharedCatalog};
use pgabsorb::session::login::ChannelBinding;
use pgabsorb::session::{Session, Setup};
use pgabsorb::wire::target::TargetSessionAttrs;

use super::client::{Client, Send};
use super::server::Server;
use super::sql::Sql;
use crate::support::recorder::Recorder;
use crate::support::wire;

/// All that there is.
pub struct World {
    pub client: Client,
    session: Session,
    pub server: Server,
    pub recorder: Recorder,
    /// Sent by the client and not yet taken by the session; likewise from the server.
    upstream: Lane,
    downstream: Lane,
    /// All that ever passed, for comparison.
    pub from_client: Vec<u8>,
    pub to_server: Vec<u8>,
    pub from_server: Vec<u8>,
    pub to_client: Vec<u8>,
}

impl World {
    pub fn new(rules: &Arc<Ruleset>, catalog: &Arc<SharedCatalog>) -> Self {
        let mut recorder = Recorder::default();
        let mut session = Session::new(Setup {
            origin: Origin::default(),
            rules: Arc::clone(rules),
            catalog: Arc::clone(catalog),
            inspect: 1 << 20,
            memory: 1 << 24,
            channel_binding: ChannelBinding::default(),
            target: TargetSessionAttrs::Any,
        });
        let greeting = [
            wire::message(b'S', b"client_encoding\0UTF8\0"),
            wire::message(b'S', b"standard_conforming_strings\0on\0"),
            wire::message(b'Z', b"I"),
        ];
        session.handle_backend(&greeting.concat(), &mut recorder).unwrap();
        recorder.clear();
        Self {
            client: Client::new(),
            session,
            server: Server::new(),
            recorder,
            upstream: Lane::default(),
            downstream: Lane::default(),
            from_client: Vec::new(),
            to_server: Vec::new(),
            from_server: Vec::new(),
            to_client: Vec::new(),
        }
    }

    /// Plays a script in an order that the choices make.
    pub fn play(&mut self, script: &[Send], choices: &[(u8, usize)]) {
        let mut script = script.iter().peekable();
        let mut last: Option<&Send> = None;
        for &(choice, piece) in choices.iter().cycle() {
            let awaits = last.is_some_and(Send::can_be_awaited) && choice & 0x80 != 0;
            match choice & 3 {
                0 | 1 if awaits && !self.client.has_all_replies() => self.deliver(piece),
                0 | 1 => match script.next() {
                    Some(send) => {
                        self.send(send);
                        last = Some(send);
                    }
                    None => break,
                },
                2 => self.step_up(piece),
                _ => self.step_down(piece),
            }
        }
    }

    pub fn send(&mut self, message: &Send) {
        self.client.sent(message);
        let bytes = message.bytes();
        self.from_client.extend_from_slice(&bytes);
        self.upstream.bytes.extend(bytes);
    }

    /// Ends what is open, so that every reply comes and nothing is uncommitted.
    pub fn settle(&mut self) {
        self.send(&Send::Sync);
        self.deliver(usize::MAX);
        assert!(self.client.has_all_replies(), "a reply is missing: {:?}", self.client);
        if self.client.status != b'I' {
            self.send(&Send::Query(vec![Sql::Rollback]));
            self.deliver(usize::MAX);
        }
        assert!(self.client.has_all_replies(), "a reply is missing: {:?}", self.client);
    }

    /// Moves bytes, so many at a time, until none is left that moves.
    pub fn deliver(&mut self, piece: usize) {
        while self.upstream.has_news() || self.downstream.has_news() {
            self.step_up(piece);
            self.step_down(piece);
        }
    }

    /// The session is shown so many more bytes of the client's.
    pub fn step_up(&mut self, piece: usize) {
        self.upstream.show(piece);
        self.offer();
        self.pass_on();
    }

    /// What the session has been shown of the client's bytes and not taken, it may want now.
    fn offer(&mut self) {
        if self.session.wants_frontend() {
            let done = self.session.handle_frontend(self.upstream.show(0), &mut self.recorder);
            self.upstream.take(done);
        }
    }

    /// The session is shown so many more bytes of the server's.
    pub fn step_down(&mut self, piece: usize) {
        let shown = self.downstream.show(piece);
        let done = self.session.handle_backend(shown, &mut self.recorder).unwrap();
        self.downstream.take(done);
        self.offer();
        self.pass_on();
    }

    fn pass_on(&mut self) {
        let to_server = std::mem::take(&mut self.recorder.to_backend);
        self.server.receive(&to_server);
        self.to_server.extend(to_server);
        let from_server = std::mem::take(&mut self.server.output);
        self.from_server.extend_from_slice(&from_server);
        self.downstream.bytes.extend(from_server);
        let to_client = std::mem::take(&mut self.recorder.to_frontend);
        self.client.receive(&to_client);
        self.to_client.extend(to_client);
    }
}

/// Bytes on their way, of which the session has been shown some and has not taken them.
#[derive(Default)]
struct Lane {
    bytes: Vec<u8>,
    shown: usize,
}

impl Lane {
    fn has_news(&self) -> bool {
        self.shown < self.bytes.len()
    }

    fn show(&mut self, more: usize) -> &[u8] {
        self.shown = self.shown.saturating_add(more).min(self.bytes.len());
        &self.bytes[..self.shown]
    }

    fn take(&mut self, count: usize) {
        self.bytes.drain(..count);
        self.shown -= count;
    }
}

/// The rules that list the key of `t`.
pub fn rules() -> Arc<Ruleset> {
    listing("t_pkey")
}

/// The rules that list a constraint.
pub fn listing(constraint: &str) -> Arc<Ruleset> {
    let id = RuleId::new("listed").unwrap();
    Arc::new(Ruleset::new(vec![Rule::new(id, ConstraintGlob::new(constraint).unwrap())]))
}

/// The catalog that knows both tables.
pub fn catalog() -> Arc<SharedCatalog> {
    let catalog = SharedCatalog::default();
    let keys = [("t", "t_pkey"), ("u", "u_pkey")];
    catalog.store(keys.iter().map(|(table, name)| known(table, name)).collect::<Catalog>());
    Arc::new(catalog)
}

/// What a catalog knows of a table's key.
pub fn known(table: &str, name: &str) -> (Constraint, Index) {
    let root =
        Constraint { schema: "public".to_owned(), table: table.to_owned(), name: name.to_owned() };
    (root.clone(), key(root))
}

/// The primary key `id` of an ordinary table.
pub fn key(root: Constraint) -> Index {
    Index {
        root,
        columns: "id".to_owned(),
        immediate: true,
        plain: true,
        partitioned: false,
        conflict_target: Some("(id)".to_owned()),
        key: Some("id".to_owned()),
        predicate: None,
        table_columns: Vec::new(),
    }
}
