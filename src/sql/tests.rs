//! Texts and what they are. Each was put to PostgreSQL 15 once, to see that it agrees.

use proptest::prelude::*;

use super::builtins::{SCALAR_FUNCTIONS, SCALAR_OPERATORS};
use super::*;

const ON: Syntax = Syntax { standard_conforming_strings: true, encoding: Encoding::Utf8 };
const OFF: Syntax = Syntax { standard_conforming_strings: false, ..ON };

/// A text's classification in short: `t One`, `s.t Several(2) conflict returning`, `commit`, `other`;
/// statements apart by `; `, or the reason for none.
fn brief(text: &[u8], syntax: Syntax) -> String {
    match classify(text, syntax) {
        Ok(script) => {
            let parts = script.statements.iter();
            parts.map(|part| brief_statement(&part.statement)).collect::<Vec<_>>().join("; ")
        }
        Err(reason) => format!("! {reason:?}"),
    }
}

fn brief_statement(statement: &Statement) -> String {
    match statement {
        Statement::Insert(insert) => brief_insert(insert),
        Statement::Transaction(command) => brief_command(*command).to_owned(),
        Statement::SetConstraints => "set constraints".to_owned(),
        Statement::Renames { name, prepares: None } => format!("renames {name}"),
        Statement::Renames { name, prepares: Some(insert) } => {
            format!("renames {name}: {}", brief_insert(insert))
        }
        Statement::Other => "other".to_owned(),
    }
}

fn brief_insert(insert: &Insert) -> String {
    let schema = insert.schema.as_ref().map_or(String::new(), |name| format!("{name}."));
    let conflict = if insert.on_conflict { " conflict" } else { "" };
    let returning = if insert.returning { " returning" } else { "" };
    format!("{schema}{} {:?}{conflict}{returning}", insert.table, insert.rows)
}

fn brief_command(command: TransactionCommand) -> &'static str {
    match command {
        TransactionCommand::Begin => "begin",
        TransactionCommand::Commit { chain: false } => "commit",
        TransactionCommand::Commit { chain: true } => "commit chain",
        TransactionCommand::Rollback { chain: false } => "rollback",
        TransactionCommand::Rollback { chain: true } => "rollback chain",
        TransactionCommand::PrepareTransaction => "prepare transaction",
        TransactionCommand::RollbackTo => "rollback to",
    }
}

/// A table of texts: one per line, `#` for a heading, ` => ` before what it is. `\n` and `\r` in
/// a text stand for those bytes.
fn check_table(table: &str, syntax: Syntax) -> usize {
    let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in lines {
        let (text, expected) = line.rsplit_once(" => ").expect("each line has an arrow");
        let text = text.replace("\\n", "\n").replace("\\r", "\r");
        let found = brief(text.as_bytes(), syntax);
        if found != expected.trim() {
            wrong.push(format!("{line}\n    is {found}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    count
}

#[test]
fn every_form_is_what_the_table_says() {
    assert!(check_table(include_str!("tests/forms.txt"), ON) >= 150);
}

#[test]
fn what_is_remembered_is_what_would_be_found() {
    let mut memo = Memo::default();
    let long = format!("INSERT INTO t VALUES ('{}')", "x".repeat(4000));
    let texts = (0..100).map(|number| format!("INSERT INTO t{number} VALUES ('\\', 1), (')')"));
    let texts: Vec<_> = texts.chain([long, "INSERT INTO".to_owned()]).collect();
    for text in texts.iter().chain(&texts) {
        for syntax in [ON, OFF, OFF, ON] {
            let found = classify(text.as_bytes(), syntax);
            let shape = fingerprint(text.as_bytes(), syntax);
            let remembered = memo.classify(text.as_bytes(), syntax);
            assert_eq!(remembered.as_deref(), found.as_ref(), "{text}");
            assert_eq!(memo.fingerprint(text.as_bytes(), syntax), shape, "{text}");
            // Behind the other, and where it is the first.
            for memo in [&mut memo, &mut Memo::default()] {
                let (remembered, remembered_shape) = memo.read(text.as_bytes(), syntax);
                assert_eq!(remembered.as_deref(), found.as_ref(), "{text}");
                assert_eq!(remembered_shape, shape, "{text}");
            }
            assert_eq!(read(text.as_bytes(), syntax), (found, shape));
        }
    }
}

/// Each text is marked with what is to be found: `‹` and `›` around a statement, `¦` where
/// ON CONFLICT belongs.
#[test]
fn a_statement_and_the_place_of_its_on_conflict_are_found_in_the_text() {
    for marked in [
        "‹insert into t values (1)¦›",
        " /* a */ ‹insert into t values (1)¦› -- b\n ; -- c",
        "‹insert into t values (1)¦ -- a\n returning a›;",
        "‹insert into t values (1)¦returning(a)›",
        "‹insert into t default values¦ /* returning */ returning a, b›",
        "‹insert into t select \"returning\", ' returning ' from (select 1 returning) x¦›",
        "‹insert into t select 1 limit $1¦ RETURNING *›",
        "‹insert into t values (1 + -1)¦› /* é */",
        "‹insert into é\n values\r\n('é')¦ returning \"é\"›\n;\n‹insert into é select 'é' || -1¦› ;",
        "‹begin›;‹insert into t values (1)¦ returning a›;;‹insert into u table t¦›;‹commit and chain›",
        "‹with x as (select 1) insert into t table x¦ returning (select 1)›",
        "‹update t set a = 1 returning a›",
        "; ;",
    ] {
        let text = marked.replace(['‹', '›', '¦'], "");
        let script = classify(text.as_bytes(), ON).expect(marked);
        let mut found = text.clone();
        for part in script.statements.iter().rev() {
            found.insert(part.range.end, '›');
            if let Statement::Insert(insert) = &part.statement {
                found.insert(insert.conflict_at, '¦');
            }
            found.insert(part.range.start, '‹');
        }
        // At the end of a statement both marks fall on one place.
        assert_eq!(found.replace("›¦", "¦›"), marked);
    }
}

#[test]
fn deferred_constraints_are_checked_where_a_transaction_may_be_stored() {
    let checks = |text: &str| {
        let script = classify(text.as_bytes(), ON).expect(text);
        script.statements.iter().any(|part| part.statement.checks_deferred())
    };
    for yes in
        ["commit", "end and chain", "prepare transaction 'x'", "set constraints all immediate"]
    {
        assert!(checks(yes), "{yes}");
    }
    for no in
        ["begin", "rollback", "rollback to x", "commit prepared 'x'", "insert into t values (1)"]
    {
        assert!(!checks(no), "{no}");
    }
}

#[test]
fn backslashes_escape_when_strings_do_not_conform() {
    check_table(include_str!("tests/backslashes.txt"), OFF);
}

#[test]
fn an_encoding_that_hides_quotes_is_read_in_plain_ascii_only() {
    let sjis = Syntax { encoding: Encoding::named(b"SJIS"), ..ON };
    assert_eq!(brief(b"insert into t values ('\x95\x5c')", sjis), "! Encoding");
    assert_eq!(brief(b"insert into t values ('a')", sjis), "t One");
}

#[test]
fn a_single_byte_encoding_is_read_but_names_beyond_ascii_are_not() {
    let latin1 = Syntax { encoding: Encoding::named(b"LATIN1"), ..ON };
    assert_eq!(brief(b"insert into t values ('\xe9\xa0\x85')", latin1), "t One");
    assert_eq!(brief(b"insert into \xe9 values (1)", latin1), "! Target");
    assert_eq!(brief(b"insert into \"\xe9\" values (1)", latin1), "! Target");
    assert_eq!(brief(b"insert into t\xa0values (1)", latin1), "! Target");
}

#[test]
fn a_zero_byte_is_no_text() {
    assert_eq!(brief(b"insert into t values ('\0')", ON), "! Tokens");
}

#[test]
fn bytes_that_are_no_utf_8_are_no_name() {
    assert_eq!(brief(b"insert into \xff values (1)", ON), "! Target");
    assert_eq!(brief(b"insert into t values ('\xff')", ON), "t One");
}

#[test]
fn names_end_after_63_bytes() {
    let long = "x".repeat(70);
    let kept = format!("{} One", "x".repeat(63));
    assert_eq!(brief(format!("insert into {long} values (1)").as_bytes(), ON), kept);
    assert_eq!(brief(format!("insert into \"{long}\" values (1)").as_bytes(), ON), kept);
    let accents = "é".repeat(32);
    assert_eq!(brief(format!("insert into {accents} values (1)").as_bytes(), ON), "! Target");
}

/// The columns that a text's only statement, an INSERT, names.
fn columns(text: &str) -> Columns {
    match &classify(text.as_bytes(), ON).expect(text).statements[..] {
        [Part { statement: Statement::Insert(insert), .. }] => insert.columns.clone(),
        _ => panic!("{text}"),
    }
}

#[test]
fn a_column_written_in_unicode_escapes_is_not_the_one_called_u() {
    let named = Columns::Named(vec!["a".to_owned(), "u".to_owned()]);
    assert_eq!(columns("insert into t (a[1].b, u) values (1, 2)"), named);
    assert_eq!(columns("insert into t (a, U&\"u\") values (1, 2)"), Columns::Unsure);
    assert_eq!(columns("insert into t (a, u&\"!0075\" uescape '!') select 1, 2"), Columns::Unsure);
}

#[test]
fn encodings_are_known_by_the_names_the_server_reports() {
    assert_eq!(Encoding::named(b"UTF8"), Encoding::Utf8);
    for name in ["LATIN1", "WIN1252", "EUC_JP", "SQL_ASCII", "KOI8R", "MULE_INTERNAL"] {
        assert_eq!(Encoding::named(name.as_bytes()), Encoding::AsciiSafe, "{name}");
    }
    for name in ["SJIS", "BIG5", "GBK", "GB18030", "UHC", "JOHAB", "SHIFT_JIS_2004", "", "UTF9"] {
        assert_eq!(Encoding::named(name.as_bytes()), Encoding::Other, "{name}");
    }
}

#[test]
fn a_fingerprint_stays_the_same_for_other_values() {
    for (one, other) in [
        ("insert into t values (1, 'a')", "INSERT  INTO T /* x */ VALUES ($1,E'\\'') -- y"),
        ("insert into t values (1, 'a')", "insert into t values (-1, $$b$$), (2, 'c'), (3, 'd')"),
        (
            "insert into t values (f(1, 2)) returning a",
            "insert into t values (f(3, 4)), (f(5, 6)) returning a",
        ),
        ("select 1 where a in (1)", "select 2 where a in (1, -2, f(3, 4), 'x')"),
        ("select 1 where (a in (1)) and b", "select 2 where (a in ((1), 2)) and b"),
    ] {
        let same = fingerprint(one.as_bytes(), ON) == fingerprint(other.as_bytes(), ON);
        assert_eq!(same, !other.contains("((1)"), "{one}\n{other}");
    }
}

#[test]
fn a_fingerprint_tells_shapes_apart() {
    let texts = [
        "insert into t values (1)",
        "insert into t values (1, 2)",
        "insert into u values (1)",
        "insert into t values (1) returning a",
        "insert into t values (a)",
        "insert into \"t\" values (1)",
        "select 1 where a in (select 1, 2)",
        "select 1 where a in (select 1)",
        "select 1 - 1",
        "select 1",
        "",
    ];
    let mut seen: Vec<_> = texts.iter().map(|text| fingerprint(text.as_bytes(), ON)).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), texts.len());
}

#[test]
fn a_fingerprint_of_an_unread_text_holds_its_first_word_only() {
    let of = |text: &str| fingerprint(text.as_bytes(), ON);
    assert_eq!(of("insert 'a"), of("INSERT 'secret"));
    assert_ne!(of("insert 'a"), of("update 'a"));
}

#[test]
fn a_fingerprint_is_the_same_in_every_release() {
    assert_eq!(fingerprint(b"insert into t values (1)", ON), 10_037_930_516_302_361_208);
}

#[test]
fn the_lists_of_scalars_are_sorted() {
    assert!(SCALAR_FUNCTIONS.is_sorted());
    assert!(SCALAR_OPERATORS.is_sorted());
}

#[test]
fn deep_nesting_takes_no_stack() {
    let depth = 100_000;
    let text = format!("insert into t values ({}1{})", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(brief(text.as_bytes(), ON), "t One");
    let sum = format!("insert into t values (1{})", "+1".repeat(depth));
    assert_eq!(brief(sum.as_bytes(), ON), "t One");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(text: Vec<u8>, conforming: bool) {
        let syntax = Syntax { standard_conforming_strings: conforming, ..ON };
        let _ = (classify(&text, syntax), fingerprint(&text, syntax));
    }

    #[test]
    fn no_mutation_makes_it_panic(
        line in 0_usize..150,
        at: prop::sample::Index,
        cut in 0_usize..4,
        junk in "['\"\\-/*;$()\\[\\],\\\\\r\né@e0&a ]{0,3}",
        conforming: bool,
    ) {
        let forms = include_str!("tests/forms.txt");
        let mut text = forms.lines().nth(line).unwrap_or_default().as_bytes().to_vec();
        let at = at.index(text.len() + 1);
        text.splice(at..text.len().min(at + cut), junk.bytes());
        let syntax = Syntax { standard_conforming_strings: conforming, ..ON };
        let _ = (classify(&text, syntax), fingerprint(&text, syntax));
    }

    #[test]
    fn a_value_is_never_anything_else(value in "\\PC{0,30}", trailing: bool) {
        let quoted = value.replace('\'', "''");
        let end = if trailing { "; commit" } else { "" };
        let text = format!("insert into t values ('{quoted}', 1){end}");
        let expected = if trailing { "t One; commit" } else { "t One" };
        prop_assert_eq!(brief(text.as_bytes(), ON), expected);
    }
}
