//! One statement in its two texts: as an application writes it, and as a careful author does.

use std::fmt;

use proptest::prelude::*;

use super::Answer;
use super::tables::{Kind, TABLES, Table};

/// A statement of a session.
#[derive(Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its text up to the place of an ON CONFLICT.
    head: String,
    /// The clause of the careful author; `None` where the contract shows every error.
    clause: Option<String>,
    /// What follows: RETURNING, a comment.
    tail: String,
    /// Its parameters.
    pub parameters: Vec<Kind>,
    /// Whether the proxy can only answer by running it again.
    pub redone: bool,
    pub effect: Effect,
}

/// What a statement that succeeds does to the transaction block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Nothing,
    Begin,
    End,
    /// Ends the block, and begins the next.
    Chain,
    RollbackTo,
}

impl Statement {
    /// One that is the same in both texts.
    pub fn same(text: impl Into<String>) -> Self {
        Self::control(text, Effect::Nothing)
    }

    /// One that begins or ends a block.
    pub fn control(text: impl Into<String>, effect: Effect) -> Self {
        Self {
            head: text.into(),
            clause: None,
            tail: String::new(),
            parameters: Vec::new(),
            redone: false,
            effect,
        }
    }

    /// An INSERT of a listed key.
    pub fn listed(head: &str, target: &str, tail: &str, redone: bool) -> Self {
        let clause = Some(format!(" ON CONFLICT {target} DO NOTHING"));
        let tail = format!("{}{tail}", if tail.is_empty() { "" } else { " " });
        Self { clause, tail, redone, ..Self::same(head) }
    }

    /// Whether the two texts differ.
    pub fn is_listed(&self) -> bool {
        self.clause.is_some()
    }

    /// The same where a duplicate is answered in another way. What is left out is what no clause can
    /// be written for by hand, or none without knowing the table's columns.
    pub fn answering(self, answer: Answer) -> Self {
        let returning = self.tail.contains("RETURNING");
        let changes = match answer {
            Answer::Nothing => false,
            Answer::Existing => returning,
            Answer::Update => true,
        };
        let Some(clause) = self.clause.as_ref().filter(|_| changes) else { return self };
        let into = |table: &&Table| self.head.contains(&format!("INTO {} (", table.name));
        let unclear = |name: &str| ["twin", "ident", "trig"].contains(&name);
        let Some(table) = TABLES.iter().find(into).filter(|table| !unclear(table.name)) else {
            return Self::same("SELECT 'left out'");
        };
        let target = clause.replace(" DO NOTHING", "");
        let sets = match answer {
            Answer::Update => updates(table, &target),
            _ => vec![touches(table)],
        };
        let clause = if sets.is_empty() {
            clause.clone()
        } else {
            format!("{target} DO UPDATE SET {}", sets.join(", "))
        };
        Self { clause: Some(clause), redone: true, ..self }
    }

    /// Whether the proxy, behind it in the same text, is not sure what an INSERT means.
    pub fn unsettles(&self) -> bool {
        let verbs = ["DISCARD", "RESET", "DO ", "SET search_path", "EXECUTE"];
        verbs.iter().any(|verb| self.head.starts_with(verb))
    }

    /// The same where statements are rewritten; those that would not be, or would not any more, are
    /// left out: what becomes of them depends on what the proxy waits for.
    pub fn for_rewriting(self) -> Self {
        if self.head.contains("ISOLATION LEVEL") || self.head.contains("INTO ev_0") {
            return Self::same("SELECT 'left out'");
        }
        if self.head.starts_with("PREPARE own") {
            return Self { clause: Some(" ON CONFLICT (id) DO NOTHING".to_owned()), ..self };
        }
        self
    }

    /// As the application writes it.
    pub fn plain(&self) -> String {
        format!("{}{}", self.head, self.tail)
    }

    /// As a careful author does.
    pub fn by_hand(&self) -> String {
        format!("{}{}{}", self.head, self.clause_text(), self.tail)
    }

    /// How many characters longer the careful author's text is.
    pub fn longer(&self) -> usize {
        self.clause_text().chars().count()
    }

    /// Where in the text they stand.
    pub fn clause_at(&self) -> usize {
        self.head.chars().count()
    }

    /// Whether names of prepared statements may mean anything once it has run.
    pub fn renames(&self) -> bool {
        let verbs = ["PREPARE", "DEALLOCATE", "DISCARD", "DO "];
        verbs.iter().any(|verb| self.head.starts_with(verb))
    }

    pub fn is_of_a_savepoint(&self) -> bool {
        let verbs = ["SAVEPOINT", "ROLLBACK TO", "RELEASE"];
        verbs.iter().any(|verb| self.head.starts_with(verb))
    }

    /// The proxy does not know any more what it is: every error of it is shown.
    pub fn forget(&mut self) {
        (self.clause, self.redone) = (None, false);
    }

    fn clause_text(&self) -> &str {
        self.clause.as_deref().unwrap_or_default()
    }

    /// Values for its parameters.
    pub fn values(&self, seeds: &[u8]) -> Vec<String> {
        let value = |(kind, seed): (&Kind, &u8)| kind.value(*seed).unwrap_or_else(|| "0".into());
        self.parameters.iter().zip(seeds.iter().cycle()).map(value).collect()
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.plain())?;
        if self.is_listed() { write!(f, "  ⟨{}⟩", self.clause_text().trim()) } else { Ok(()) }
    }
}

/// The columns that an INSERT names but those of the key, as DO UPDATE sets them.
fn updates(table: &Table, target: &str) -> Vec<String> {
    let key = target.split('(').nth(1).and_then(|rest| rest.split(')').next()).unwrap_or_default();
    let in_key = |name: &str| key.split(", ").any(|column| column == name);
    let set = |(name, _): &(&str, Kind)| format!("{name} = excluded.{name}");
    table.columns.iter().filter(|(name, _)| !in_key(name)).map(set).collect()
}

/// The first column set to itself.
fn touches(table: &Table) -> String {
    let (column, name) = (table.columns[0].0, table.name.rsplit("Q\".").next().unwrap_or_default());
    format!("{column} = {name}.{column}")
}

// === What is generated ===

/// Whether a statement may have parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameters {
    None,
    Some,
}

/// Any statement.
pub fn any_statement(parameters: Parameters) -> impl Strategy<Value = Statement> {
    prop_oneof![
        16 => insert(parameters),
        1 => Just(Statement::listed(
            "INSERT INTO acct SELECT id, v FROM free ORDER BY id", "(id)", "", true,
        )),
        5 => other(),
        2 => broken(),
        3 => savepoint(),
        1 => control(),
    ]
}

/// An INSERT into any of the tables.
pub fn insert(parameters: Parameters) -> impl Strategy<Value = Statement> {
    let rows = prop_oneof![3 => 1_usize..2, 1 => 2_usize..4];
    let seeds =
        rows.prop_flat_map(|rows| prop::collection::vec(prop::array::uniform3(any::<u8>()), rows));
    let table = (0..TABLES.len()).prop_map(|number| &TABLES[number]);
    let bound = prop::bool::weighted(if parameters == Parameters::Some { 0.5 } else { 0.0 });
    (table, seeds, form(), bound, prop::bool::weighted(0.25), ornament()).prop_map(
        |(table, seeds, form, bound, returning, ornament)| {
            Insert { table, seeds, form, bound, returning, ornament }.statement()
        },
    )
}

/// Where the rows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Values,
    Select,
    With,
    /// All columns have their defaults, where the table can.
    Defaults,
}

fn form() -> impl Strategy<Value = Form> {
    prop_oneof![
        10 => Just(Form::Values),
        2 => Just(Form::Select),
        1 => Just(Form::With),
        1 => Just(Form::Defaults),
    ]
}

/// What stands around a statement and changes nothing.
fn ornament() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop_oneof![
        8 => Just(("", "")),
        1 => Just(("/* app:'x; y' */ ", "")),
        1 => Just(("", "-- the end; really")),
        1 => Just(("  ", "/* /* ; */ */  ")),
    ]
}

struct Insert {
    table: &'static Table,
    /// Of the values, row by row.
    seeds: Vec<[u8; 3]>,
    form: Form,
    /// Whether the first row's values are parameters.
    bound: bool,
    returning: bool,
    /// Before and behind.
    ornament: (&'static str, &'static str),
}

impl Insert {
    fn statement(&self) -> Statement {
        let Table { name, columns, clause, .. } = self.table;
        let names = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let rows = self.rows();
        let (before, behind) = self.ornament;
        let into = format!("INSERT INTO {name} ({names})");
        let by_default = self.form == Form::Defaults && *name == "ident";
        let head = match self.form {
            Form::Defaults if by_default => format!("{before}INSERT INTO {name} DEFAULT VALUES"),
            Form::Values | Form::Defaults => format!("{before}{into} VALUES {rows}"),
            Form::Select => format!("{before}{into} SELECT * FROM (VALUES {rows}) AS it"),
            Form::With => {
                format!("{before}WITH it AS (SELECT * FROM (VALUES {rows}) AS it) {into} TABLE it")
            }
        };
        let returning = if self.returning { format!("RETURNING {names} ") } else { String::new() };
        let tail = format!("{returning}{behind}");
        let one = by_default
            || self.form != Form::Select && self.form != Form::With && self.seeds.len() == 1;
        let statement = match clause {
            Some(target) => Statement::listed(&head, target, &tail, self.returning || !one),
            None => Statement { tail: format!(" {tail}"), ..Statement::same(head) },
        };
        let parameters = if by_default { Vec::new() } else { self.parameters() };
        Statement { parameters, ..statement }
    }

    fn rows(&self) -> String {
        let rows = self.seeds.iter().enumerate().map(|(number, seeds)| {
            let values = self.table.columns.iter().zip(seeds).enumerate();
            let values = values.map(|(column, ((_, kind), seed))| {
                if self.bound && number == 0 {
                    format!("${}::{}", column + 1, kind.name())
                } else {
                    kind.literal(*seed)
                }
            });
            format!("({})", values.collect::<Vec<_>>().join(", "))
        });
        rows.collect::<Vec<_>>().join(", ")
    }

    fn parameters(&self) -> Vec<Kind> {
        let kinds = self.table.columns.iter().map(|(_, kind)| *kind);
        kinds.filter(|_| self.bound).collect()
    }
}

/// What is between INSERTs.
fn other() -> impl Strategy<Value = Statement> {
    let key = 0..6_u8;
    (0..OTHERS.len(), key.clone(), key).prop_map(|(number, one, other)| {
        let text = OTHERS[number].replace("{1}", &one.to_string());
        Statement::same(text.replace("{2}", &other.to_string()))
    })
}

const OTHERS: &[&str] = &[
    "SELECT {1} AS one, {2} AS other",
    "SELECT id, v FROM acct ORDER BY id",
    "SELECT a, b FROM pair ORDER BY a, b",
    "SELECT count(*) FROM ev WHERE id < {1}",
    "DELETE FROM acct WHERE id = {1}",
    "DELETE FROM pair WHERE a = {1}",
    // One row at most: the order of several is a matter of where they lie.
    "DELETE FROM ev WHERE id = {1} AND region = {2} % 3 RETURNING region",
    "DELETE FROM trig WHERE id > {1}",
    "DELETE FROM twin WHERE id = {1} OR u = {2}",
    "UPDATE acct SET v = {2} WHERE id = {1}",
    "UPDATE acct SET id = {2} WHERE id = {1}",
    "UPDATE duo SET u = {2} WHERE id = {1}",
    "UPDATE ev SET region = 2 - region WHERE id = {1}",
    "INSERT INTO acct VALUES ({1}, {2}) ON CONFLICT (id) DO UPDATE SET v = excluded.v",
    "INSERT INTO duo VALUES ({1}, {2}) ON CONFLICT (u) DO NOTHING",
    "INSERT INTO free VALUES ({1}, {2}) ON CONFLICT DO NOTHING RETURNING id",
    "WITH gone AS (DELETE FROM acct WHERE id = {2} RETURNING id)
        INSERT INTO duo SELECT id, 3 FROM gone",
    "WITH added AS (INSERT INTO acct VALUES ({1}, {2}) RETURNING id) SELECT id FROM added",
    "EXPLAIN (ANALYZE, BUFFERS off, COSTS off, TIMING off, SUMMARY off) INSERT INTO acct VALUES ({1}, {2})",
    "MERGE INTO acct USING (VALUES ({1})) AS it (id) ON acct.v = it.id + 50
        WHEN NOT MATCHED THEN INSERT VALUES (it.id, {2})",
    "SET CONSTRAINTS ALL IMMEDIATE",
    "DECLARE c CURSOR FOR SELECT g FROM generate_series({1}, 9) AS g",
    "DECLARE h CURSOR WITH HOLD FOR SELECT id FROM acct ORDER BY id",
    "FETCH 2 FROM c",
    "FETCH 1 FROM c",
    "FETCH ALL FROM h",
    "CLOSE c",
    "CLOSE ALL",
    "PREPARE own AS INSERT INTO acct VALUES ($1, {2})",
    "EXECUTE own ({1})",
    "PREPARE s2 AS SELECT {1} AS one",
    "DEALLOCATE own",
    "DEALLOCATE s1",
    "DEALLOCATE ALL",
    "DISCARD ALL",
    "DO $$ BEGIN PERFORM 1; INSERT INTO free VALUES ({1}, 7); END $$",
    "SET search_path = public",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "SET application_name = 'app {1}'",
    "RESET ALL",
    "SELECT pg_advisory_xact_lock({1})",
    "LISTEN news",
    "NOTIFY news, '{1}'",
];

/// What fails, or is nothing at all.
fn broken() -> impl Strategy<Value = Statement> {
    let texts: &[&str] = &[
        "SELECT 1 / 0",
        "SELECT FROM nosuch",
        "nonsense here",
        "INSERT INTO acct (nosuch) VALUES (1)",
        "INSERT INTO acct (id) VALUES ('ä')",
        "INSERT INTO acct (id) VALUES (1 / 0)",
        "DELETE FROM parent WHERE id = 1",
        "INSERT INTO acct (id, v) VALUES (7, 99)",
        "SELECT '\u{e4}' || 1 / 0, nosuch",
    ];
    prop::sample::select(texts).prop_map(Statement::same)
}

fn savepoint() -> impl Strategy<Value = Statement> {
    let name = prop::sample::select(vec!["a", "b"]);
    let command = prop_oneof![
        3 => Just(("SAVEPOINT", Effect::Nothing)),
        2 => Just(("ROLLBACK TO", Effect::RollbackTo)),
        1 => Just(("RELEASE", Effect::Nothing)),
    ];
    (command, name)
        .prop_map(|((verb, effect), name)| Statement::control(format!("{verb} {name}"), effect))
}

/// What begins or ends a block, at any time.
fn control() -> impl Strategy<Value = Statement> {
    prop_oneof![
        opening(),
        ending(),
        Just(Statement::control("COMMIT AND CHAIN", Effect::Chain)),
        Just(Statement::control("ROLLBACK AND CHAIN", Effect::Chain)),
    ]
}

/// None says an isolation level: AND CHAIN keeps that of a block that has failed in a savepoint of
/// the proxy's own, but not of one that has failed by itself, and another can be refused.
pub fn opening() -> impl Strategy<Value = Statement> {
    let texts = prop_oneof![
        6 => Just("BEGIN"),
        1 => Just("START TRANSACTION READ WRITE"),
        1 => Just("begin work"),
    ];
    texts.prop_map(|text| Statement::control(text, Effect::Begin))
}

pub fn ending() -> impl Strategy<Value = Statement> {
    let texts = prop_oneof![4 => Just("COMMIT"), 1 => Just("END"), 2 => Just("ROLLBACK")];
    texts.prop_map(|text| Statement::control(text, Effect::End))
}
