//! What PostgreSQL's parser says of a text: its trees, and what is asked of them.

use std::collections::BTreeSet;

use pg_query::protobuf::{
    InsertStmt, Node, RawStmt, SelectStmt, SetOperation, TransactionStmt, TransactionStmtKind,
};
use pg_query::{NodeEnum, ParserOptions};

use pgabsorb::sql::{Columns, Syntax, TransactionCommand};

/// The statements of a text; `None` if the parser refuses it.
pub fn parse(text: &str, syntax: Syntax) -> Option<Vec<RawStmt>> {
    let options = if syntax.standard_conforming_strings {
        ParserOptions::DEFAULT
    } else {
        ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS
    };
    pg_query::parse(text, options).ok().map(|result| result.protobuf.stmts)
}

/// The node at the top of a statement.
pub fn top(statement: &RawStmt) -> &NodeEnum {
    statement.stmt.as_ref().and_then(|node| node.node.as_ref()).expect("a statement has a node")
}

/// The INSERT that a statement is, or prepares.
pub fn insert_mut(statement: &mut RawStmt) -> Option<&mut InsertStmt> {
    let mut node = statement.stmt.as_mut()?.node.as_mut()?;
    if let NodeEnum::PrepareStmt(prepare) = node {
        node = prepare.query.as_mut()?.node.as_mut()?;
    }
    match node {
        NodeEnum::InsertStmt(insert) => Some(insert),
        _ => None,
    }
}

/// A tree as text, without the places in the SQL that it came from.
pub fn shape(tree: &impl std::fmt::Debug) -> String {
    let mut shape = format!("{tree:?}");
    for place in ["location: ", "stmt_len: ", "list_start: ", "list_end: "] {
        if shape.contains(place) {
            let is_digit = |c: char| c == '-' || c.is_ascii_digit();
            let parts = shape.split(place).map(|part| part.trim_start_matches(is_digit));
            shape = parts.collect::<Vec<_>>().join(place);
        }
    }
    shape
}

/// How many statements that write are in a tree, at any depth.
pub fn writers(shape: &str) -> usize {
    let of = |kind: &str| shape.matches(&format!("({kind}Stmt(")).count();
    of("Insert") + of("Update") + of("Delete") + of("Merge")
}

/// The rows of a source that is VALUES and nothing else.
pub fn values(insert: &InsertStmt) -> Option<Vec<&Node>> {
    let NodeEnum::SelectStmt(select) = insert.select_stmt.as_ref()?.node.as_ref()? else {
        return None;
    };
    let plain = SelectStmt {
        values_lists: select.values_lists.clone(),
        op: SetOperation::SetopNone.into(),
        limit_option: select.limit_option,
        ..SelectStmt::default()
    };
    let is_plain = !select.values_lists.is_empty() && **select == plain;
    is_plain.then(|| select.values_lists.iter().collect())
}

/// How many values a row of VALUES has.
pub fn width(row: &Node) -> usize {
    match &row.node {
        Some(NodeEnum::List(list)) => list.items.len(),
        other => panic!("a row of VALUES is {other:?}"),
    }
}

/// The columns that an INSERT names.
pub fn columns(insert: &InsertStmt) -> Columns {
    let name = |node: &Node| match &node.node {
        Some(NodeEnum::ResTarget(target)) => target.name.clone(),
        other => panic!("a column is {other:?}"),
    };
    if insert.cols.is_empty() {
        Columns::Implied
    } else {
        Columns::Named(insert.cols.iter().map(name).collect())
    }
}

/// What a statement does to transactions, of what concerns the proxy.
pub fn command(statement: &TransactionStmt) -> Option<TransactionCommand> {
    let chain = statement.chain;
    match TransactionStmtKind::try_from(statement.kind).expect("a kind that is known") {
        TransactionStmtKind::TransStmtBegin | TransactionStmtKind::TransStmtStart => {
            Some(TransactionCommand::Begin)
        }
        TransactionStmtKind::TransStmtCommit => Some(TransactionCommand::Commit { chain }),
        TransactionStmtKind::TransStmtRollback => Some(TransactionCommand::Rollback { chain }),
        TransactionStmtKind::TransStmtRollbackTo => Some(TransactionCommand::RollbackTo),
        TransactionStmtKind::TransStmtPrepare => Some(TransactionCommand::PrepareTransaction),
        _ => None,
    }
}

/// Whether the deferred constraints are checked by it.
pub fn checks_deferred(command: TransactionCommand) -> bool {
    match command {
        TransactionCommand::Commit { .. } | TransactionCommand::PrepareTransaction => true,
        TransactionCommand::Begin
        | TransactionCommand::Rollback { .. }
        | TransactionCommand::RollbackTo => false,
    }
}

/// The names in each list that a tree holds under this word: `s.f(1)` has `funcname` s, f.
pub fn names(shape: &str, list: &str) -> BTreeSet<Vec<String>> {
    let list = format!("{list}: [");
    shape.split(&list).skip(1).map(names_in_list).collect()
}

/// The names at the beginning of a tree's text, up to the bracket that closes their list; those of
/// lists inside are not among them.
fn names_in_list(shape: &str) -> Vec<String> {
    let (mut names, mut depth, mut rest) = (Vec::new(), 1, shape);
    while let Some(at) = rest.find(['[', ']', '"']) {
        let (before, bracket) = rest.split_at(at);
        rest = &bracket[1..];
        match &bracket[..1] {
            "[" => depth += 1,
            "]" => depth -= 1,
            _ => {
                let string = &rest[..string_length(rest)];
                rest = &rest[string.len() + 1..];
                if depth == 1 && before.ends_with("Some(String(String { sval: ") {
                    names.push(string.to_owned());
                }
            }
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// Where the quote is that ends a string.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.expect("a string in a tree's text ends")
}
