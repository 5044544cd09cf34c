//! Random sessions: what one client sends, message by message, and where it waits for replies.

use std::fmt;

use proptest::prelude::*;

use super::statement::{Parameters, Statement, any_statement, ending, insert, opening};

/// One message, or one wait.
#[derive(Clone, PartialEq, Eq)]
pub enum Step {
    Query(Vec<Statement>),
    Parse(&'static str, Statement),
    /// A portal, its statement, and what its values come from.
    Bind(&'static str, &'static str, [u8; 3]),
    Describe(u8, &'static str),
    Execute(&'static str, u32),
    Close(u8, &'static str),
    Flush,
    Sync,
    /// Reads every reply to what was sent; it only makes sense where the server has no reason to
    /// keep one back.
    Wait,
}

impl Step {
    /// The text of a Query, as the application writes it or with the clauses that `by_hand` wants.
    pub fn text(statements: &[Statement], mut by_hand: impl FnMut(usize) -> bool) -> String {
        let texts = statements.iter().enumerate();
        let texts =
            texts.map(|(number, it)| if by_hand(number) { it.by_hand() } else { it.plain() });
        texts.collect::<Vec<_>>().join(SEPARATOR)
    }

    /// The same where statements are rewritten: under READ COMMITTED, and with what PREPARE prepares.
    pub fn for_rewriting(self) -> Self {
        self.map(Statement::for_rewriting)
    }

    /// The same with other statements.
    pub fn map(self, change: impl Fn(Statement) -> Statement) -> Self {
        match self {
            Self::Query(statements) => Self::Query(statements.into_iter().map(change).collect()),
            Self::Parse(name, statement) => Self::Parse(name, change(statement)),
            step => step,
        }
    }

    /// Whether a Sync or Query is behind it: the server answers.
    pub fn ends_segment(&self) -> bool {
        matches!(self, Self::Query(_) | Self::Sync)
    }
}

/// A comment at a statement's end goes to the end of its line.
pub const SEPARATOR: &str = "\n; ";

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = |kind: &u8| if *kind == b'S' { "statement" } else { "portal" };
        match self {
            Self::Query(statements) => write!(f, "Query {statements:?}"),
            Self::Parse(name, statement) => write!(f, "Parse {name:?} {statement:?}"),
            Self::Bind(portal, name, seeds) => write!(f, "Bind {portal:?} of {name:?} {seeds:?}"),
            Self::Describe(of, name) => write!(f, "Describe {} {name:?}", kind(of)),
            Self::Execute(portal, rows) => write!(f, "Execute {portal:?} {rows}"),
            Self::Close(of, name) => write!(f, "Close {} {name:?}", kind(of)),
            Self::Flush => write!(f, "Flush"),
            Self::Sync => write!(f, "Sync"),
            Self::Wait => write!(f, "Wait"),
        }
    }
}

/// A whole session.
pub fn session() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(scene(), 1..5).prop_map(|scenes| scenes.concat())
}

/// A transaction block, or what is outside one.
fn scene() -> impl Strategy<Value = Vec<Step>> {
    let steps = |from, to| prop::collection::vec(exchange(), from..to).prop_map(|it| it.concat());
    prop_oneof![
        3 => (beginning(), steps(1, 6), end()).prop_map(|(start, middle, end)| {
            [start, middle, end].concat()
        }),
        2 => steps(1, 4),
    ]
}

fn beginning() -> impl Strategy<Value = Vec<Step>> {
    prop_oneof![
        3 => (opening(), wait()).prop_map(|(begin, wait)| {
            [vec![Step::Query(vec![begin])], wait].concat()
        }),
        1 => (opening(), any_statement(Parameters::None), wait()).prop_map(|(begin, more, wait)| {
            [vec![Step::Query(vec![begin, more])], wait].concat()
        }),
        1 => (opening(), wait()).prop_map(|(begin, wait)| {
            [run("", "", begin, [0; 3]), vec![Step::Sync], wait].concat()
        }),
        1 => opening().prop_map(|begin| run("", "", begin, [0; 3])),
    ]
}

fn end() -> impl Strategy<Value = Vec<Step>> {
    prop_oneof![
        3 => (ending(), wait()).prop_map(|(end, wait)| {
            [vec![Step::Query(vec![end])], wait].concat()
        }),
        1 => (ending(), wait()).prop_map(|(end, wait)| {
            [run("", "", end, [0; 3]), vec![Step::Sync], wait].concat()
        }),
        1 => Just(Vec::new()),
    ]
}

/// A message, or several as drivers send them together.
fn exchange() -> impl Strategy<Value = Vec<Step>> {
    let query = |counts| prop::collection::vec(any_statement(Parameters::None), counts);
    prop_oneof![
        5 => (query(1..2), wait()).prop_map(|(it, wait)| [vec![Step::Query(it)], wait].concat()),
        3 => (query(2..5), wait()).prop_map(|(it, wait)| [vec![Step::Query(it)], wait].concat()),
        4 => (call(), wait()).prop_map(|(it, wait)| [it, vec![Step::Sync], wait].concat()),
        4 => pipeline(),
        2 => prepared(),
        2 => fetched(),
        2 => message(),
        1 => Just(vec![Step::Query(vec![Statement::same("")])]),
    ]
}

/// Most clients wait.
fn wait() -> impl Strategy<Value = Vec<Step>> {
    prop_oneof![3 => Just(vec![Step::Wait]), 1 => Just(Vec::new())]
}

/// One statement in the extended protocol, without a Sync.
fn call() -> impl Strategy<Value = Vec<Step>> {
    let describes = prop::sample::subsequence(vec![0_u8, 1, 2], 0..=1);
    let parts = (portal(), name(), any_statement(Parameters::Some), seeds(), describes, rows());
    parts.prop_map(|(portal, name, statement, seeds, describes, rows)| {
        let mut steps = Vec::new();
        if !name.is_empty() {
            steps.push(Step::Close(b'S', name));
        }
        steps.push(Step::Parse(name, statement));
        steps.extend(describes.iter().filter(|it| **it == 0).map(|_| Step::Describe(b'S', name)));
        if !portal.is_empty() {
            steps.push(Step::Close(b'P', portal));
        }
        steps.push(Step::Bind(portal, name, seeds));
        steps.extend(describes.iter().filter(|it| **it == 1).map(|_| Step::Describe(b'P', portal)));
        steps.push(Step::Execute(portal, rows));
        steps.extend(describes.iter().filter(|it| **it == 2).map(|_| Step::Close(b'P', portal)));
        steps
    })
}

/// Several statements, with Syncs and Flushes among them.
fn pipeline() -> impl Strategy<Value = Vec<Step>> {
    let between = prop_oneof![
        6 => Just(Vec::new()),
        2 => Just(vec![Step::Sync]),
        1 => Just(vec![Step::Flush]),
        1 => Just(vec![Step::Flush, Step::Wait]),
    ];
    let calls = prop::collection::vec((call(), between), 2..6);
    (calls, wait()).prop_map(|(calls, wait)| {
        let mut steps: Vec<_> =
            calls.into_iter().flat_map(|(it, more)| [it, more].concat()).collect();
        steps.push(Step::Sync);
        [steps, wait].concat()
    })
}

/// A statement parsed once and executed several times, each behind its Sync or not.
fn prepared() -> impl Strategy<Value = Vec<Step>> {
    let uses = prop::collection::vec((portal(), seeds(), rows(), any::<bool>()), 1..5);
    (name(), insert(Parameters::Some), uses, wait()).prop_map(|(name, insert, uses, wait)| {
        let mut steps = vec![Step::Close(b'S', name), Step::Parse(name, insert)];
        for (portal, seeds, rows, sync) in uses {
            if !portal.is_empty() {
                steps.push(Step::Close(b'P', portal));
            }
            steps.extend([Step::Bind(portal, name, seeds), Step::Execute(portal, rows)]);
            if sync {
                steps.push(Step::Sync);
            }
        }
        steps.push(Step::Sync);
        [steps, wait].concat()
    })
}

/// A portal from which rows are fetched bit by bit, with another statement between.
fn fetched() -> impl Strategy<Value = Vec<Step>> {
    let statement = prop_oneof![
        1 => Just(Statement::same("SELECT g FROM generate_series(1, 5) AS g")),
        2 => insert(Parameters::Some),
    ];
    (statement, call(), seeds(), wait()).prop_map(|(statement, between, seeds, wait)| {
        let open = run("s3", "p3", statement, seeds);
        let open = open.into_iter().map(|step| match step {
            Step::Execute(portal, _) => Step::Execute(portal, 1),
            step => step,
        });
        let mut steps = vec![Step::Close(b'S', "s3"), Step::Close(b'P', "p3")];
        steps.extend(open);
        steps.push(Step::Sync);
        steps.extend(wait);
        steps.extend(between);
        steps.push(Step::Sync);
        steps.extend([Step::Execute("p3", 2), Step::Execute("p3", 0), Step::Close(b'P', "p3")]);
        steps.push(Step::Sync);
        steps
    })
}

/// Any one message.
fn message() -> impl Strategy<Value = Vec<Step>> {
    prop_oneof![
        (name(), any_statement(Parameters::Some))
            .prop_map(|(name, it)| vec![Step::Parse(name, it)]),
        (portal(), name(), seeds())
            .prop_map(|(portal, name, it)| vec![Step::Bind(portal, name, it)]),
        (portal(), rows()).prop_map(|(portal, rows)| vec![Step::Execute(portal, rows)]),
        name().prop_map(|name| vec![Step::Describe(b'S', name)]),
        portal().prop_map(|portal| vec![Step::Describe(b'P', portal)]),
        name().prop_map(|name| vec![Step::Close(b'S', name)]),
        portal().prop_map(|portal| vec![Step::Close(b'P', portal)]),
        Just(vec![Step::Flush]),
        Just(vec![Step::Flush, Step::Wait]),
        Just(vec![Step::Sync]),
        Just(vec![Step::Sync, Step::Wait]),
    ]
}

/// Parse, Bind and Execute.
fn run(
    name: &'static str,
    portal: &'static str,
    statement: Statement,
    seeds: [u8; 3],
) -> Vec<Step> {
    vec![Step::Parse(name, statement), Step::Bind(portal, name, seeds), Step::Execute(portal, 0)]
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "s1", "s2"])
}

fn portal() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "", "p1", "p2"])
}

fn seeds() -> impl Strategy<Value = [u8; 3]> {
    prop::array::uniform3(any::<u8>())
}

fn rows() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![0, 0, 0, 1])
}
