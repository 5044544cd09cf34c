//! The tables that the sessions use, one for each kind of unique constraint, and what is listed.

use super::{Answer, Strategy};
use crate::support::version::{server_has, version};

/// A table that sessions insert into.
#[derive(Debug)]
pub struct Table {
    /// As SQL writes it.
    pub name: &'static str,
    /// Columns that an INSERT names, and what values they take.
    pub columns: &'static [(&'static str, Kind)],
    /// How a careful author makes an INSERT skip what the rules list; `None` if nothing is.
    pub clause: Option<&'static str>,
}

/// Which values a column takes: few, so that duplicates are many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A small number.
    Key,
    /// A letter, in either case.
    Letter,
    Flag,
    /// A small number or NULL.
    Nullable,
    /// A region that has a partition, or one that has none.
    Region,
    /// A parent that exists, or one that does not.
    Parent,
    /// Anything: tells which of two rows was stored. A few break a CHECK constraint.
    Value,
}

impl Kind {
    /// The type's name, for casts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Letter => "text",
            Self::Flag => "bool",
            _ => "int",
        }
    }

    /// The text form of one of its values; `None` for NULL.
    pub fn value(self, seed: u8) -> Option<String> {
        let small = |count: u8| Some((seed % count).to_string());
        match self {
            Self::Key => small(6),
            Self::Letter => Some(["a", "A", "b", "B", "ä"][usize::from(seed % 5)].to_owned()),
            Self::Flag => Some(["true", "false"][usize::from(seed % 2)].to_owned()),
            Self::Nullable => small(4).filter(|value| value != "3"),
            Self::Region => Some([0, 1, 2, 0, 1, 2, 3][usize::from(seed % 7)].to_string()),
            Self::Parent => Some([1, 1, 1, 2, 2, 9][usize::from(seed % 6)].to_string()),
            Self::Value => small(100),
        }
    }

    /// One of its values as a literal.
    pub fn literal(self, seed: u8) -> String {
        let Some(value) = self.value(seed) else { return format!("NULL::{}", self.name()) };
        if self == Self::Letter { format!("'{value}'") } else { value }
    }
}

pub const TABLES: &[Table] = &[
    // A primary key, and a CHECK that comes before it.
    table("acct", &[("id", Kind::Key), ("v", Kind::Value)], "(id)"),
    // Several columns.
    table("pair", &[("a", Kind::Key), ("b", Kind::Letter), ("v", Kind::Value)], "(a, b)"),
    // A partial index.
    table(
        "live",
        &[("k", Kind::Key), ("active", Kind::Flag), ("v", Kind::Value)],
        "(k) WHERE active",
    ),
    // An expression.
    table("mail", &[("b", Kind::Letter), ("v", Kind::Value)], "(lower(b))"),
    // Partitions of two levels, by way of the root and of a leaf.
    table("ev", &[("region", Kind::Region), ("id", Kind::Key), ("v", Kind::Value)], "(region, id)"),
    table("ev_0", &[("region", Kind::Region), ("id", Kind::Key)], "(region, id)"),
    // Two constraints, of which the older one is listed.
    table("duo", &[("id", Kind::Key), ("u", Kind::Key), ("v", Kind::Value)], "(id)"),
    // Two constraints, both listed.
    table("twin", &[("id", Kind::Key), ("u", Kind::Key), ("v", Kind::Value)], ""),
    // Triggers: one raises a notice before each row, one writes to a log after it.
    table("trig", &[("id", Kind::Key), ("v", Kind::Value)], "(id)"),
    // A trigger that stumbles over a listed key itself, of this table or another.
    table("nest", &[("id", Kind::Key), ("v", Kind::Value)], "(id)"),
    // A foreign key.
    table("child", &[("id", Kind::Key), ("parent", Kind::Parent)], "(id)"),
    // An identity column, and a key that is generated.
    table("ident", &[("k", Kind::Key)], "(g)"),
    // NULLs that are equal.
    table("nulls", &[("a", Kind::Nullable), ("b", Kind::Nullable)], "(a, b)"),
    // Names that need quotes.
    table(r#""Ünï Q"."sp ""ace""#, &[(r#""Küy""#, Kind::Key), ("v", Kind::Value)], r#"("Küy")"#),
    // Not listed.
    Table { clause: None, ..table("free", &[("id", Kind::Key), ("v", Kind::Value)], "") },
    // Listed, but checked at the end.
    Table { clause: None, ..table("late", &[("id", Kind::Key)], "") },
    // A view of a table whose key is listed.
    Table { clause: None, ..table("seen", &[("id", Kind::Key), ("v", Kind::Value)], "") },
];

const fn table(
    name: &'static str,
    columns: &'static [(&'static str, Kind)],
    clause: &'static str,
) -> Table {
    Table { name, columns, clause: Some(clause) }
}

/// What the rules list.
const LISTED: &[&str] = &[
    "acct_pkey",
    "pair_a_b_key",
    "live_k",
    "mail_lower",
    "ev_pkey",
    "duo_pkey",
    "twin_pkey",
    "twin_u",
    "trig_pkey",
    "nest_pkey",
    "child_pkey",
    "ident_g_key",
    "nulls_a_b_key",
    "Schlüssel \\\"Q\\\"",
    "late_id_key",
];

/// A rules file that lists them.
pub fn rules(strategy: Strategy, answer: Answer) -> String {
    let strategy = if strategy == Strategy::React { "react" } else { "rewrite" };
    let answer = match answer {
        Answer::Nothing => "",
        Answer::Existing => "returning = \"existing\"\n",
        Answer::Update => "on_conflict = \"update\"\nset = \"*\"\n",
    };
    let rule = |(number, name)| {
        let head = format!("[[rule]]\nid = \"rule-{number}\"\nconstraint = \"{name}\"\n");
        format!("{head}strategy = \"{strategy}\"\n{answer}")
    };
    // Where it is no partition, it has a key of its own.
    let apart = Some(&"ev_0_pkey").filter(|_| version() < 11);
    LISTED.iter().chain(apart).enumerate().map(rule).collect()
}

/// Constraints as an error names them, if a rule lists them: leaves of a partitioned table too.
pub fn is_listed(constraint: &[u8]) -> bool {
    let named = |name: &&str| name.replace("\\\"", "\"").as_bytes() == constraint;
    LISTED.iter().any(named) || constraint.starts_with(b"ev_")
}

/// The tables, those of newer servers in the form that this server can have.
pub fn schema() -> String {
    let parted = if server_has(11, "unique constraints of partitioned tables") {
        PARTED
    } else {
        NOT_PARTED
    };
    let generated = if server_has(12, "generated columns") {
        "g int GENERATED ALWAYS AS (k / 2) STORED UNIQUE"
    } else {
        "g int DEFAULT 1 UNIQUE"
    };
    let nulls =
        if server_has(15, "NULLS NOT DISTINCT") { "UNIQUE NULLS NOT DISTINCT" } else { "UNIQUE" };
    format!(
        "{SCHEMA}{parted}
         CREATE TABLE ident (n bigint GENERATED ALWAYS AS IDENTITY, k int DEFAULT 2, {generated});
         CREATE TABLE nulls (a int, b int, {nulls} (a, b));"
    )
}

const PARTED: &str = "
CREATE TABLE ev (region int, id int, v int, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE ev_0 PARTITION OF ev FOR VALUES IN (0);
CREATE TABLE ev_rest PARTITION OF ev FOR VALUES IN (1, 2) PARTITION BY RANGE (id);
CREATE TABLE ev_low PARTITION OF ev_rest FOR VALUES FROM (MINVALUE) TO (3);
CREATE TABLE ev_high PARTITION OF ev_rest FOR VALUES FROM (3) TO (MAXVALUE);
";

/// Two tables that refuse what has no partition.
const NOT_PARTED: &str = "
CREATE TABLE ev (region int CHECK (region < 3), id int, v int, PRIMARY KEY (region, id));
CREATE TABLE ev_0 (region int CHECK (region = 0), id int, v int, PRIMARY KEY (region, id));
";

const SCHEMA: &str = r#"
CREATE TABLE acct (id int PRIMARY KEY, v int CHECK (v < 95));
CREATE TABLE pair (a int, b text, v int, UNIQUE (a, b));
CREATE TABLE live (k int, active bool, v int);
CREATE UNIQUE INDEX live_k ON live (k) WHERE active;
CREATE TABLE mail (b text, v int);
CREATE UNIQUE INDEX mail_lower ON mail (lower(b));
CREATE TABLE duo (id int PRIMARY KEY, u int, v int);
ALTER TABLE duo ADD CONSTRAINT duo_u UNIQUE (u);
CREATE TABLE twin (id int PRIMARY KEY, u int, v int);
ALTER TABLE twin ADD CONSTRAINT twin_u UNIQUE (u);
CREATE TABLE log (what text);
CREATE TABLE trig (id int PRIMARY KEY, v int);
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE NOTICE 'row %', new.id; new.v := new.v + 1000; RETURN new; END $$;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO log VALUES (new::text); RETURN NULL; END $$;
CREATE TRIGGER shout BEFORE INSERT ON trig FOR EACH ROW EXECUTE PROCEDURE shout();
CREATE TRIGGER note AFTER INSERT ON trig FOR EACH ROW EXECUTE PROCEDURE note();
CREATE TABLE nest (id int PRIMARY KEY, v int);
CREATE FUNCTION stumble() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF new.id = 5 THEN INSERT INTO nest VALUES (1, new.v);
        ELSE INSERT INTO acct VALUES (new.id, new.v); END IF;
        RETURN NULL;
    END $$;
CREATE TRIGGER stumble AFTER INSERT ON nest FOR EACH ROW WHEN (new.id > 3)
    EXECUTE PROCEDURE stumble();
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent);
CREATE SCHEMA "Ünï Q";
CREATE TABLE "Ünï Q"."sp ""ace" ("Küy" int, v int,
    CONSTRAINT "Schlüssel ""Q""" UNIQUE ("Küy"));
CREATE TABLE free (id int PRIMARY KEY, v int);
CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE VIEW seen AS SELECT id, v FROM acct;
"#;

/// What each session finds; DELETE is faster than TRUNCATE where there is little to delete.
pub const RESET: &str = r#"
DELETE FROM acct; DELETE FROM pair; DELETE FROM live; DELETE FROM mail; DELETE FROM ev;
DELETE FROM ev_0; DELETE FROM duo; DELETE FROM twin; DELETE FROM log; DELETE FROM trig; DELETE FROM nest;
DELETE FROM child; DELETE FROM parent; DELETE FROM ident; DELETE FROM nulls;
DELETE FROM "Ünï Q"."sp ""ace"; DELETE FROM free; DELETE FROM late;
INSERT INTO acct VALUES (1, 1), (2, 2);
INSERT INTO pair VALUES (1, 'a', 1), (2, 'b', 2);
INSERT INTO live VALUES (1, true, 1), (2, false, 2);
INSERT INTO mail VALUES ('a', 1);
INSERT INTO ev VALUES (0, 1, 1), (1, 2, 2), (2, 4, 3);
INSERT INTO duo VALUES (1, 1, 1), (2, 2, 2);
INSERT INTO twin VALUES (1, 1, 1), (2, 2, 2);
INSERT INTO trig VALUES (1, 1);
INSERT INTO nest VALUES (1, 1);
INSERT INTO parent VALUES (1), (2);
INSERT INTO child VALUES (1, 1);
INSERT INTO ident (k) VALUES (2);
INSERT INTO nulls VALUES (1, NULL), (NULL, NULL);
INSERT INTO "Ünï Q"."sp ""ace" VALUES (1, 1);
INSERT INTO free VALUES (1, 1), (3, 3);
INSERT INTO late VALUES (1);
"#;

/// All rows of all tables. Of an identity column nothing is said: a duplicate uses up a value, and
/// one that is run again uses up more.
pub const DUMP: &str = r#"
SELECT 'acct' AS t, r::text AS r FROM acct r
UNION ALL SELECT 'pair', r::text FROM pair r
UNION ALL SELECT 'live', r::text FROM live r
UNION ALL SELECT 'mail', r::text FROM mail r
UNION ALL SELECT 'ev', r::text FROM ev r
UNION ALL SELECT 'ev_0', r::text FROM ev_0 r
UNION ALL SELECT 'duo', r::text FROM duo r
UNION ALL SELECT 'twin', r::text FROM twin r
UNION ALL SELECT 'log', r::text FROM log r
UNION ALL SELECT 'trig', r::text FROM trig r
UNION ALL SELECT 'nest', r::text FROM nest r
UNION ALL SELECT 'parent', r::text FROM parent r
UNION ALL SELECT 'child', r::text FROM child r
UNION ALL SELECT 'ident', (k, g)::text FROM ident r
UNION ALL SELECT 'nulls', r::text FROM nulls r
UNION ALL SELECT 'space', r::text FROM "Ünï Q"."sp ""ace" r
UNION ALL SELECT 'free', r::text FROM free r
UNION ALL SELECT 'late', r::text FROM late r
ORDER BY t, r
"#;
