//! A session of the proxy's, played with a client that is made up.
//!
//! What it asks the catalog goes to the real server, in the very words that it has for it, or is
//! answered by what is assumed; the client's statement goes nowhere: the duplicate key that answers
//! it is made up too. So what is said of a rule is not what somebody thinks that the proxy does: it
//! is what the proxy does.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use postgres::{SimpleQueryMessage, Transaction};

use crate::rules::{Constraint, Origin, Ruleset};
use crate::session::catalog::{Catalog, SharedCatalog};
use crate::session::login::ChannelBinding;
use crate::session::output::{Note, Outcome, Output};
use crate::session::rewrite::Doubt;
use crate::session::{Session, Setup};
use crate::wire::build;
use crate::wire::frame::{Framer, Interest, Step};
use crate::wire::frontend::{FrontendMessage, text_parameter};
use crate::wire::target::TargetSessionAttrs;

/// What all rehearsals in one database share.
pub(in crate::cli) struct Stage {
    /// What the server says of itself.
    pub(in crate::cli) server_version: String,
    /// Whether a backslash in a string is one.
    standard_conforming_strings: bool,
    /// What the sessions have learnt of the listed constraints.
    catalog: Arc<SharedCatalog>,
}

/// Who answers what the session asks the catalog.
pub(in crate::cli) trait Answers {
    /// The rows of an answer, in text format; `arrays` are the question's parameters.
    fn rows(&mut self, question: &str, arrays: &[String]) -> anyhow::Result<Vec<Row>>;
}

/// One row of an answer.
pub(in crate::cli) type Row = Vec<Option<String>>;

/// What surrounds a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) enum Surroundings {
    /// Nothing: it is a transaction of its own.
    #[default]
    Alone,
    /// A transaction block.
    Block,
    /// Another statement in the same query, outside a transaction block; a pipeline is the same.
    Shared,
}

/// What a session has made of one statement.
#[derive(Debug, Default)]
pub(in crate::cli) struct Act {
    /// What the server was sent for the client's statement: the same, or rewritten.
    pub(in crate::cli) sent: Option<String>,
    /// Why it was not rewritten, if a rule wanted that.
    pub(in crate::cli) doubt: Option<Doubt>,
    /// What became of the duplicate key.
    pub(in crate::cli) outcome: Option<Outcome>,
    /// The rule that it became so by.
    pub(in crate::cli) rule: Option<String>,
    /// What ran in the place of the statement that failed.
    pub(in crate::cli) again: Option<String>,
}

impl Stage {
    pub(in crate::cli) fn new(server_version: &str) -> Self {
        Self {
            server_version: server_version.to_owned(),
            standard_conforming_strings: true,
            catalog: Arc::default(),
        }
    }

    /// The one that this server is.
    pub(in crate::cli) fn of(server: &super::server::Server) -> Self {
        let standard_conforming_strings = server.standard_conforming_strings;
        Self { standard_conforming_strings, ..Self::new(&server.version) }
    }

    /// One on which this is known, and nobody asks for it.
    pub(in crate::cli) fn knowing(server_version: &str, catalog: Catalog) -> Self {
        let stage = Self::new(server_version);
        stage.catalog.store(catalog);
        stage
    }

    /// What is known of the listed constraints, once a session has asked.
    pub(in crate::cli) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.current().unwrap_or_default()
    }

    /// What a server says when a client has logged in.
    fn greeting(&self) -> Vec<u8> {
        let parameter =
            |name: &str, value: &str| message(b'S', format!("{name}\0{value}\0").as_bytes());
        let strings = if self.standard_conforming_strings { "on" } else { "off" };
        [
            parameter("client_encoding", "UTF8"),
            parameter("standard_conforming_strings", strings),
            parameter("server_version", &self.server_version),
            message(b'Z', b"I"),
        ]
        .concat()
    }

    /// What becomes of a statement that violates a constraint.
    pub(in crate::cli) fn play(
        &self,
        answers: &mut dyn Answers,
        rules: &Arc<Ruleset>,
        origin: &Origin,
        text: &str,
        violates: &Constraint,
        surroundings: Surroundings,
    ) -> anyhow::Result<Act> {
        let setup = Setup {
            origin: origin.clone(),
            rules: Arc::clone(rules),
            catalog: Arc::clone(&self.catalog),
            inspect: 1 << 30,
            channel_binding: ChannelBinding::default(),
            target: TargetSessionAttrs::Any,
        };
        let mut actors = Actors {
            session: Session::new(setup),
            server: Server {
                answers,
                violates,
                text,
                seen: 0,
                status: Status::Idle,
                statements: HashMap::new(),
                portals: HashMap::new(),
            },
            heard: Heard::default(),
            act: Act::default(),
        };
        actors.reply(&self.greeting())?;
        let query = match surroundings {
            Surroundings::Alone => text.to_owned(),
            Surroundings::Shared => format!("{NEIGHBOUR};{text}"),
            Surroundings::Block => {
                actors.ask(&build::query(b"BEGIN"))?;
                text.to_owned()
            }
        };
        actors.ask(&build::query(query.as_bytes()))?;
        Ok(actors.act)
    }
}

/// The session, and what stands for the server.
struct Actors<'a> {
    session: Session,
    server: Server<'a>,
    heard: Heard,
    act: Act,
}

/// What stands for the server.
struct Server<'a> {
    answers: &'a mut dyn Answers,
    violates: &'a Constraint,
    /// The client's statement.
    text: &'a str,
    /// How often it has come, in one form or another.
    seen: usize,
    status: Status,
    statements: HashMap<Vec<u8>, String>,
    portals: HashMap<Vec<u8>, Question>,
}

/// The transaction status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Idle = b'I' as isize,
    Block = b'T' as isize,
    Failed = b'E' as isize,
}

/// A question of the proxy's own.
#[derive(Clone, Debug)]
struct Question {
    text: String,
    arrays: Vec<String>,
}

/// What the session lets out.
#[derive(Default)]
struct Heard {
    by_server: Vec<u8>,
    notes: Vec<Note>,
}

impl Output for Heard {
    fn to_backend(&mut self, bytes: &[u8]) {
        self.by_server.extend_from_slice(bytes);
    }

    fn to_frontend(&mut self, _bytes: &[u8]) {}

    fn note(&mut self, note: Note) {
        self.notes.push(note);
    }
}

impl Actors<'_> {
    /// The client sends a message, and everything runs to its end.
    fn ask(&mut self, message: &[u8]) -> anyhow::Result<()> {
        let mut rest = message;
        for _ in 0..LONGEST {
            let taken = if self.session.wants_frontend() && !rest.is_empty() {
                self.session.handle_frontend(rest, &mut self.heard)
            } else {
                0
            };
            rest = rest.get(taken..).unwrap_or_default();
            let sent = std::mem::take(&mut self.heard.by_server);
            if sent.is_empty() && taken == 0 {
                return self.listen(rest.is_empty());
            }
            let replies = self.serve(&sent)?;
            self.reply(&replies)?;
        }
        bail!("the rehearsal of {} does not end", self.server.text)
    }

    /// The session gets replies.
    fn reply(&mut self, replies: &[u8]) -> anyhow::Result<()> {
        let taken = self.session.handle_backend(replies, &mut self.heard)?;
        anyhow::ensure!(taken == replies.len(), "a rehearsal left a reply half read");
        Ok(())
    }

    /// What the notes say.
    fn listen(&mut self, is_done: bool) -> anyhow::Result<()> {
        anyhow::ensure!(is_done, "a rehearsal ended in the middle");
        for note in self.heard.notes.drain(..) {
            match note {
                Note::Conflict(conflict) => {
                    self.act.outcome = Some(conflict.outcome);
                    self.act.rule = conflict.rule.map(|(id, _)| id);
                }
                Note::NotRewritten { doubt, .. } => self.act.doubt = Some(doubt),
                Note::LookupFailed { .. } => bail!("the proxy could not read the catalog's answer"),
                Note::OutOfStep { .. } => bail!("a rehearsal fell out of step"),
            }
        }
        Ok(())
    }

    /// What the server answers to messages.
    fn serve(&mut self, mut sent: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut framer = Framer::new(usize::MAX);
        let mut replies = Vec::new();
        while let Ok(Step::Frame(frame)) = framer.step(sent, |_| Interest::Whole) {
            sent = sent.get(frame.bytes.len()..).unwrap_or_default();
            match FrontendMessage::read(&frame) {
                FrontendMessage::Query(Some(query)) => {
                    let query = String::from_utf8_lossy(query);
                    replies.extend(self.server.query(&query, &mut self.act));
                }
                message => replies.extend(self.server.answer(&message)?),
            }
        }
        Ok(replies)
    }
}

impl Server<'_> {
    /// The statements of a query: the client's own fails if it has come as it is.
    fn query(&mut self, query: &str, act: &mut Act) -> Vec<u8> {
        let mut replies = Vec::new();
        let mut rest = query;
        loop {
            rest = rest.trim_start_matches(['\n', ';']);
            if rest.is_empty() {
                break;
            }
            if let Some((tag, behind)) = self.command(rest) {
                replies.extend_from_slice(&build::command_complete(tag));
                rest = behind;
                continue;
            }
            let end = rest.find(RELEASE).unwrap_or(rest.len());
            let (statement, behind) = rest.split_at(end);
            let statement = statement.trim_end_matches([';', '\n']);
            rest = behind;
            self.seen += 1;
            let place = if self.seen == 1 { &mut act.sent } else { &mut act.again };
            *place = Some(statement.to_owned());
            if self.seen == 1 && statement == self.text.trim_matches(['\n', ';']) {
                replies.extend(duplicate(self.violates));
                if self.status == Status::Block {
                    self.status = Status::Failed;
                }
                break;
            }
            replies.extend_from_slice(&build::command_complete("INSERT 0 0"));
        }
        replies.extend(self.ready());
        replies
    }

    /// A command of the proxy's own, or of its surroundings, at the front of a text: its tag, and
    /// what stands behind it.
    fn command<'t>(&mut self, text: &'t str) -> Option<(&'static str, &'t str)> {
        let commands = [
            ("BEGIN", "BEGIN", Status::Block),
            ("SAVEPOINT pgabsorb_guard", "SAVEPOINT", self.status),
            (RELEASE, "RELEASE", self.status),
            ("ROLLBACK TO SAVEPOINT pgabsorb_guard", "ROLLBACK", Status::Block),
            (NEIGHBOUR, "SELECT 1", self.status),
        ];
        let mut found = commands
            .into_iter()
            .filter_map(|(command, tag, status)| Some((tag, status, text.strip_prefix(command)?)));
        let (tag, status, rest) = found.next()?;
        self.status = status;
        Some((tag, rest))
    }

    fn ready(&self) -> Vec<u8> {
        message(b'Z', &[self.status as u8])
    }

    fn answer(&mut self, sent: &FrontendMessage<'_>) -> anyhow::Result<Vec<u8>> {
        Ok(match *sent {
            FrontendMessage::Parse { name, text: Some(text), .. } => {
                self.statements.insert(name.to_vec(), String::from_utf8(text.to_vec())?);
                message(b'1', b"")
            }
            FrontendMessage::Bind { portal, statement, values } => {
                let text = self.statements.get(statement).context("nothing to bind")?.clone();
                let arrays = (1..).map_while(|number| text_parameter(values, number));
                let arrays = arrays.map(|array| String::from_utf8(array.to_vec()));
                let question = Question { text, arrays: arrays.collect::<Result<_, _>>()? };
                self.portals.insert(portal.to_vec(), question);
                message(b'2', b"")
            }
            FrontendMessage::Execute { portal, .. } => {
                let question = self.portals.get(portal).context("nothing to execute")?.clone();
                if let Some((tag, _)) = self.command(&question.text) {
                    return Ok(build::command_complete(tag).to_vec());
                }
                let mut replies = Vec::new();
                for row in self.answers.rows(&question.text, &question.arrays)? {
                    replies.extend(data_row(&row)?);
                }
                replies.extend_from_slice(&build::command_complete("SELECT 1"));
                replies
            }
            FrontendMessage::Close(_) => build::close_complete().to_vec(),
            FrontendMessage::Sync => self.ready(),
            FrontendMessage::Other(b'H') => Vec::new(),
            ref other => bail!("a rehearsal met {other:?}"),
        })
    }
}

impl Answers for Transaction<'_> {
    /// Asks the real server, behind a savepoint: a question may set the search_path.
    fn rows(&mut self, question: &str, arrays: &[String]) -> anyhow::Result<Vec<Row>> {
        let mut inside = self.transaction()?;
        let types = vec!["pg_catalog.bytea[]"; arrays.len()].join(", ");
        inside.batch_execute(&format!("PREPARE {NAME} ({types}) AS {question}"))?;
        let literals: Vec<_> = arrays.iter().map(|array| format!("'{array}'")).collect();
        let answer = inside
            .simple_query(&format!("EXECUTE {NAME} ({})", literals.join(", ")))
            .context("the server refuses the question that the proxy asks the catalog")?;
        inside.batch_execute(&format!("DEALLOCATE {NAME}"))?;
        inside.rollback()?;
        let rows = answer.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let columns = |row: &postgres::SimpleQueryRow| {
            (0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect()
        };
        Ok(rows.map(columns).collect())
    }
}

/// The error of a duplicate key.
fn duplicate(of: &Constraint) -> Vec<u8> {
    let Constraint { schema, table, name } = of;
    let fields = [
        "SERROR",
        "VERROR",
        "C23505",
        "Mduplicate key",
        &format!("s{schema}"),
        &format!("t{table}"),
        &format!("n{name}"),
        "R_bt_check_unique",
        "",
    ];
    message(b'E', fields.map(|field| format!("{field}\0")).concat().as_bytes())
}

fn data_row(columns: &[Option<String>]) -> anyhow::Result<Vec<u8>> {
    let mut body = i16::try_from(columns.len())?.to_be_bytes().to_vec();
    for column in columns {
        match column {
            None => body.extend_from_slice(&(-1_i32).to_be_bytes()),
            Some(text) => {
                body.extend_from_slice(&i32::try_from(text.len())?.to_be_bytes());
                body.extend_from_slice(text.as_bytes());
            }
        }
    }
    Ok(message(b'D', &body))
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    // A body is a name of the catalog's or a row of an answer.
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

/// The statement that stands for a question of the proxy's.
const NAME: &str = "pgabsorb_rehearsal";

/// The end of a text that a savepoint is around.
const RELEASE: &str = "RELEASE SAVEPOINT pgabsorb_guard";

/// What shares a query with the client's statement.
const NEIGHBOUR: &str = "SELECT 'pgabsorb_neighbour'";

/// More turns than any statement takes.
const LONGEST: usize = 100;
