use super::*;
use crate::rules::Column;
use crate::session::catalog::TableColumn;
use crate::sql::{Encoding, Statement, Syntax};

const SYNTAX: Syntax = Syntax { standard_conforming_strings: true, encoding: Encoding::Utf8 };

fn rule(on_conflict: OnConflict) -> Rule {
    let id = crate::rules::RuleId::new("r").unwrap();
    let constraint = crate::rules::ConstraintGlob::new("t_pkey").unwrap();
    Rule { on_conflict, ..Rule::new(id, constraint) }
}

/// A table `t` of the columns `id`, its key, `name`, and `total`, which is generated.
fn index() -> Index {
    let column = |name: &str, in_key, settable| TableColumn { name: name.into(), in_key, settable };
    Index {
        root: Constraint { schema: "public".into(), table: "t".into(), name: "t_pkey".into() },
        columns: "id".into(),
        immediate: true,
        plain: true,
        partitioned: false,
        conflict_target: Some("(id)".into()),
        key: Some("id".into()),
        predicate: None,
        table_columns: vec![
            column("id", true, true),
            column("name", false, true),
            column("total", false, false),
        ],
    }
}

fn insert(text: &str) -> Insert {
    let script = sql::classify(text.as_bytes(), SYNTAX).unwrap();
    match script.statements.into_iter().next().unwrap().statement {
        Statement::Insert(insert) => insert,
        other => panic!("{other:?}"),
    }
}

/// The columns that an upsert of all columns sets for a text.
fn all(text: &str) -> Result<Vec<String>, Reason> {
    let (rule, insert, index) = (rule(OnConflict::UpdateAll), insert(text), index());
    let columns = columns_to_set(&rule, &insert, &index)?;
    Ok(columns.unwrap().into_iter().map(str::to_owned).collect())
}

#[test]
fn all_columns_are_those_that_the_statement_gives_a_value_but_the_key() {
    assert_eq!(all("INSERT INTO t (id, name) VALUES (1, 'a')"), Ok(vec!["name".into()]));
    assert_eq!(all("INSERT INTO t (NAME, \"id\") SELECT 1, 2"), Ok(vec!["name".into()]));
    assert_eq!(all("INSERT INTO t VALUES (1, ('a', 2)), (2, 'b')"), Ok(vec!["name".into()]));
    assert_eq!(all("INSERT INTO t VALUES (1)"), Ok(vec![]));
    assert_eq!(
        all("INSERT INTO t OVERRIDING SYSTEM VALUE VALUES (1, f(2, 3))"),
        Ok(vec!["name".into()])
    );
    assert_eq!(all("INSERT INTO t SELECT 1, 'a'"), Err(Reason::NoConflictTarget));
}

#[test]
fn columns_that_a_rule_names_are_set_whatever_the_statement_names() {
    let columns = vec![Column::new("Name").unwrap()];
    let (rule, index) = (rule(OnConflict::Update(columns)), index());
    let insert = insert("INSERT INTO t SELECT 1");
    assert_eq!(columns_to_set(&rule, &insert, &index), Ok(Some(vec!["Name"])));
}

#[test]
fn what_is_done_is_written_with_every_name_in_quotes() {
    let written = |doing: Doing<'_>| {
        let mut out = BytesMut::new();
        let text = "INSERT INTO t VALUES (1)";
        doing.write(text.as_bytes(), &insert(text), &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    };
    assert_eq!(written(Doing::Nothing), "NOTHING");
    assert_eq!(written(Doing::Select), "SELECT");
    assert_eq!(written(Doing::Touch("a\"b")), r#"UPDATE SET "a""b" = "t"."a""b""#);
    let set = r#"UPDATE SET "a" = EXCLUDED."a", "B" = EXCLUDED."B""#;
    assert_eq!(written(Doing::Update(vec!["a", "B"])), set);
}

#[test]
fn the_target_is_called_what_the_text_calls_it() {
    let name = |text: &str| {
        let name = name_of_target(text.as_bytes(), &insert(text)).into_owned();
        String::from_utf8(name).unwrap()
    };
    assert_eq!(name("INSERT INTO s.T VALUES (1)"), "\"t\"");
    assert_eq!(name("INSERT INTO t AS \"X y\" VALUES (1)"), "\"X y\"");
    assert_eq!(name("INSERT INTO t AS x (id) VALUES (1)"), "x");
}

#[test]
fn a_column_of_the_key_is_touched_where_that_is_allowed() {
    let mut index = index();
    assert_eq!(column_to_touch(&index), Some("id"));
    index.table_columns[0].settable = false;
    assert_eq!(column_to_touch(&index), Some("name"));
}
