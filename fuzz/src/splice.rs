//! What a session puts into a client's text: taken out again, the text is the client's.

use std::sync::Arc;

use pgabsorb::rules::{ConstraintGlob, Origin, Rule, RuleId, Ruleset, Strategy};
use pgabsorb::session::catalog::{Catalog, SharedCatalog};
use pgabsorb::session::login::ChannelBinding;
use pgabsorb::session::{Session, Setup};
use pgabsorb::sql::{self, Encoding, Syntax};
use pgabsorb::wire::target::TargetSessionAttrs;

use crate::model::world::known;
use crate::stream::Stream;
use crate::support::recorder::Recorder;
use crate::support::wire::message;

/// Sends a text in a Query: inside BEGIN, where a savepoint goes around each INSERT; outside, where
/// one that fails runs again with a clause; and where it has its clause from the beginning.
pub fn comes_out_again(text: &[u8], conforming: bool) {
    let syntax = Syntax { standard_conforming_strings: conforming, encoding: Encoding::Utf8 };
    let has_marks = ["pgabsorb_", "conflict", "nothing"].iter().any(|mark| holds(text, mark));
    let Ok(script) = sql::classify(text, syntax) else { return };
    if has_marks || text.contains(&0) {
        return;
    }
    let tables = script.statements.iter().filter_map(|part| part.statement.inserts());
    let tables: Vec<_> = tables.map(|insert| insert.table.clone()).collect();
    if tables.is_empty() {
        return;
    }
    let begin = |strategy, status| Talk::new(&tables, conforming, strategy, status);
    begin(Strategy::React, b'T').guards(text);
    begin(Strategy::React, b'I').runs_again(text, &tables[0]);
    begin(Strategy::Rewrite, b'I').rewrites(text);
    begin(Strategy::Rewrite, b'T').rewrites(text);
}

/// A session whose client sends one Query.
struct Talk {
    session: Session,
    /// The status that the server says.
    status: u8,
    recorder: Recorder,
}

impl Talk {
    fn new(tables: &[String], conforming: bool, strategy: Strategy, status: u8) -> Self {
        let glob = ConstraintGlob::new(KEY).expect("it is a name");
        let rule = Rule { strategy, ..Rule::new(RuleId::new("r").expect("it is an id"), glob) };
        let catalog = SharedCatalog::default();
        catalog.store(tables.iter().map(|table| known(table, KEY)).collect::<Catalog>());
        let mut talk = Self {
            session: Session::new(Setup {
                origin: Origin::default(),
                rules: Arc::new(Ruleset::new(vec![rule])),
                catalog: Arc::new(catalog),
                inspect: 1 << 20,
                memory: 1 << 24,
                channel_binding: ChannelBinding::default(),
                target: TargetSessionAttrs::Any,
            }),
            status,
            recorder: Recorder::default(),
        };
        let strings = if conforming { "on" } else { "off" };
        for (name, value) in [
            ("client_encoding", "UTF8"),
            ("standard_conforming_strings", strings),
            ("server_version", "15.18"),
        ] {
            talk.server(b'S', format!("{name}\0{value}\0").as_bytes());
        }
        talk.server(b'Z', &[status]);
        talk
    }

    fn server(&mut self, tag: u8, body: &[u8]) {
        let bytes = message(tag, body);
        let done = self.session.handle_backend(&bytes, &mut self.recorder);
        assert_eq!(done, Ok(bytes.len()));
    }

    /// The messages that the server gets in the end, when it has answered what it was asked.
    fn query(&mut self, text: &[u8]) -> Vec<Vec<u8>> {
        let query = message(b'Q', &[text, b"\0"].concat());
        let mut untaken = &query[..];
        loop {
            let done = self.session.handle_frontend(untaken, &mut self.recorder);
            untaken = &untaken[done..];
            let messages = self.sent();
            match messages.iter().find(|message| message[0] == b'B') {
                Some(question) => self.answer(&names(question)),
                None => {
                    assert!(untaken.is_empty());
                    return messages;
                }
            }
        }
    }

    /// The server says that a table is the one that is known.
    fn answer(&mut self, names: &[String]) {
        let [schema, table] = names else { panic!("a question about {names:?}") };
        let schema = if schema.is_empty() { &hex(b"public") } else { schema };
        let row = row(&[schema, table, "pocku1t", &hex(KEY.as_bytes())]);
        let status = [self.status];
        for (tag, body) in [
            (b'3', &b""[..]),
            (b'1', b""),
            (b'2', b""),
            (b'D', &row),
            (b'C', b"SELECT 1\0"),
            (b'3', b""),
            (b'3', b""),
            (b'Z', &status),
        ] {
            self.server(tag, body);
        }
    }

    fn sent(&mut self) -> Vec<Vec<u8>> {
        let (mut stream, mut messages) = (Stream::default(), Vec::new());
        let bytes = std::mem::take(&mut self.recorder.to_backend);
        stream.add(&bytes, |message| messages.push(message.to_vec()));
        assert!(stream.is_at_boundary());
        messages
    }

    fn guards(mut self, text: &[u8]) {
        let sent = self.query(text);
        let without = unguarded(only_query(&sent));
        assert_eq!(shown(&without), shown(text));
    }

    fn rewrites(mut self, text: &[u8]) {
        let sent = self.query(text);
        let without = unguarded(only_query(&sent));
        let without = self::without(&without, b" ON CONFLICT ", b" DO NOTHING ");
        assert_eq!(shown(&without), shown(text));
    }

    /// The first statement fails, and is run again if it can be.
    fn runs_again(mut self, text: &[u8], table: &str) {
        let sent = self.query(text);
        // A text that begins a block has its savepoints.
        if only_query(&sent) != text {
            assert_eq!(shown(&unguarded(only_query(&sent))), shown(text));
            return;
        }
        let fields = format!("SERROR\0VERROR\0C23505\0spublic\0t{table}\0n{KEY}\0\0");
        self.server(b'E', fields.as_bytes());
        self.server(b'Z', b"I");
        let again = self.sent();
        if !again.is_empty() {
            let without = without(only_query(&again), b" ON CONFLICT ", b" DO NOTHING ");
            let found = text.windows(without.len()).any(|part| part == without);
            assert!(found, "{} of {}", shown(&without), shown(text));
        }
    }
}

/// The text of the one message that is sent.
fn only_query(messages: &[Vec<u8>]) -> &[u8] {
    match messages {
        [query] if query[0] == b'Q' => &query[5..query.len() - 1],
        _ => panic!("{} messages are sent", messages.len()),
    }
}

fn shown(text: &[u8]) -> String {
    text.escape_ascii().to_string()
}

fn unguarded(text: &[u8]) -> Vec<u8> {
    let released = without(text, b"\n;RELEASE SAVEPOINT pgabsorb_guard", b"");
    without(&released, b"SAVEPOINT pgabsorb_guard;", b"")
}

/// A text without what begins with one text and ends with another.
fn without(mut text: &[u8], begin: &[u8], end: &[u8]) -> Vec<u8> {
    let mut rest = Vec::new();
    while let Some((before, behind)) = cut(text, begin) {
        rest.extend_from_slice(before);
        text = cut(behind, end).expect("what begins ends").1;
    }
    rest.extend_from_slice(text);
    rest
}

/// What stands before a text, and behind it.
fn cut<'a>(text: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let start =
        (0..=text.len() - at.len().min(text.len())).find(|it| text[*it..].starts_with(at))?;
    Some((&text[..start], &text[start + at.len()..]))
}

fn holds(text: &[u8], word: &str) -> bool {
    text.windows(word.len()).any(|it| it.eq_ignore_ascii_case(word.as_bytes()))
}

/// The two names of a question, in hexadecimal digits: its Bind has `{"\\\\x70","\\\\x74"}`.
fn names(question: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(question);
    text.split('"').filter_map(|part| part.strip_prefix(r"\\x")).map(str::to_owned).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A DataRow.
fn row(columns: &[&str]) -> Vec<u8> {
    let count = u16::try_from(columns.len()).expect("they are few").to_be_bytes();
    let column = |column: &&str| {
        let length = u32::try_from(column.len()).expect("it is short").to_be_bytes();
        [&length[..], column.as_bytes()].concat()
    };
    [count.to_vec(), columns.iter().flat_map(column).collect()].concat()
}

/// The name of the key that each table has.
const KEY: &str = "k";
