//! Whether a row of which `classify` says that it is only computed calls nothing but what
//! `classify` lets pass where it stands alone: so the walk over tokens has missed no call.

use pg_query::protobuf::InsertStmt;

use pgabsorb::sql::{Rows, Statement, Syntax, classify};

use crate::tree::{names, shape};

/// The error says what is called.
pub fn only_computes(insert: &InsertStmt, syntax: Syntax) -> Result<(), String> {
    let source = shape(&(&insert.select_stmt, &insert.with_clause));
    if let Some(field) = names(&source, "indirection").iter().find(|field| !field.is_empty()) {
        return Err(format!("a field may be a function: {field:?}"));
    }
    let all = source.clone() + &shape(&insert.cols);
    for name in names(&all, "funcname") {
        if let [schema, name] = &name[..]
            && schema == "pg_catalog"
            && MADE.contains(&name.as_str())
        {
            continue;
        }
        if name.last().is_some_and(|name| MANY.contains(&name.as_str())) {
            return Err(format!("it may be many rows, or write: {name:?}"));
        }
        let called = format!("insert into t values ({}(1))", name.join("."));
        passes(&called, syntax)?;
    }
    for operator in OPERATORS.iter().flat_map(|list| names(&all, list)) {
        if !operator.is_empty() {
            passes(&format!("insert into t values (1 {} 2)", operator.join(".")), syntax)?;
        }
    }
    Ok(())
}

fn passes(text: &str, syntax: Syntax) -> Result<(), String> {
    let script = classify(text.as_bytes(), syntax).map_err(|_| format!("unsure of {text}"))?;
    match &script.statements[..] {
        [part] if matches!(&part.statement, Statement::Insert(it) if it.rows == Rows::One) => {
            Ok(())
        }
        _ => Err(format!("more than computed: {text}")),
    }
}

/// The lists of a tree that hold an operator.
const OPERATORS: &[&str] = &[
    "kind: AexprOp, name",
    "kind: AexprOpAny, name",
    "kind: AexprOpAll, name",
    "oper_name",
    "use_op",
];

/// Functions that the parser itself calls, for TRIM, LIKE ... ESCAPE and others.
const MADE: &[&str] =
    &["btrim", "ltrim", "rtrim", "like_escape", "similar_to_escape", "pg_collation_for"];

/// Functions that return a set, and those of the tables that may do anything.
const MANY: &[&str] =
    &["generate_series", "unnest", "jsonb_array_elements", "f", "g", "my_function", "explode"];
