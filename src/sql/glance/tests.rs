use proptest::prelude::*;

use super::*;
use crate::sql::{Encoding, Statement, classify};

const ON: Syntax = Syntax { standard_conforming_strings: true, encoding: Encoding::Utf8 };

#[test]
fn a_text_with_the_word_insert_may_insert() {
    for yes in ["insert", "x INSERT y", "iInSeRt", "'insert'", "ins insert"] {
        assert!(may_insert(yes.as_bytes()), "{yes}");
    }
    for no in ["", "select 1", "inser", "i", "in sert"] {
        assert!(!may_insert(no.as_bytes()), "{no}");
    }
}

#[test]
fn a_text_may_check_deferred_constraints_by_its_first_word() {
    for yes in ["commit", " END;", "Prepare transaction 'x'", "set constraints all", "/* */ x", ";"]
    {
        assert!(may_check_deferred(yes.as_bytes()), "{yes}");
    }
    for no in ["", " ", "select 1", "ending", "(select 1)", "insert into t values (1)"] {
        assert!(!may_check_deferred(no.as_bytes()), "{no}");
    }
}

#[test]
fn a_text_without_backslashes_and_in_ascii_is_read_alike() {
    assert!(is_read_alike(b"INSERT INTO t VALUES ('a', $1)"));
    assert!(!is_read_alike(b"INSERT INTO t VALUES ('a\\')"));
    assert!(!is_read_alike("INSERT INTO t VALUES ('\u{e4}')".as_bytes()));
}

#[test]
fn a_text_is_plain_by_its_first_word_and_its_lack_of_semicolons() {
    for yes in [
        "",
        " \n",
        "select 1",
        "\t\r\n\x0cselect 1",
        "INSERT INTO t VALUES (1);",
        "insert into t values (1) ; \n",
        "execute p",
        "savepoint x",
        "release x",
        "beginning",
        "do_it",
        "commit$",
        "comment on table t is 'commit'",
    ] {
        assert!(is_plain(yes.as_bytes()), "{yes:?}");
    }
    for word in NOT_PLAIN {
        let small = word.to_ascii_lowercase();
        for no in
            [word, &small, &format!(" {small} x"), &format!("{word};"), &format!("{word}/**/")]
        {
            assert!(!is_plain(no.as_bytes()), "{no:?}");
        }
    }
    for no in [
        ";",
        "select 1;;",
        "select 1; select 2",
        "select ';'",
        "select 1; -- x",
        "-- x\nselect 1",
        "/* x */ commit",
        "(select 1)",
        "\x0bcommit",
        "\u{a0}commit",
        "1",
        "\"commit\"",
    ] {
        assert!(!is_plain(no.as_bytes()), "{no:?}");
    }
}

#[test]
fn the_target_of_a_simple_insert_is_seen() {
    let long = "x".repeat(70);
    for (text, name) in [
        ("insert into t values (1)", "t"),
        ("INSERT INTO T(a) VALUES (1)", "t"),
        (" \n Insert\t into \r\n T_1$ \x0c(a) values (1)", "t_1$"),
        ("insert into s.t values (1)", "t"),
        ("insert into db.S.T select 1", "t"),
        ("insert into \"T x\" values (1)", "T x"),
        ("insert into \"insert\".\"(;--\"(a) values (1)", "(;--"),
        ("insert into s.\"T\" as u default values", "T"),
        ("insert into _t values (1)", "_t"),
        (&format!("insert into {long} values (1)"), &"x".repeat(63)),
    ] {
        let found = insert_target(text.as_bytes(), ON);
        assert_eq!(found, Target::Table(name.to_owned()), "{text}");
    }
}

#[test]
fn a_target_that_takes_more_than_a_glance_is_unsure() {
    for text in [
        "",
        ";",
        "(select 1)",
        "with x as (select 1) insert into t select * from x",
        "/* x */ insert into t values (1)",
        "insert/**/into t values (1)",
        "insert",
        "insert into",
        "insert into t",
        "insert into t ",
        "insert into t;",
        "insert intot values (1)",
        "insert overwrite t values (1)",
        "insert into é values (1)",
        "insert into \"é\" values (1)",
        "insert into s.é(a) values (1)",
        "insert into \"\" values (1)",
        "insert into \"a\"\"b\" values (1)",
        "insert into \"t",
        "insert into \"t\"values (1)",
        "insert into\"t\" values (1)",
        "insert into U&\"t\" values (1)",
        "insert into s .t values (1)",
        "insert into s. t values (1)",
        "insert into s/**/.t values (1)",
        "insert into s /**/.t values (1)",
        "insert into s --\n.t values (1)",
        "insert into a.b.c.d values (1)",
        "insert into t\x0bvalues (1)",
        "insert into 1t values (1)",
    ] {
        assert_eq!(insert_target(text.as_bytes(), ON), Target::Unsure, "{text:?}");
    }
}

#[test]
fn what_begins_with_another_word_has_no_target() {
    for text in ["select 1", " Update t set a = 1", "execute p", "copy t from stdin", "inserted"] {
        assert_eq!(insert_target(text.as_bytes(), ON), Target::None, "{text:?}");
    }
}

#[test]
fn most_forms_are_seen_as_they_are_read() {
    let forms = include_str!("../tests/forms.txt").lines();
    let seen = forms.filter(|form| {
        let text = form.split(" => ").next().unwrap_or_default().replace("\\n", "\n");
        assert_agreement(text.as_bytes())
    });
    assert!(seen.count() >= 120);
}

/// Whether a target was seen; what a glance is sure of must be what a reading finds.
fn assert_agreement(text: &[u8]) -> bool {
    let target = insert_target(text, ON);
    if let Ok(script) = classify(text, ON) {
        let statements = script.statements.iter().map(|part| &part.statement);
        let ends = |statement: &Statement| matches!(statement, Statement::Transaction(_));
        let plain = script.statements.len() < 2 && !statements.clone().any(ends);
        assert!(plain || !is_plain(text), "{}", text.escape_ascii());
        for statement in statements.take(1) {
            match (statement, &target) {
                (Statement::Insert(insert), Target::Table(name)) => {
                    assert_eq!(insert.table, *name, "{}", text.escape_ascii());
                }
                (Statement::Insert(_), Target::None) => panic!("{}", text.escape_ascii()),
                _ => {}
            }
        }
    }
    matches!(target, Target::Table(_))
}

/// A text of pieces that are likely to mislead.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "insert",
        "INTO",
        "into ",
        "with",
        " ",
        "\n",
        "\x0b",
        "\x0c",
        "t",
        "T1",
        "_",
        "$",
        "s.",
        ".",
        "\"Q q\"",
        "\"a\"\"b\"",
        "\"",
        "é",
        "--x\n",
        "/* */",
        "/*",
        "(",
        ")",
        "values",
        " (1)",
        "U&",
        ";",
        "; ",
        "commit",
        "BEGIN",
        "rollback to x",
        "'",
        "select 1",
        "as",
        "only",
        "\u{a0}",
    ]);
    let start = prop::sample::select(vec!["", "insert into ", "insert into s", "INSERT\tInto t "]);
    let end = prop::sample::select(vec!["", " values (1)", "(a) values (1)", " select 1;", ";"]);
    (start, prop::collection::vec(piece, 0..6), end)
        .prop_map(|(start, pieces, end)| format!("{start}{}{end}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_glance_never_differs_from_a_reading(text in pieces()) {
        assert_agreement(text.as_bytes());
    }

    #[test]
    fn no_bytes_make_a_glance_panic(text: Vec<u8>) {
        assert_agreement(&text);
        let _ = may_check_deferred(&text);
    }
}

#[test]
fn what_may_change_a_setting_or_a_table_is_told_from_what_surely_does_not() {
    for keeps in [
        "",
        " insert into t select 1",
        "SELECT a FROM t",
        "with x as (select 1) table x",
        "with x as (delete from u returning a) INSERT\n INTO t table x",
        "begin",
        "start transaction read only",
        "rollback to savepoint s",
        "copy t from stdin",
        "explain analyze select 1",
        "set local statement_timeout = 1",
        "SET TIME ZONE 'UTC'",
        "set application_name to x",
    ] {
        assert!(keeps_settings(keeps.as_bytes()), "{keeps}");
    }
    for changes in [
        "set search_path = x",
        "reset all",
        "discard all",
        "create temp table t ()",
        "ALTER TABLE t RENAME TO u",
        "grant all on t to u",
        "select set_config('search_path', 'x', false)",
        "select 1 into t",
        "with x as (insert into u values (1) returning a) select a into t from x",
        "begin isolation level serializable",
        "call p()",
        "do $$begin end$$",
        "execute p",
        "explain analyze create table t as select 1",
        "set",
        "set local role x",
        "set session authorization x",
        "(select 1)",
        "-- a comment\nselect 1",
    ] {
        assert!(!keeps_settings(changes.as_bytes()), "{changes}");
    }
}
