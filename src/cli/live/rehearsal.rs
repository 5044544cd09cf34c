//! A session of the proxy's, played with a client that is made up.
//!
//! What it asks the catalog goes to the real server, in the very words that it has for it; the
//! client's statement goes nowhere: the duplicate key that answers it is made up too. So what is
//! said of a rule is not what somebody thinks that the proxy does: it is what the proxy does.

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

/// What all rehearsals in one database share.
pub(in crate::cli) struct Stage {
    /// What the server says of itself.
    pub(in crate::cli) server_version: String,
    /// What the sessions have learnt of the listed constraints.
    catalog: Arc<SharedCatalog>,
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
    /// What ran in the place of the statement that failed.
    pub(in crate::cli) again: Option<String>,
}

impl Stage {
    pub(in crate::cli) fn new(server_version: &str) -> Self {
        Self { server_version: server_version.to_owned(), catalog: Arc::default() }
    }

    /// What is known of the listed constraints, once a session has asked.
    pub(in crate::cli) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.current().unwrap_or_default()
    }

    /// What becomes of a statement that violates a constraint.
    pub(in crate::cli) fn play(
        &self,
        transaction: &mut Transaction<'_>,
        rules: &Arc<Ruleset>,
        origin: &Origin,
        text: &str,
        violates: &Constraint,
    ) -> anyhow::Result<Act> {
        let setup = Setup {
            origin: origin.clone(),
            rules: Arc::clone(rules),
            catalog: Arc::clone(&self.catalog),
            inspect: 1 << 30,
            channel_binding: ChannelBinding::default(),
        };
        let mut actors = Actors {
            session: Session::new(setup),
            server: Server {
                violates,
                rows: 0,
                statements: HashMap::new(),
                portals: HashMap::new(),
            },
            heard: Heard::default(),
            act: Act::default(),
        };
        actors.reply(&greeting(&self.server_version))?;
        actors.ask(transaction, &build::query(text.as_bytes()), text)?;
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

/// What stands for the server: the real one answers the proxy's own questions.
struct Server<'a> {
    violates: &'a Constraint,
    /// How many of the client's statements have come.
    rows: usize,
    statements: HashMap<Vec<u8>, String>,
    portals: HashMap<Vec<u8>, Question>,
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
    /// The client sends its one message, and everything runs to its end.
    fn ask(
        &mut self,
        transaction: &mut Transaction<'_>,
        message: &[u8],
        text: &str,
    ) -> anyhow::Result<()> {
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
            let replies = self.serve(transaction, &sent, text)?;
            self.reply(&replies)?;
        }
        bail!("the rehearsal of {text} does not end")
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
                Note::Conflict(conflict) => self.act.outcome = Some(conflict.outcome),
                Note::NotRewritten { doubt, .. } => self.act.doubt = Some(doubt),
                Note::LookupFailed { .. } => bail!("the proxy could not read the catalog's answer"),
                Note::OutOfStep { .. } => bail!("a rehearsal fell out of step"),
            }
        }
        Ok(())
    }

    /// What the server answers to messages.
    fn serve(
        &mut self,
        transaction: &mut Transaction<'_>,
        mut sent: &[u8],
        text: &str,
    ) -> anyhow::Result<Vec<u8>> {
        let mut framer = Framer::new(usize::MAX);
        let mut replies = Vec::new();
        while let Ok(Step::Frame(frame)) = framer.step(sent, |_| Interest::Whole) {
            sent = sent.get(frame.bytes.len()..).unwrap_or_default();
            match FrontendMessage::read(&frame) {
                FrontendMessage::Query(Some(query)) => {
                    replies.extend(self.query(&String::from_utf8_lossy(query), text));
                }
                message => replies.extend(self.server.answer(transaction, &message)?),
            }
        }
        Ok(replies)
    }

    /// The client's statement: it fails if it has come as it is.
    fn query(&mut self, query: &str, text: &str) -> Vec<u8> {
        self.server.rows += 1;
        let fails = self.server.rows == 1 && query == text;
        let place = if self.server.rows == 1 { &mut self.act.sent } else { &mut self.act.again };
        *place = Some(query.to_owned());
        let reply = if fails {
            duplicate(self.server.violates)
        } else {
            build::command_complete("INSERT 0 0").to_vec()
        };
        [reply, message(b'Z', b"I")].concat()
    }
}

impl Server<'_> {
    fn answer(
        &mut self,
        transaction: &mut Transaction<'_>,
        sent: &FrontendMessage<'_>,
    ) -> anyhow::Result<Vec<u8>> {
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
                let question = self.portals.get(portal).context("nothing to execute")?;
                let mut replies = Vec::new();
                for row in question.ask(transaction)? {
                    replies.extend(data_row(&row)?);
                }
                replies.extend_from_slice(&build::command_complete("SELECT 1"));
                replies
            }
            FrontendMessage::Close(_) => build::close_complete().to_vec(),
            FrontendMessage::Sync => message(b'Z', b"I"),
            FrontendMessage::Other(b'H') => Vec::new(),
            ref other => bail!("a rehearsal met {other:?}"),
        })
    }
}

impl Question {
    /// Asks the real server, behind a savepoint: a question may set the search_path.
    fn ask(&self, transaction: &mut Transaction<'_>) -> anyhow::Result<Vec<Vec<Option<String>>>> {
        let mut inside = transaction.transaction()?;
        let types = vec!["pg_catalog.bytea[]"; self.arrays.len()].join(", ");
        inside.batch_execute(&format!("PREPARE {NAME} ({types}) AS {}", self.text))?;
        let literals: Vec<_> = self.arrays.iter().map(|array| format!("'{array}'")).collect();
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

/// What a server says when a client has logged in.
fn greeting(server_version: &str) -> Vec<u8> {
    let parameter =
        |name: &str, value: &str| message(b'S', format!("{name}\0{value}\0").as_bytes());
    [
        parameter("client_encoding", "UTF8"),
        parameter("standard_conforming_strings", "on"),
        parameter("server_version", server_version),
        message(b'Z', b"I"),
    ]
    .concat()
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

/// More turns than any statement takes.
const LONGEST: usize = 100;
