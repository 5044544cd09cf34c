//! ON CONFLICT where `sql::classify` says it belongs: a real server takes it there, and takes it
//! for the INSERT's own.

use pgabsorb::sql::{Encoding, Insert, Part, Statement, Syntax, classify};

use crate::support::postgres::{Database, server};
use crate::support::version::server_has;
use crate::support::wire::{Message, Wire, lines, parse, startup, sync};

const SYNTAX: Syntax = Syntax { standard_conforming_strings: true, encoding: Encoding::Utf8 };

const CLAUSE: &str = " ON CONFLICT (a) DO NOTHING ";

/// What the forms of `src/sql` name, so that the server accepts as many as can be.
const SCHEMA: &str = r#"
    CREATE SCHEMA s;
    CREATE TABLE t (a text PRIMARY KEY DEFAULT 'x', b text, c text, "values" text, "select" text,
        "returning" text, "update" text, "delete" text, "merge" text, "insert" text, id int, v text);
    CREATE TABLE u (a int PRIMARY KEY, b text, id int, "returning" text);
    CREATE TABLE s.t (a text PRIMARY KEY);
    CREATE TABLE "T" (a text PRIMARY KEY);
    CREATE TABLE "S" (a text PRIMARY KEY);
    CREATE TABLE "quoted"".name" (a text PRIMARY KEY);
    CREATE TABLE é (a text PRIMARY KEY);
    CREATE TABLE t$1 (a text PRIMARY KEY);
    CREATE TABLE a (a int);
    CREATE TABLE b (conflict bool);
    CREATE SEQUENCE s;
    CREATE FUNCTION my_function(int, OUT id int) LANGUAGE sql AS 'SELECT $1';
    CREATE TABLE w (a int PRIMARY KEY, b text, g int GENERATED ALWAYS AS IDENTITY, "returning" text);
    INSERT INTO u VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3);
"#;

/// Texts that store the same keys each time they run, all in `w`.
const REPEATABLE: &[&str] = &[
    "insert into w values (1, 'a')",
    "insert into w values (1), (2), (3);",
    "insert into w (a) values (1) -- comment",
    "insert into w (a) values (1) /* a /* nested */ comment */ ; -- and another",
    "-- first\n/* second */ insert into w (a)\n  values (1)\n;\n\n",
    "insert into w (a, b) values (1, 'returning') returning a",
    "insert into w (a, b) values (1, $$ returning ; $$)returning(a)",
    "insert into w (a, \"returning\") values (1, 'x') -- returning\n returning \"returning\" -- x",
    "insert into w (a) values ((select a from u where a = 1)) returning (select 1 as returning)",
    "insert into w as x (a) values (1) returning x.a as \"returning\", *",
    "insert into w default values returning b, 'on conflict'",
    "insert into w default values",
    "insert into w (a, g) overriding system value values (1, 7) returning g",
    "insert into w overriding user value values (1, 'b', 3)",
    "insert into w overriding user value select 1, 'b', 3 returning a",
    "insert into w (a) select a from u",
    "insert into w (a) select x.a from u x join u y on x.a = y.a",
    "insert into w (a) select x.a from u x join u y join u z on y.a = z.a on x.a = y.a",
    "insert into w (a) select x.a from u x cross join u y where y.a = 1 returning *",
    "insert into w (a) select a from u natural join (select 1 as a) y",
    "insert into w (a) select a from u join u y using (a) returning a",
    "insert into w (a) select a from u left join lateral (select 1) l on true",
    "insert into w (a) select a from u order by a",
    "insert into w (a) select a from u order by a desc nulls last limit 2 offset 1 returning a",
    "insert into w (a) select a from u order by a using <",
    "insert into w (a) select a from u limit all",
    "insert into w (a) select a from u order by a fetch first 2 rows only",
    "insert into w (a) select a from u order by a fetch first row with ties returning a",
    "insert into w (a) select a from u for update",
    "insert into w (a) select a from u for no key update of u skip locked returning a",
    "insert into w (a) select a from u group by a having count(*) = 1",
    "insert into w (a) select sum(a) over x from u where a = 1 window x as (partition by b)",
    "insert into w (a) select a from u tablesample bernoulli (100) repeatable (1)",
    "insert into w (a) select n from generate_series(1, 3) with ordinality as g (n, o)",
    "insert into w (a) select g from generate_series(1, 3) g",
    "insert into w (a, b) select a, b collate \"C\" from u",
    "insert into w (a, b) select 1, '2020-01-01'::timestamp",
    "insert into w (a, b) select 1, '2020-01-01'::timestamptz at time zone 'utc' returning b is not null",
    "insert into w (a) select 1 as conflict",
    "insert into w (a) select conflict from (values (1)) as x (conflict) order by conflict",
    "insert into w (a) select 1 union select 2 union all values (3) returning a",
    "insert into w (a) values (1) union select 2",
    "insert into w (a) values (1), (2) order by 1 limit 1 returning a",
    "insert into w (a) select a from u except select 2",
    "insert into w (a) (select 1)",
    "insert into w (a) ((select 1) union (values (2))) returning a",
    "insert into w (a) (select 1) limit 1",
    "insert into w (select 1)",
    "insert into w (a) (select a from u limit 1) union all (values (7)) returning a",
    "insert into w (a) select a from (table u) as x (a)",
    "insert into w (a) with x as (select 1 as a) select a from x returning a",
    "insert into w (a) (with x as (select 1 as a) table x)",
    "with x (a) as (select 1), y as materialized (select 2) insert into w (a) table x returning a",
    "with recursive x (a) as (select 1 union select a + 1 from x where a < 3)\
        insert into w (a) table x",
    "with x as (select 1 as returning) insert into w (a) values ((select x.returning from x))",
    "insert into w (a) values (1); select 2; insert into w (a) values (2) returning a;",
    "; insert into w (a) select 1;; -- one\n insert into w (a, b) values (2, ';') -- two\n ;",
    "insert into w (a, b) values (1, 'é') ; insert into w (a, b) select 2, 'é' returning b as é",
    "insert into w (a) values (+1)",
    "insert into w (a) values (2 + -1)\r\nreturning -a",
    "insert into w (a, b) select 1, E'a\\'b'",
    "insert into w (a, b) select 1, U&'\\0041'",
    "insert into w (a, b) select 1, 'a'\n'b'",
    "insert into w (a, b) select 1, $a$ ' $a$",
    "insert into w (a) select a from u where b = 'one' or b similar to 'two'",
];

/// What not every server knows, or knows for a column that is GENERATED ALWAYS.
const NEWER: [(u32, &str); 3] =
    [(12, "as materialized"), (13, "with ties"), (13, "overriding user value")];

#[test]
fn the_clause_absorbs_the_duplicates_of_each_text_and_stores_the_same_rows() {
    let database = Database::new();
    let mut session = session(&database);
    succeed(&mut session, "ALTER TABLE w ALTER a SET DEFAULT 1");
    let unknown = NEWER.iter().filter(|(since, words)| !server_has(*since, words));
    let unknown: Vec<_> = unknown.map(|(_, words)| *words).collect();
    for text in REPEATABLE {
        if unknown.iter().any(|words| text.contains(words)) {
            continue;
        }
        let with_clause = spliced(text, Guard::None);
        succeed(&mut session, "TRUNCATE w RESTART IDENTITY");
        succeed(&mut session, text);
        let stored = rows(&mut session);
        let repeated = session.query(text);
        assert_eq!(error_code(&repeated).as_deref(), Some("23505"), "{text}");

        succeed(&mut session, &with_clause);
        assert_eq!(rows(&mut session), stored, "{with_clause}");
        succeed(&mut session, "BEGIN");
        succeed(&mut session, &spliced(text, Guard::Savepoint));
        succeed(&mut session, "TRUNCATE w RESTART IDENTITY");
        succeed(&mut session, &with_clause);
        assert_eq!(rows(&mut session), stored, "{with_clause}");
        succeed(&mut session, "ROLLBACK");
    }
}

#[test]
fn each_form_the_server_accepts_it_accepts_with_the_clause() {
    let database = Database::new();
    let mut session = session(&database);
    let (mut accepted, mut explained) = (0, 0);
    for form in include_str!("../../src/sql/tests/forms.txt").lines() {
        let text = form.split(" => ").next().unwrap().replace("\\n", "\n").replace("\\r", "\r");
        for (plain, with_clause) in pairs(&text) {
            // What it refuses, for a type or a name, it refuses for the same reason.
            let alone = parse_error(&mut session, &plain);
            assert_eq!(parse_error(&mut session, &with_clause), alone, "{with_clause}");
            accepted += usize::from(alone.is_none());
            // A parameter cannot be explained this way.
            if error_code(&session.query(&format!("EXPLAIN {plain}"))).is_none() {
                explained += 1;
                let plan = lines(&session.query(&format!("EXPLAIN {with_clause}")));
                assert!(plan.contains("Conflict Resolution: NOTHING"), "{with_clause}\n{plan}");
            }
        }
    }
    assert!(accepted >= 100 && explained >= 95, "{accepted} accepted, {explained} explained");
}

/// What is put around a statement besides the clause.
#[derive(Clone, Copy)]
enum Guard {
    None,
    Savepoint,
}

/// The text with the clause in each INSERT.
fn spliced(text: &str, guard: Guard) -> String {
    let script = classify(text.as_bytes(), SYNTAX).expect(text);
    let mut spliced = text.to_owned();
    for (part, insert) in script.statements.iter().rev().filter_map(insert) {
        if let Guard::Savepoint = guard {
            spliced.insert_str(part.range.end, ";RELEASE x");
        }
        spliced.insert_str(insert.conflict_at, CLAUSE);
        if let Guard::Savepoint = guard {
            spliced.insert_str(part.range.start, "SAVEPOINT x;");
        }
    }
    assert_ne!(spliced, text);
    spliced
}

/// Each INSERT of a text, without and with the clause.
fn pairs(text: &str) -> Vec<(String, String)> {
    let Ok(script) = classify(text.as_bytes(), SYNTAX) else { return Vec::new() };
    let inserts = script.statements.iter().filter_map(insert);
    let pair = |(part, insert): (&Part, &Insert)| {
        let (before, behind) = (
            &text[part.range.start..insert.conflict_at],
            &text[insert.conflict_at..part.range.end],
        );
        (format!("{before}{behind}"), format!("{before}{CLAUSE}{behind}"))
    };
    inserts.map(pair).collect()
}

fn insert(part: &Part) -> Option<(&Part, &Insert)> {
    match &part.statement {
        Statement::Insert(insert) if !insert.on_conflict => Some((part, insert)),
        _ => None,
    }
}

fn session(database: &Database) -> Wire {
    database.sql(SCHEMA);
    Wire::connect(server().address(), &startup(&[("database", &database.name)]))
}

fn succeed(session: &mut Wire, text: &str) {
    let reply = session.query(text);
    assert!(error_code(&reply).is_none(), "{text}\n{}", lines(&reply));
}

/// What `w` holds, but for its counter, which a row that was not stored moves too.
fn rows(session: &mut Wire) -> Vec<Message> {
    let mut reply = session.query("SELECT a, b, \"returning\" FROM w ORDER BY a");
    reply.retain(|message| message.tag == b'D');
    reply
}

/// What the server has against a statement before it runs.
fn parse_error(session: &mut Wire, text: &str) -> Option<String> {
    session.send(&[parse("", text), sync()].concat());
    error_code(&session.until(b'Z', 1))
}

/// The SQLSTATE of the first error in a reply.
fn error_code(reply: &[Message]) -> Option<String> {
    let error = reply.iter().find(|message| message.tag == b'E')?;
    let mut fields = error.body.split(|byte| *byte == 0);
    let code = fields.find_map(|field| field.strip_prefix(b"C"))?;
    Some(String::from_utf8_lossy(code).into_owned())
}
