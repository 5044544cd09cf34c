//! What is counted.

use std::hint::black_box;
use std::iter;
use std::sync::Arc;

use pgabsorb::rules::{Constraint, ConstraintGlob, Origin, Rule, RuleId, Ruleset};
use pgabsorb::session::catalog::{Catalog, Index, SharedCatalog};
use pgabsorb::sql::{Encoding, Memo, Syntax, classify};
use pgabsorb::wire::build::{bind, execute, message, parse, query, sync};
use pgabsorb::wire::frame::{Framer, Interest, Step};

use crate::replay::Replay;
use crate::server::duplicate_key;

/// One of them.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// How often it is run.
    pub(crate) times: u64,
    /// Runs it so often.
    pub(crate) run: fn(u64),
}

const fn case(name: &'static str, times: u64, run: fn(u64)) -> Case {
    Case { name, times, run }
}

pub(crate) const CASES: &[Case] = &[
    case("100 messages looked for their ends", 500, walk),
    case("a prepared SELECT, no rules", 500, |times| select(0, times)),
    case("a prepared SELECT, one rule", 500, |times| select(1, times)),
    case("a prepared SELECT, 10,000 rules", 500, |times| select(10_000, times)),
    case("100 prepared SELECTs in a pipeline, one rule", 50, pipeline),
    case("1,000 rows", 50, rows),
    case("a prepared INSERT, no rules", 500, |times| prepared(0, times)),
    case("a prepared INSERT, one rule", 500, |times| prepared(1, times)),
    case("a prepared INSERT, 10,000 rules", 500, |times| prepared(10_000, times)),
    case("a simple INSERT, no rules", 500, |times| simple(0, times)),
    case("a simple INSERT, one rule", 500, |times| simple(1, times)),
    case("a simple INSERT, 10,000 rules", 500, |times| simple(10_000, times)),
    case("a duplicate, one rule", 500, |times| duplicate(1, times)),
    case("a duplicate, 10,000 rules", 500, |times| duplicate(10_000, times)),
    case("a prepared duplicate, one rule", 500, prepared_duplicate),
    case("a block of 3 INSERTs, one rule", 200, |times| block(INSERTED, times)),
    case("a block of 3 duplicates, one rule", 200, |times| block(REPEATED, times)),
    case("an INSERT read from scratch", 200, from_scratch),
    case("an INSERT remembered", 2000, remembered),
    case("the rule of a constraint, among 10,000", 2000, find),
];

const INSERTED: &str = "INSERT INTO t (id, name) VALUES (1, 'somebody')";
const REPEATED: &str = "INSERT INTO t (id, name) VALUES (0, 'somebody')";
const BOUND: &str = "INSERT INTO events (id, kind, at, payload) VALUES ($1, $2, $3, $4)";
const SYNTAX: Syntax = Syntax { standard_conforming_strings: true, encoding: Encoding::Utf8 };

fn walk(times: u64) {
    let bytes: Vec<u8> = (0..100).flat_map(|_| message(b'D', &[0; 60])).collect();
    for _ in 0..times {
        let mut framer = Framer::new(1 << 20);
        let mut rest = black_box(&*bytes);
        while let Ok(Step::Frame(frame)) = framer.step(rest, |_| Interest::Header) {
            rest = rest.get(frame.bytes.len()..).unwrap_or_default();
        }
        assert!(rest.is_empty());
    }
}

/// The last of so many rules lists the key of `t`.
fn rules(count: usize) -> Arc<Ruleset> {
    let rule = |number: usize| {
        let name =
            if number + 1 == count { "t_pkey".to_owned() } else { format!("other_{number}") };
        let id = RuleId::new(&format!("rule-{number}")).expect("an id");
        Rule::new(id, ConstraintGlob::new(&name).expect("a name"))
    };
    Arc::new(Ruleset::new((0..count).map(rule).collect()))
}

fn constraint() -> Constraint {
    Constraint { schema: "public".into(), table: "t".into(), name: "t_pkey".into() }
}

/// What is known of the key of `t`.
fn catalog() -> Arc<SharedCatalog> {
    let catalog = SharedCatalog::default();
    let index = Index {
        root: constraint(),
        columns: "id".to_owned(),
        immediate: true,
        plain: true,
        partitioned: false,
        conflict_target: Some("(id)".to_owned()),
        key: Some("id".to_owned()),
        predicate: None,
        table_columns: Vec::new(),
    };
    catalog.store(iter::once((constraint(), index)).collect::<Catalog>());
    Arc::new(catalog)
}

fn session(count: usize) -> Replay {
    Replay::new(&rules(count), &catalog())
}

/// What `pgbench -M prepared` sends for a statement that is prepared.
fn bound(name: &[u8], parameters: &[u8]) -> Vec<u8> {
    [bind(b"", name, parameters), message(b'D', b"P\0"), execute(b"", 0)].concat()
}

fn prepare(session: &mut Replay, name: &[u8], text: &str) {
    session.say(&[[parse(name, text.as_bytes(), &[0, 0]), sync()].concat()], None);
}

/// No formats, no parameters, no result formats.
const NONE: &[u8] = &[0; 6];

fn select(count: usize, times: u64) {
    let mut session = session(count);
    prepare(&mut session, b"s", "SELECT abalance FROM pgbench_accounts WHERE aid = 1");
    let replies = [selected(), message(b'Z', b"I").to_vec()].concat();
    let script = session.say(&[[&*bound(b"s", NONE), &sync()].concat()], Some(&replies));
    assert_eq!(script.said, replies);
    session.play(&script, times);
}

/// The reply to what is bound, with a row.
fn selected() -> Vec<u8> {
    let row = [&[0, 1, 0, 0, 0, 1][..], b"0"].concat();
    let replies = [
        message(b'2', b""),
        message(b'T', b"\0\x01abalance\0\0\0\x40\x01\0\x03\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0"),
        message(b'D', &row),
        message(b'C', b"SELECT 1\0"),
    ];
    replies.concat()
}

fn pipeline(times: u64) {
    let mut session = session(1);
    prepare(&mut session, b"s", "SELECT abalance FROM pgbench_accounts WHERE aid = 1");
    let replies = [selected().repeat(100), message(b'Z', b"I").to_vec()].concat();
    let flight = [&*bound(b"s", NONE).repeat(100), &sync()].concat();
    let script = session.say(&[flight], Some(&replies));
    assert_eq!(script.said, replies);
    session.play(&script, times);
}

fn rows(times: u64) {
    let mut session = session(1);
    let row = message(b'D', &[&[0, 1, 0, 0, 0, 100][..], &[b'x'; 100]].concat());
    let replies = [&row.repeat(1000)[..], &message(b'C', b"SELECT 1000\0"), &message(b'Z', b"I")];
    let script = session.say(&[query(b"TABLE t").to_vec()], Some(&replies.concat()));
    assert_eq!(script.said, replies.concat());
    session.play(&script, times);
}

fn prepared(count: usize, times: u64) {
    let mut session = session(count);
    prepare(&mut session, b"s", BOUND);
    let value = [&[0, 0, 0, 4][..], b"1234"].concat();
    let parameters = [&[0, 0, 0, 4][..], &value.repeat(4), &[0, 0]].concat();
    let script = session.say(&[[&*bound(b"s", &parameters), &sync()].concat()], None);
    assert!(says(&script.said, "INSERT 0 1", 1));
    session.play(&script, times);
}

fn simple(count: usize, times: u64) {
    let mut session = session(count);
    let flight = query(INSERTED.as_bytes()).to_vec();
    session.say(std::slice::from_ref(&flight), None);
    let script = session.say(&[flight], None);
    assert!(says(&script.said, "INSERT 0 1", 1));
    session.play(&script, times);
}

fn duplicate(count: usize, times: u64) {
    let mut session = session(count);
    let flight = query(REPEATED.as_bytes()).to_vec();
    session.say(std::slice::from_ref(&flight), None);
    let script = session.say(&[flight], None);
    assert!(says(&script.said, "INSERT 0 0", 1), "{}", script.said.escape_ascii());
    session.play(&script, times);
}

fn prepared_duplicate(times: u64) {
    let mut session = session(1);
    prepare(&mut session, b"s", REPEATED);
    let flight = [&*bound(b"s", NONE), &sync()].concat();
    let replies = [message(b'2', b""), message(b'n', b""), duplicate_key(), message(b'Z', b"I")];
    let script = session.say(&[flight], Some(&replies.concat()));
    assert!(says(&script.said, "INSERT 0 0", 1), "{}", script.said.escape_ascii());
    session.play(&script, times);
}

fn block(insert: &str, times: u64) {
    let mut session = session(1);
    let texts = ["BEGIN", insert, insert, insert, "COMMIT"];
    let flights: Vec<_> = texts.iter().map(|text| query(text.as_bytes()).to_vec()).collect();
    session.say(&flights, None);
    let script = session.say(&flights, None);
    let tag = if insert == REPEATED { "INSERT 0 0" } else { "INSERT 0 1" };
    assert!(says(&script.said, tag, 3));
    session.play(&script, times);
}

fn says(reply: &[u8], tag: &str, times: usize) -> bool {
    String::from_utf8_lossy(reply).matches(tag).count() == times
}

fn from_scratch(times: u64) {
    for _ in 0..times {
        assert!(classify(black_box(BOUND.as_bytes()), SYNTAX).is_ok());
    }
}

fn remembered(times: u64) {
    let mut memo = Memo::default();
    for _ in 0..times {
        assert!(memo.classify(black_box(BOUND.as_bytes()), SYNTAX).is_ok());
    }
}

fn find(times: u64) {
    let (rules, origin, constraint) = (rules(10_000), Origin::default(), constraint());
    for _ in 0..times {
        assert!(rules.find(black_box(&constraint), &origin).is_some());
    }
}
