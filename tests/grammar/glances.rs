//! Whether what `sql` says of a text at a glance is so, where it says that it is sure.

use pg_query::NodeEnum;
use pg_query::protobuf::RawStmt;

use pgabsorb::sql::{
    Syntax, Target, insert_target, is_plain, is_read_alike, may_check_deferred, may_insert,
};

use crate::tree::{self, shape};

/// The error says which glance was wrong.
pub fn compare(text: &str, statements: &[RawStmt], syntax: Syntax) -> Result<(), String> {
    let bytes = text.as_bytes();
    let right = [
        ("may_insert", may_insert(bytes) || !inserts(statements)),
        ("may_check_deferred", may_check_deferred(bytes) || !begins_checking(statements)),
        ("is_plain", !is_plain(bytes) || is_one_plain(statements)),
        ("insert_target", !is_plain(bytes) || is_target(&insert_target(bytes, syntax), statements)),
        ("is_read_alike", !is_read_alike(bytes) || is_same_to_another(text, statements, syntax)),
    ];
    match right.iter().find(|(_, right)| !right) {
        None => Ok(()),
        Some((glance, _)) => Err(format!("{glance} is wrong: {statements:?}")),
    }
}

fn inserts(statements: &[RawStmt]) -> bool {
    shape(&statements).contains("(InsertStmt(")
}

fn begins_checking(statements: &[RawStmt]) -> bool {
    statements.first().is_some_and(|first| match tree::top(first) {
        NodeEnum::ConstraintsSetStmt(_) => true,
        NodeEnum::TransactionStmt(transaction) => {
            tree::command(transaction).is_some_and(tree::checks_deferred)
        }
        _ => false,
    })
}

fn is_one_plain(statements: &[RawStmt]) -> bool {
    statements.len() <= 1
        && statements.iter().all(|only| match tree::top(only) {
            NodeEnum::TransactionStmt(transaction) => tree::command(transaction).is_none(),
            NodeEnum::PrepareStmt(_)
            | NodeEnum::DeallocateStmt(_)
            | NodeEnum::DiscardStmt(_)
            | NodeEnum::CallStmt(_)
            | NodeEnum::DoStmt(_) => false,
            _ => true,
        })
}

fn is_target(target: &Target, statements: &[RawStmt]) -> bool {
    let insert = statements.first().and_then(|only| match tree::top(only) {
        NodeEnum::InsertStmt(insert) => Some(insert),
        _ => None,
    });
    match target {
        Target::Table(table) => insert.is_some_and(|insert| {
            insert.relation.as_ref().is_some_and(|target| target.relname == *table)
                && insert.on_conflict_clause.is_none()
                && insert.with_clause.is_none()
        }),
        Target::None => insert.is_none(),
        Target::Unsure => true,
    }
}

fn is_same_to_another(text: &str, statements: &[RawStmt], syntax: Syntax) -> bool {
    let another =
        Syntax { standard_conforming_strings: !syntax.standard_conforming_strings, ..syntax };
    // U&'' is refused where strings do not conform.
    tree::parse(text, another).is_none_or(|same| shape(&same) == shape(&statements))
}
