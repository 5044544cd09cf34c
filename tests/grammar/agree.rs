//! Whether `classify` and the parser say the same of a text.

use std::fmt::Debug;
use std::ops::AddAssign;

use pg_query::NodeEnum;
use pg_query::protobuf::{InsertStmt, OnConflictAction, OnConflictClause, RawStmt};

use pgabsorb::sql::{
    Columns, Insert, Part, Rows, Script, Statement, Syntax, Unclassified, classify, is_plain,
};

use crate::tree::{self, shape};
use crate::{calls, glances};

/// What came of a text on which the two do not disagree.
pub enum Verdict {
    /// Each of its statements is the same to both.
    Agreed(Count),
    /// `classify` is not sure.
    Unsure(Unclassified),
    /// The parser refuses it, as the server would.
    Refused,
}

/// How much was compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// INSERTs that are the same to both.
    pub inserts: u32,
    /// Those of them that were parsed with a clause too.
    pub spliced: u32,
    /// Statements that are no INSERT, or write in a WITH.
    pub others: u32,
    /// Texts of which `classify` is not sure, though the parser accepts them.
    pub unsure: u32,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.inserts += other.inserts;
        self.spliced += other.spliced;
        self.others += other.others;
        self.unsure += other.unsure;
    }
}

/// Holds what the two say of a text against each other; the error says where they differ.
pub fn compare(text: &str, syntax: Syntax) -> Result<Verdict, String> {
    let classified = classify(text.as_bytes(), syntax);
    let Some(statements) = tree::parse(text, syntax) else { return Ok(Verdict::Refused) };
    glances::compare(text, &statements, syntax)?;
    let script = match classified {
        Ok(script) => script,
        Err(reason) => return Ok(Verdict::Unsure(reason)),
    };
    same(&statements.len(), &script.statements.len(), "number of statements")?;
    let mut count = Count::default();
    for (part, statement) in script.statements.iter().zip(&statements) {
        compare_ranges(text, part, statement, syntax)?;
        compare_statement(text, part, statement, syntax)?;
        match &part.statement {
            Statement::Insert(_) => count.inserts += 1,
            _ => count.others += 1,
        }
    }
    count.spliced = compare_spliced(text, &script, &statements, syntax)?;
    Ok(Verdict::Agreed(count))
}

/// A statement's bytes, cut out, are that statement.
fn compare_ranges(
    text: &str,
    part: &Part,
    statement: &RawStmt,
    syntax: Syntax,
) -> Result<(), String> {
    let alone = text.get(part.range.clone()).ok_or("a range splits a character")?;
    let alone = tree::parse(alone, syntax).ok_or("the parser refuses a statement alone")?;
    same(&shape(&alone), &shape(&[statement]), "statement alone")
}

fn compare_statement(
    text: &str,
    part: &Part,
    statement: &RawStmt,
    syntax: Syntax,
) -> Result<(), String> {
    let top = tree::top(statement);
    match (&part.statement, top) {
        (Statement::Insert(said), NodeEnum::InsertStmt(insert)) => {
            same(&tree::writers(&shape(top)), &0, "writing statements in the INSERT")?;
            compare_insert(text, said, insert)?;
            if said.rows == Rows::One { calls::only_computes(insert, syntax) } else { Ok(()) }
        }
        (Statement::Other, NodeEnum::InsertStmt(_)) if is_cautious(text, part, top) => Ok(()),
        (Statement::Transaction(said), NodeEnum::TransactionStmt(transaction)) => {
            same(&tree::command(transaction), &Some(*said), "transaction command")
        }
        (Statement::Other, NodeEnum::TransactionStmt(transaction)) => {
            same(&tree::command(transaction), &None, "transaction command")
        }
        (Statement::Renames { name, prepares }, NodeEnum::PrepareStmt(prepare)) => {
            same(&prepare.name, name, "prepared statement")?;
            let query = prepare.query.as_ref().and_then(|query| query.node.as_ref());
            match (prepares, query) {
                (Some(said), Some(NodeEnum::InsertStmt(insert))) => {
                    compare_insert(text, said, insert)
                }
                (Some(_), _) => Err("it prepares no INSERT".to_owned()),
                (None, _) => Ok(()),
            }
        }
        (Statement::Renames { name, prepares: None }, NodeEnum::DeallocateStmt(deallocate)) => {
            same(&deallocate.name, name, "prepared statement")
        }
        (Statement::SetConstraints, NodeEnum::ConstraintsSetStmt(_)) => Ok(()),
        // Any name at all is what the session makes of it.
        (Statement::Other, NodeEnum::PrepareStmt(_) | NodeEnum::DeallocateStmt(_))
            if !is_plain(text[part.range.clone()].as_bytes()) =>
        {
            Ok(())
        }
        (
            Statement::Other,
            NodeEnum::InsertStmt(_)
            | NodeEnum::PrepareStmt(_)
            | NodeEnum::DeallocateStmt(_)
            | NodeEnum::ConstraintsSetStmt(_),
        )
        | (
            Statement::Insert(_)
            | Statement::Transaction(_)
            | Statement::Renames { .. }
            | Statement::SetConstraints,
            _,
        ) => Err(format!("classify: {:?}\nparser: {top:?}", part.statement)),
        (Statement::Other, _) => Ok(()),
    }
}

/// Whether an INSERT that is taken for another statement writes in a WITH, or names what is called
/// like a verb, which `classify` does not tell apart.
fn is_cautious(text: &str, part: &Part, top: &NodeEnum) -> bool {
    let text = text[part.range.clone()].to_ascii_uppercase();
    let verbs = ["INSERT", "UPDATE", "DELETE", "MERGE"];
    tree::writers(&shape(top)) > 0
        || verbs.iter().map(|verb| text.matches(verb).count()).sum::<usize>() > 1
}

fn compare_insert(text: &str, said: &Insert, insert: &InsertStmt) -> Result<(), String> {
    let target = insert.relation.as_ref().ok_or("no target")?;
    let schema = Some(&target.schemaname).filter(|name| !name.is_empty());
    same(&schema, &said.schema.as_ref(), "schema")?;
    same(&target.relname, &said.table, "table")?;
    let alias = said.alias.clone().map(|alias| stored(&text[alias]));
    same(&target.alias.as_ref().map(|alias| alias.aliasname.clone()), &alias, "alias")?;
    if said.columns != Columns::Unsure {
        same(&tree::columns(insert), &said.columns, "columns")?;
    }
    same(&insert.on_conflict_clause.is_some(), &said.on_conflict, "ON CONFLICT")?;
    same(&insert.returning_clause.is_some(), &said.returning, "RETURNING")?;
    compare_rows(said, insert)
}

fn compare_rows(said: &Insert, insert: &InsertStmt) -> Result<(), String> {
    let values = tree::values(insert);
    if let (Some(row), Some(values)) = (&said.first_row, &values) {
        same(&tree::width(values[0]), &row.len(), "width")?;
    }
    let is_default_values = insert.select_stmt.is_none();
    match said.rows {
        Rows::One | Rows::Calls if is_default_values => Ok(()),
        Rows::One | Rows::Calls => same(&values.map(|rows| rows.len()), &Some(1), "rows"),
        Rows::Several(count) => same(&values.map(|rows| rows.len()), &Some(count as usize), "rows"),
        // It may be VALUES in parentheses, which the tree does not show.
        Rows::Query => same(&is_default_values, &false, "DEFAULT VALUES"),
    }
}

/// A name as the catalog stores it.
fn stored(written: &str) -> String {
    let mut name = match written.strip_prefix('"') {
        Some(quoted) => quoted[..quoted.len() - 1].replace("\"\"", "\""),
        None => written.to_ascii_lowercase(),
    };
    name.truncate(name.floor_char_boundary(63));
    name
}

/// Each INSERT, with the clause where `classify` says it belongs, is the same INSERT with that
/// clause for its own. How many they were.
fn compare_spliced(
    text: &str,
    script: &Script,
    statements: &[RawStmt],
    syntax: Syntax,
) -> Result<u32, String> {
    let mut count = 0;
    for (index, part) in script.statements.iter().enumerate() {
        let Some(insert) = part.statement.inserts() else { continue };
        if insert.on_conflict {
            continue;
        }
        let mut spliced = text.to_owned();
        spliced.insert_str(insert.conflict_at, CLAUSE);
        let mut with_clause = tree::parse(&spliced, syntax)
            .ok_or_else(|| format!("the parser refuses the clause: {spliced}"))?;
        let clause = tree::insert_mut(&mut with_clause[index])
            .and_then(|insert| insert.on_conflict_clause.take());
        same(&clause.as_deref().is_some_and(is_our), &true, "the clause")?;
        same(&shape(&with_clause), &shape(&statements), "tree with the clause")?;
        count += 1;
    }
    Ok(count)
}

fn is_our(clause: &OnConflictClause) -> bool {
    let elements = clause.infer.as_ref().map(|infer| shape(&infer.index_elems));
    clause.action == i32::from(OnConflictAction::OnconflictNothing)
        && elements.is_some_and(|elements| elements.contains("\"id\""))
}

const CLAUSE: &str = " ON CONFLICT (id) DO NOTHING ";

fn same<T: PartialEq + Debug>(parser: &T, classify: &T, what: &str) -> Result<(), String> {
    if parser == classify {
        Ok(())
    } else {
        Err(format!("{what}\nparser:   {parser:?}\nclassify: {classify:?}"))
    }
}
