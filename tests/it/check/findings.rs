//! What is wrong with a rule, or worth knowing, line by line.

use super::{check, fails, rule, url};
use crate::support::postgres::Database;
use crate::support::version::{of_version, server_has, version};

#[test]
fn a_constraint_that_is_not_there_is_an_error_with_the_nearest_names() {
    let database = Database::new();
    database.sql(
        "CREATE TABLE events (id int CONSTRAINT events_pkey PRIMARY KEY, a int UNIQUE);
         CREATE TABLE tasks (id int PRIMARY KEY)",
    );
    let rules = [
        rule("typo", "event_pkey", ""),
        rule("elsewhere", "events_pkey", "table = 'tasks'"),
        rule("of-table", "nothing_like_it", "schema = 'public'\ntable = 'events'"),
        rule("nowhere", "nothing_like_it", "table = 'wrong'"),
        rule("pattern", "*_import_key", "schema = 'public'"),
    ];
    let said = check(&rules.concat(), &[url(&database, "postgres")]);
    assert_eq!(
        (said.code, &*said.err),
        (Some(1), "5 errors: a rule cannot do there what it says\n")
    );
    assert_eq!(
        said.rule("typo"),
        [
            "error: no unique constraint or unique index event_pkey in this database",
            "advice: there is events_pkey on public.events, events_a_key on public.events",
        ]
    );
    assert_eq!(
        said.rule("elsewhere"),
        [
            "error: no unique constraint or unique index events_pkey on a table tasks",
            "advice: it is on public.events: correct schema and table",
        ]
    );
    assert_eq!(
        said.rule("of-table"),
        [
            "error: no unique constraint or unique index nothing_like_it on public.events",
            "advice: there is events_a_key on public.events, events_pkey on public.events",
        ]
    );
    let lines = ["error: no unique constraint or unique index nothing_like_it on a table wrong"];
    assert_eq!(said.rule("nowhere"), lines);
    let lines = ["error: no unique constraint or unique index *_import_key in the schema public"];
    assert_eq!(said.rule("pattern"), lines);
}

#[test]
fn what_is_never_absorbed_is_an_error_that_says_what_it_is() {
    let database = Database::new();
    database.sql(
        "CREATE TABLE t (id int PRIMARY KEY, c int CHECK (c > 0), r int4range,
            EXCLUDE USING gist (r WITH &&), up int REFERENCES t);
         CREATE INDEX plain ON t (c);
         CREATE MATERIALIZED VIEW m AS SELECT 1 AS id; CREATE UNIQUE INDEX m_id ON m (id)",
    );
    let names = ["t_c_check", "t_r_excl", "t_up_fkey", "plain", "m_id"];
    let rules: Vec<_> = names.map(|name| rule(&name.replace('_', "-"), name, "")).into();
    let said = check(&rules.concat(), &[url(&database, "postgres")]);
    assert_eq!((said.code, said.err.starts_with("5 errors")), (Some(1), true), "{}", said.out);
    for (id, kind) in [
        ("t-c-check", "check constraint"),
        ("t-r-excl", "exclusion constraint"),
        ("t-up-fkey", "foreign key"),
        ("plain", "index that is not unique"),
    ] {
        let start = format!("error: what has the name is never absorbed: {kind} of public.t; ");
        said.line(id, &start);
    }
    said.line("m-id", "error: a materialized view takes no INSERT");
}

#[test]
fn partitions_are_told_apart_from_what_they_are_of() {
    if !server_has(11, "unique constraints of partitioned tables") {
        return;
    }
    let database = Database::new();
    database.sql(
        "CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
         CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10)",
    );
    let rules = rule("part", "part_pkey", "") + &rule("parted", "parted_pkey", "");
    let said = check(&rules, &[url(&database, "postgres")]);
    assert_eq!((said.code, said.err.starts_with("1 error:")), (Some(1), true), "{}", said.err);
    let root = "error: part_pkey belongs to a partition, and is taken for that of the partitioned \
                table: write constraint = parted_pkey, of public.parted";
    assert_eq!(said.rule("part"), [root]);
    said.line("parted", "public.parted: primary key parted_pkey (id), of 1 partition");
}

#[test]
fn a_constraint_whose_duplicates_are_all_shown_is_an_error_that_says_why() {
    let database = Database::new();
    database.sql(
        "CREATE TABLE late (id int PRIMARY KEY DEFERRABLE);
         CREATE TABLE ruled (id int PRIMARY KEY);
         CREATE RULE more AS ON INSERT TO ruled DO ALSO NOTHING;
         CREATE TABLE doubled (id int PRIMARY KEY);
         CREATE SCHEMA other; CREATE VIEW other.doubled AS SELECT 1 AS id;
         CREATE TABLE broken (a int); INSERT INTO broken VALUES (1), (1)",
    );
    fails(&database, "CREATE UNIQUE INDEX CONCURRENTLY broken_a ON broken (a)");
    let rules = ["late_pkey", "ruled_pkey", "doubled_pkey", "broken_a"]
        .map(|name| rule(&name.replace('_', "-"), name, ""));
    let said = check(&rules.concat(), &[url(&database, "postgres")]);
    assert_eq!((said.code, said.err.starts_with("4 errors")), (Some(1), true), "{}", said.out);
    let all = "error: react, a single row, several rows or a query, RETURNING: shown,";
    for (id, why) in [
        ("late-pkey", "deferred: the constraint is DEFERRABLE; make it anew as NOT DEFERRABLE"),
        ("ruled-pkey", "any schema: rules on public.ruled"),
        ("doubled-pkey", "any schema: the view other.doubled"),
        ("broken-a", "deferred: the index is not valid: what was to build it"),
    ] {
        assert!(said.line(id, all).contains(why), "{id}\n{}", said.out);
    }
    said.line("late-pkey", "rewrite, if the rule asked for it: as with react, index: ");
}

#[test]
fn of_what_a_pattern_lists_some_may_be_shown() {
    let database = Database::new();
    database.sql(
        "CREATE TABLE one (id int PRIMARY KEY); CREATE TABLE two (id int PRIMARY KEY DEFERRABLE)",
    );
    let said = check(&rule("all", "*_pkey", ""), &[url(&database, "postgres")]);
    assert_eq!((said.code, &*said.err), (Some(0), ""), "{}", said.out);
    said.line(
        "all",
        "note: react, a single row, several rows or a query, RETURNING: shown, deferred",
    );
}

#[test]
fn a_good_rule_is_told_with_the_clauses_that_it_uses() {
    let database = Database::new();
    database.sql(
        "CREATE TABLE new (id int CONSTRAINT young_key UNIQUE);
         CREATE TABLE plain (id int PRIMARY KEY, mail text UNIQUE);
         CREATE TABLE partial (a int, b int);
         CREATE UNIQUE INDEX partial_sum ON partial ((a + b)) WHERE b > 0;
         CREATE TABLE old (id int CONSTRAINT old_key UNIQUE); CREATE TABLE young () INHERITS (old);
         CREATE TABLE twin (a int); CREATE UNIQUE INDEX twin_a ON twin (a);
         CREATE UNIQUE INDEX twin_b ON twin (a)",
    );
    let rules = [
        rule("plain", "plain_pkey", "strategy = 'rewrite'"),
        rule("partial", "partial_sum", ""),
        rule("old", "old_key", "action = 'observe'"),
        rule("twin", "twin_a", ""),
        rule("alert", "plain_mail_key", "action = 'alert'"),
        rule("behind", "plain_*", ""),
        rule("over", "young_*", "expires = 2020-01-31"),
    ];
    let said = check(&rules.concat(), &[url(&database, "postgres")]);
    assert_eq!((said.code, &*said.err), (Some(0), ""), "{}", said.out);
    let rewritten = of_version(
        "rewrite: sent with ON CONFLICT (id) WHERE \"public\".\"plain\".tableoid IS NULL DO NOTHING",
        version(),
    );
    assert_eq!(
        said.rule("plain"),
        [
            "public.plain: primary key plain_pkey (id)",
            "react, a single row: absorbed",
            "react, several rows or a query, RETURNING: absorbed, the statement runs again with \
             ON CONFLICT ON CONSTRAINT plain_pkey DO NOTHING",
            &rewritten,
            "note: no rule absorbs plain_mail_key (mail): a row that violates that shows its error",
        ]
    );
    said.line("partial", "public.partial: unique index partial_sum ((a + b)) WHERE b > 0");
    let sum = "ON CONFLICT (((a + b))) WHERE (b > 0)";
    assert!(said.line("partial", "react, several").ends_with(&format!("{sum} DO NOTHING")));
    said.line("old", "note: 1 table inherits from it: ");
    assert!(
        said.out
            .contains("rule \"old\": only observes; with action = \"absorb\" it would do this\n")
    );
    assert!(said.out.contains("rule \"over\": has expired, and only observes; "), "{}", said.out);
    said.line("twin", "react, a single row: absorbed");
    said.line("twin", "react, several rows or a query, RETURNING: shown, no_conflict_target: ");
    said.line("twin", "rewrite, if the rule asked for it: as with react, no_conflict_target: ");
    said.line("alert", "its duplicates are shown, and logged as errors");
    assert_eq!(
        said.rule("behind"),
        [
            "public.plain: unique constraint plain_mail_key (mail)",
            "note: rule \"alert\" comes first here",
            "public.plain: primary key plain_pkey (id)",
            "note: rule \"plain\" comes first here",
        ]
    );
}

#[test]
fn names_of_any_kind_are_found_and_told_on_one_line() {
    let database = Database::new();
    database.sql(
        "CREATE SCHEMA \"Ünï \"\"s\"; CREATE TABLE \"Ünï \"\"s\".\"t\n\\*\" (
            \"I \"\"d\" int CONSTRAINT \"k*?\"\"'\" PRIMARY KEY)",
    );
    let rules = "[[rule]]\nid = 'odd'\nconstraint = \"k??\\\"'\"\nschema = 'Ünï \"s'\n\
                 strategy = 'rewrite'\n";
    let said = check(rules, &[url(&database, "postgres")]);
    assert_eq!((said.code, &*said.err), (Some(0), ""), "{}", said.out);
    let lines = said.rule("odd");
    assert_eq!(lines[0], r#""Ünï \"s"."t\n\\*": primary key "k*?\"'" ("I ""d")"#);
    assert!(lines[2].ends_with(r#"ON CONFLICT ON CONSTRAINT "k*?""'" DO NOTHING"#), "{lines:?}");
    let rewritten = r#"rewrite: sent with ON CONFLICT ("I ""d")"#;
    let checked = if version() < 15 { " DO NOTHING" } else { r#" WHERE "Ünï ""s"."t"# };
    assert!(lines[3].starts_with(&format!("{rewritten}{checked}")), "{lines:?}");
}

#[test]
fn a_sequence_that_is_behind_its_column_is_told_with_the_statement_that_repairs_it() {
    let database = Database::new();
    database.sql(
        "CREATE TABLE serial (id serial PRIMARY KEY); INSERT INTO serial VALUES (1), (7);
         CREATE TABLE edge (id serial PRIMARY KEY); INSERT INTO edge VALUES (1);
         CREATE TABLE \"My identity\" (\"I d\" int GENERATED ALWAYS AS IDENTITY
            CONSTRAINT identity_pkey PRIMARY KEY);
         INSERT INTO \"My identity\" OVERRIDING SYSTEM VALUE VALUES (3);
         CREATE SEQUENCE s INCREMENT -1; CREATE TABLE own (id numeric DEFAULT nextval('s') PRIMARY KEY);
         INSERT INTO own VALUES (-5);
         CREATE TABLE good (id serial PRIMARY KEY); INSERT INTO good DEFAULT VALUES;
         CREATE TABLE empty (id serial PRIMARY KEY);
         CREATE TABLE halves (id numeric DEFAULT nextval('s') PRIMARY KEY);
         INSERT INTO halves VALUES (0.5)",
    );
    let names = [
        "serial_pkey",
        "edge_pkey",
        "identity_pkey",
        "own_pkey",
        "good_pkey",
        "empty_pkey",
        "halves_pkey",
    ];
    let rules: Vec<_> = names.map(|name| rule(&name.replace('_', "-"), name, "")).into();
    let urls = [url(&database, "postgres")];
    let said = check(&rules.concat(), &urls);
    assert_eq!((said.code, &*said.err), (Some(0), ""), "{}", said.out);
    let mut repairs = Vec::new();
    for (id, told) in [
        (
            "serial-pkey",
            "public.serial_id_seq is behind its column: it gives 1 next, and id has reached 7.",
        ),
        (
            "edge-pkey",
            "public.edge_id_seq is behind its column: it gives 1 next, and id has reached 1.",
        ),
        (
            "identity-pkey",
            "public.\"My identity_I d_seq\" is behind its column: it gives 1 next, and \"I d\" has reached 3.",
        ),
        ("own-pkey", "public.s is behind its column: it gives -1 next, and id has reached -5."),
    ] {
        let line = said.line(id, "advice: the sequence ");
        assert!(line.contains(told), "{line}");
        repairs.push(line.split_once(" Run: ").unwrap().1.to_owned());
    }
    said.line("good-pkey", "note: the key id is filled by the sequence public.good_id_seq: ");
    said.line("empty-pkey", "note: the key id is filled by the sequence public.empty_id_seq: ");
    let unread = "could not be read: 0.5 is no whole number of its range";
    assert!(said.line("halves-pkey", "note: the key").ends_with(unread), "{}", said.out);

    database.sql(&repairs.concat());
    let said = check(&rules.concat(), &urls);
    assert!(!said.out.contains("is behind its column"), "{}", said.out);
}

#[test]
fn triggers_are_told_where_they_matter() {
    let database = Database::new();
    database.sql(
        "CREATE TABLE t (id int PRIMARY KEY, n int);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER first BEFORE INSERT ON t FOR EACH ROW EXECUTE PROCEDURE f();
         CREATE TRIGGER second AFTER UPDATE ON t FOR EACH ROW EXECUTE PROCEDURE f()",
    );
    let urls = [url(&database, "postgres")];
    let plain = check(&rule("r", "t_pkey", "strategy = 'rewrite'"), &urls);
    plain.line("r", "note: BEFORE triggers (first): ");
    assert!(!plain.out.contains("UPDATE triggers"), "{}", plain.out);
    plain.line("r", "rewrite: sent with ");
    let told = "strategy = 'rewrite'\naffected_rows = 'requested'";
    let told = check(&rule("r", "t_pkey", told), &urls);
    told.line("r", "rewrite: as with react, trigger: ");
    let upsert = check(&rule("r", "t_pkey", "on_conflict = 'update'\nset = ['n']"), &urls);
    upsert.line("r", "note: UPDATE triggers (second): ");
}

#[test]
fn columns_that_cannot_be_set_are_errors() {
    if !server_has(12, "generated columns") {
        return;
    }
    let database = Database::new();
    database
        .sql("CREATE TABLE t (id int PRIMARY KEY, n int, g int GENERATED ALWAYS AS (n) STORED)");
    let set = |columns: &str| {
        let more = format!("on_conflict = 'update'\nset = {columns}");
        check(&rule("r", "t_pkey", &more), &[url(&database, "postgres")])
    };
    let bad = set("['n', 'gone', 'g']");
    assert_eq!(bad.code, Some(1), "{}", bad.out);
    bad.line("r", "error: set names gone, which is no column");
    bad.line("r", "error: set names g, which is always generated");
    bad.line(
        "r",
        "error: react, a single row, several rows or a query, RETURNING: shown, redo_failed",
    );
    let good = set("['n']");
    assert_eq!(good.code, Some(0), "{}", good.out);
    good.line(
        "r",
        "react, a single row, several rows or a query, RETURNING: absorbed, the statement \
        runs again with ON CONFLICT ON CONSTRAINT t_pkey DO UPDATE SET \"n\" = EXCLUDED.\"n\"",
    );
    assert_eq!(set("'*'").code, Some(0));
}

#[test]
fn a_long_list_is_cut() {
    let database = Database::new();
    let tables = (0..30).map(|n| format!("CREATE TABLE t{n} (id int PRIMARY KEY);"));
    database.sql(&tables.collect::<String>());
    let said = check(&rule("all", "t*_pkey", ""), &[url(&database, "postgres")]);
    assert_eq!(said.out.matches("primary key t").count(), 20, "{}", said.out);
    said.line("all", "and 10 more, of which there is nothing to say");
}
