//! Texts: what is said of one holds of its parts and of the text with a clause in it; a glance
//! says nothing else than the full reading; and what the session puts into a text comes out again.

#![no_main]

use std::ops::Range;

use libfuzzer_sys::fuzz_target;
use pgabsorb::sql::{self, Encoding, Insert, Memo, Part, Script, Statement, Syntax, Target, Value};
use pgabsorb_fuzz::{memory, splice};

fuzz_target!(|data: &[u8]| {
    let Some((&how, text)) = data.split_first() else { return };
    let encodings = [Encoding::Utf8, Encoding::AsciiSafe, Encoding::Other];
    let encoding = encodings[usize::from(how >> 1 & 7) % encodings.len()];
    let syntax = Syntax { standard_conforming_strings: how & 1 == 0, encoding };
    // Each byte may be a token.
    memory::within(1024 * text.len() + (64 << 10), || {
        let script = sql::classify(text, syntax);
        remembers(text, syntax);
        assert_eq!(sql::fingerprint(text, syntax), sql::fingerprint(text, syntax));
        if let Ok(script) = &script {
            glances(text, script, syntax);
            stand_in_order(text, script);
            each_alone(text, script, syntax);
            with_a_clause(text, script, syntax);
        }
    });
    // It takes a hundred times as long as the rest.
    if how & 0xf0 == 0x10 && text.len().is_multiple_of(16) {
        in_proportion(text, syntax);
    }
    if encoding == Encoding::Utf8 {
        splice::comes_out_again(text, syntax.standard_conforming_strings);
    }
});

/// One who remembers says the same, the second time too.
fn remembers(text: &[u8], syntax: Syntax) {
    let mut memo = Memo::default();
    for _ in 0..2 {
        let remembered = memo.classify(text, syntax).map(|script| (*script).clone());
        assert_eq!(remembered, sql::classify(text, syntax));
    }
}

/// Each glance is sure in one of its answers, and then right.
fn glances(text: &[u8], script: &Script, syntax: Syntax) {
    let statements = &script.statements;
    let inserts = statements.iter().any(|part| part.statement.inserts().is_some());
    assert!(sql::may_insert(text) || !inserts);
    let checks = statements.first().is_some_and(|first| first.statement.checks_deferred());
    assert!(sql::may_check_deferred(text) || !checks);
    if sql::is_plain(text) {
        assert!(statements.len() <= 1);
        let only = statements.first().map(|part| &part.statement);
        assert!(!matches!(only, Some(Statement::Transaction(_) | Statement::Renames { .. })));
        match (sql::insert_target(text, syntax), only) {
            (Target::Unsure, _) | (Target::Table(_), Some(Statement::Other)) => {}
            (Target::Table(table), Some(Statement::Insert(insert))) => {
                assert_eq!(table, insert.table);
                assert!(!insert.on_conflict);
            }
            (Target::None, only) => assert!(!matches!(only, Some(Statement::Insert(_)))),
            (target, only) => panic!("{target:?}, and it is {only:?}"),
        }
    }
    if sql::is_read_alike(text) {
        for conforming in [true, false] {
            for encoding in [Encoding::Utf8, Encoding::Other] {
                let other = Syntax { standard_conforming_strings: conforming, encoding };
                // U&'' is refused where strings do not conform.
                let unicode = text.windows(2).any(|it| it.eq_ignore_ascii_case(b"u&"));
                match sql::classify(text, other) {
                    Err(_) if unicode => {}
                    other => assert_eq!(other.as_ref(), Ok(script)),
                }
            }
        }
    }
}

/// Statements stand one behind the other, and what is said to be in one is.
fn stand_in_order(text: &[u8], script: &Script) {
    let mut end = 0;
    for Part { statement, range } in &script.statements {
        assert!(end <= range.start && range.start < range.end && range.end <= text.len());
        end = range.end;
        let Some(insert) = statement.inserts() else { continue };
        let is_inside = |it: &Range<usize>| range.start <= it.start && it.end <= range.end;
        assert!(is_inside(&(insert.conflict_at..insert.conflict_at)));
        assert!(places(insert).iter().all(|place| is_inside(place) && place.start <= place.end));
        if let Ok(text) = std::str::from_utf8(text) {
            assert!(text.is_char_boundary(insert.conflict_at));
            assert!(places(insert).into_iter().all(|place| text.get(place).is_some()));
        }
    }
}

fn places(insert: &Insert) -> Vec<Range<usize>> {
    let values = insert.first_row.iter().flatten().filter_map(|value| match value {
        Value::Literal(range) => Some(range.clone()),
        _ => None,
    });
    insert.alias.clone().into_iter().chain(values).collect()
}

/// A statement's bytes, cut out, are that statement.
fn each_alone(text: &[u8], script: &Script, syntax: Syntax) {
    for part in &script.statements {
        let alone = &text[part.range.clone()];
        let script = sql::classify(alone, syntax).expect("it was sure");
        let [Part { statement, range }] = &script.statements[..] else {
            panic!("{}: {script:?}", alone.escape_ascii());
        };
        assert_eq!(*range, 0..alone.len());
        assert_eq!(shape(alone, statement), shape(text, &part.statement));
        let at = |statement: &Statement| statement.inserts().map(|insert| insert.conflict_at);
        assert_eq!(at(statement).map(|at| at + part.range.start), at(&part.statement));
    }
}

/// With a clause where it is said to belong, a text is the same text with an INSERT that has one; or
/// no text at all, if the server would not have taken it without the clause either.
fn with_a_clause(text: &[u8], script: &Script, syntax: Syntax) {
    const CLAUSE: &[u8] = b" ON CONFLICT (id) DO NOTHING ";
    for (index, part) in script.statements.iter().enumerate() {
        let Some(insert) = part.statement.inserts().filter(|insert| !insert.on_conflict) else {
            continue;
        };
        let (before, behind) = text.split_at(insert.conflict_at);
        let spliced = [before, CLAUSE, behind].concat();
        let Ok(read) = sql::classify(&spliced, syntax) else { continue };
        assert_eq!(read.statements.len(), script.statements.len());
        for (at, (with, without)) in read.statements.iter().zip(&script.statements).enumerate() {
            let mut expected = shape(text, &without.statement);
            expected.on_conflict |= at == index;
            assert_eq!(shape(&spliced, &with.statement), expected, "{}", spliced.escape_ascii());
        }
    }
}

/// What a statement is, wherever it stands.
#[derive(Debug, PartialEq)]
struct Shape {
    statement: Statement,
    on_conflict: bool,
    texts: Vec<Vec<u8>>,
}

fn shape(text: &[u8], statement: &Statement) -> Shape {
    let mut shape = Shape { statement: statement.clone(), on_conflict: false, texts: Vec::new() };
    let insert = match &mut shape.statement {
        Statement::Insert(insert) => Some(insert),
        Statement::Renames { prepares, .. } => prepares.as_mut(),
        _ => None,
    };
    if let Some(insert) = insert {
        shape.texts = places(insert).into_iter().map(|place| text[place].to_vec()).collect();
        shape.on_conflict = std::mem::take(&mut insert.on_conflict);
        insert.conflict_at = 0;
        insert.alias = insert.alias.as_ref().map(|_| 0..0);
        for value in insert.first_row.iter_mut().flatten() {
            if let Value::Literal(range) = value {
                *range = 0..0;
            }
        }
    }
    shape
}

/// A text that repeats, or that opens something over and over and closes it as often, takes no more
/// time than its length allows for: else libFuzzer's own limit ends it.
fn in_proportion(text: &[u8], syntax: Syntax) {
    const LENGTH: usize = 64 << 10;
    let count = LENGTH / text.len().max(1);
    let (half, other) = text.split_at(text.len() / 2);
    for long in [text.repeat(count), [half.repeat(count), other.repeat(count)].concat()] {
        memory::within(1024 * long.len() + (64 << 10), || {
            let _ = sql::classify(&long, syntax);
            let _ = sql::fingerprint(&long, syntax);
            let _ = sql::insert_target(&long, syntax);
            let _ = sql::keeps_settings(&long);
            let _ = sql::is_plain(&long);
            let _ = sql::may_insert(&long);
        });
    }
}
