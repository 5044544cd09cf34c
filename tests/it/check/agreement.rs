//! What `check` says is what the proxy then does, for each kind of table and statement.

use serde_json::Value;

use super::{Said, check, url};
use crate::support::postgres::Database;
use crate::support::proxy::Proxy;
use crate::support::version::server_has;
use crate::support::wire::{Wire, startup};

/// A table, named like its rule, with columns `id` and `n`.
struct Kind {
    name: &'static str,
    sql: &'static str,
    /// What the rule says besides its names and its strategy.
    rule: &'static str,
}

/// Tables that a user without rights of an owner inserts into.
const KINDS: [Kind; 13] = [
    Kind { name: "plain", sql: "CREATE TABLE plain (id int CONSTRAINT plain_k PRIMARY KEY, n int)", rule: "" },
    Kind {
        name: "late",
        sql: "CREATE TABLE late (id int CONSTRAINT late_k PRIMARY KEY DEFERRABLE, n int)",
        rule: "",
    },
    Kind {
        name: "twin",
        sql: "CREATE TABLE twin (id int, n int); CREATE UNIQUE INDEX twin_k ON twin (id);
            CREATE UNIQUE INDEX twin_2 ON twin (id)",
        rule: "",
    },
    Kind {
        name: "part",
        sql: "CREATE TABLE part (id int, n int);
            CREATE UNIQUE INDEX part_k ON part ((id + 1)) WHERE id > 0",
        rule: "",
    },
    Kind {
        name: "root",
        sql: "CREATE TABLE root (id int CONSTRAINT root_k PRIMARY KEY, n int) PARTITION BY RANGE (id);
            CREATE TABLE leaf PARTITION OF root FOR VALUES FROM (0) TO (100)",
        rule: "",
    },
    Kind {
        name: "ruled",
        sql: "CREATE TABLE ruled (id int CONSTRAINT ruled_k PRIMARY KEY, n int);
            CREATE RULE also AS ON INSERT TO ruled DO ALSO NOTHING",
        rule: "",
    },
    Kind {
        name: "viewed",
        sql: "CREATE TABLE viewed (id int CONSTRAINT viewed_k PRIMARY KEY, n int);
            CREATE SCHEMA v; CREATE VIEW v.viewed AS SELECT 1 AS id",
        rule: "",
    },
    Kind {
        name: "secured",
        sql: "CREATE TABLE secured (id int CONSTRAINT secured_k PRIMARY KEY, n int);
            ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
            CREATE POLICY all_rows ON secured USING (true)",
        rule: "",
    },
    Kind {
        name: "blind",
        sql: "CREATE TABLE blind (id int CONSTRAINT blind_k PRIMARY KEY, n int);
            REVOKE SELECT ON blind FROM ROLE",
        rule: "",
    },
    Kind {
        name: "fired",
        sql: "CREATE TABLE fired (id int CONSTRAINT fired_k PRIMARY KEY, n int);
            CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
            CREATE TRIGGER first BEFORE INSERT ON fired FOR EACH ROW EXECUTE PROCEDURE f()",
        rule: "affected_rows = 'requested'",
    },
    Kind {
        name: "mute",
        sql: "CREATE TABLE mute (id int CONSTRAINT mute_k PRIMARY KEY, n int)",
        rule: "returning = 'error'",
    },
    Kind {
        name: "held",
        sql: "CREATE TABLE held (id int CONSTRAINT held_k PRIMARY KEY, n int);
            REVOKE UPDATE ON held FROM ROLE",
        rule: "returning = 'existing'",
    },
    Kind {
        name: "pair",
        sql: "CREATE TABLE pair (id int CONSTRAINT pair_k PRIMARY KEY, n int CONSTRAINT pair_2 UNIQUE)",
        rule: "",
    },
];

/// Those that the server can have.
fn kinds() -> impl Iterator<Item = &'static Kind> {
    let parted = server_has(11, "unique constraints of partitioned tables");
    KINDS.iter().filter(move |kind| parted || kind.name != "root")
}

/// A rule that is not about a table of its own.
const ALSO: &str = "[[rule]]\nid = 'also'\nconstraint = 'pair_2'\nstrategy = 'rewrite'\n";

/// A database with all the tables, and a user who may do what is not taken away.
fn stage() -> (Database, String) {
    let database = Database::new();
    let app = format!("{}_app", database.name);
    database.sql(&format!(
        "CREATE ROLE {app} LOGIN;
         ALTER DEFAULT PRIVILEGES GRANT INSERT, SELECT, UPDATE ON TABLES TO {app}"
    ));
    for kind in kinds() {
        database.sql(&kind.sql.replace("ROLE", &app));
        database.sql(&format!("INSERT INTO {} VALUES (1, 1)", kind.name));
    }
    (database, app)
}

fn rules(strategy: &str) -> String {
    let rule = |kind: &Kind| {
        let Kind { name, rule, .. } = kind;
        format!(
            "[[rule]]\nid = '{name}'\nconstraint = '{name}_k'\nstrategy = '{strategy}'\n{rule}\n"
        )
    };
    kinds().map(rule).collect::<String>() + ALSO
}

fn connect(proxy: &Proxy, database: &Database, user: &str) -> Wire {
    let parameters = [("database", &*database.name), ("user", user)];
    Wire::connect(proxy.address(), &startup(&parameters))
}

/// What `check` says of a shape: absorbed, or the reason for which it is shown.
fn predicted(said: &Said, id: &str, shape: &str) -> String {
    let lines = said.rule(id);
    let line = lines.iter().find_map(|line| {
        let line = line.strip_prefix("error: ").unwrap_or(line).strip_prefix("react, ")?;
        let (shapes, fate) = line.split_once(": ")?;
        shapes.split(", ").any(|it| it == shape).then_some(fate)
    });
    let fate = line.unwrap_or_else(|| panic!("{id}, {shape}:\n{}", said.out));
    match fate.strip_prefix("shown, ") {
        Some(reason) => reason.split(':').next().unwrap().to_owned(),
        None => fate.split(',').next().unwrap().to_owned(),
    }
}

/// The last of so many conflicts.
fn conflict(proxy: &Proxy, count: usize) -> Value {
    let lines = proxy.log_lines(r#""event":"conflict""#, count);
    serde_json::from_str(&lines[count - 1]).unwrap()
}

fn outcome(conflict: &Value) -> &str {
    match conflict["outcome"].as_str().unwrap() {
        "shown" => conflict["reason"].as_str().unwrap(),
        outcome => outcome,
    }
}

const SHAPES: [(&str, &str); 3] = [
    ("a single row", "VALUES (1, 7)"),
    ("several rows or a query", "VALUES (1, 7), (1, 7)"),
    ("RETURNING", "VALUES (1, 7) RETURNING n"),
];

#[test]
fn what_becomes_of_each_statement_is_what_check_says() {
    let ((database, app), rules) = (stage(), rules("react"));
    let said = check(&rules, &[url(&database, &app)]);
    let proxy = Proxy::start(&rules);
    let mut wire = connect(&proxy, &database, &app);
    let mut count = 0;
    let mut fates = std::collections::HashSet::new();
    for kind in kinds() {
        for (shape, values) in SHAPES {
            // Without RETURNING's own need of SELECT, as `check` has it.
            let values = values.replace("RETURNING n", "RETURNING 1");
            let insert = format!("INSERT INTO public.{} (id, n) {values}", kind.name);
            let predicted = predicted(&said, kind.name, shape);
            wire.query(&insert);
            let alone = conflict(&proxy, count + 1);
            assert_eq!(outcome(&alone), predicted, "{}, {shape}\n{}", kind.name, said.out);
            wire.query("BEGIN");
            wire.query(&insert);
            wire.query("ROLLBACK");
            count += 2;
            let inside = conflict(&proxy, count);
            let same = (inside["outcome"] == "absorbed") == (predicted == "absorbed");
            assert!(same, "{}, {shape} inside BEGIN: {inside}\n{}", kind.name, said.out);
            fates.insert(predicted);
        }
    }
    for fate in ["absorbed", "deferred", "not_plain_table", "no_conflict_target", "redo_failed"] {
        assert!(fates.contains(fate), "nothing ended as {fate}");
    }
}

#[test]
fn what_is_rewritten_is_what_check_says() {
    let ((database, app), rules) = (stage(), rules("rewrite"));
    let said = check(&rules, &[url(&database, &app)]);
    let proxy = Proxy::start(&rules);
    let mut wire = connect(&proxy, &database, &app);
    let (mut count, mut doubts) = (0, 0);
    for kind in kinds() {
        let (shape, values) = SHAPES[1];
        wire.query(&format!("INSERT INTO public.{} (id, n) {values}", kind.name));
        count += 1;
        let conflict = conflict(&proxy, count);
        let line = said.line(kind.name, "rewrite: ").strip_prefix("rewrite: ").unwrap();
        let context = format!("{}: {line}\n{conflict}", kind.name);
        match line.strip_prefix("as with react, ") {
            None => {
                assert!(line.starts_with("sent with ON CONFLICT "), "{context}");
                assert_eq!(conflict["strategy"], "rewrite", "{context}");
                assert_eq!(conflict["outcome"], "absorbed", "{context}");
            }
            Some(doubt) => {
                doubts += 1;
                let logged = proxy.log_lines("not rewritten", doubts);
                let logged: Value = serde_json::from_str(&logged[doubts - 1]).unwrap();
                assert_eq!(logged["reason"], doubt.split(':').next().unwrap(), "{context}");
                assert_eq!(outcome(&conflict), predicted(&said, kind.name, shape), "{context}");
            }
        }
    }
    assert!(doubts >= 6, "only {doubts} doubts");
}
