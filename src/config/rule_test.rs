//! `[[rule.test]]`: what a rule's author expects of it. `check` makes sure of that; nobody else
//! looks at it.

use toml::{Spanned, de::DeValue};

use super::{
    reader::{Reader, Section},
    shape::TEST,
    value,
};
use crate::rules::{Constraint, Glob, Origin, Rule, RuleId};

/// One expectation: this statement hits this duplicate key, and this becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleTest {
    /// The line of its header, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// The rule that it is of.
    pub rule: RuleId,
    /// The statement.
    pub statement: String,
    /// The constraint that it violates; its table is empty where that is the statement's own.
    pub violates: Constraint,
    /// Who sends it.
    pub origin: Origin,
    /// What surrounds it.
    pub inside: Inside,
    /// What is expected.
    pub expect: Expect,
    /// Why it is to be shown, by its name in the log; empty where any reason will do.
    pub reason: String,
}

/// What surrounds a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inside {
    /// Nothing.
    #[default]
    Autocommit,
    /// A transaction block.
    Transaction,
    /// Other statements of the same pipeline or query, outside a transaction block.
    Pipeline,
}

/// What becomes of a duplicate key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Success.
    Absorbed,
    /// The error; a rule would have absorbed it.
    Observed,
    /// The error; a rule says that it must never repeat.
    Alert,
    /// The error.
    Shown,
}

impl Expect {
    /// The word for it in the rules file, and in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absorbed => "absorbed",
            Self::Observed => "observed",
            Self::Alert => "alert",
            Self::Shown => "shown",
        }
    }
}

/// The tests of a rule; those with mistakes are left out.
pub(super) fn read(rule: &Rule, section: &Section<'_>, reader: &mut Reader<'_>) -> Vec<RuleTest> {
    let Some(value) = section.get(TEST.name) else { return Vec::new() };
    let DeValue::Array(tables) = value.get_ref() else {
        let at = value.span().start;
        reader.reject_type(
            "test",
            "a list of tables, each headed [[rule.test]]",
            at,
            value.get_ref(),
        );
        return Vec::new();
    };
    tables.iter().filter_map(|table| read_test(rule, table, reader)).collect()
}

fn read_test(
    rule: &Rule,
    table: &Spanned<DeValue<'_>>,
    reader: &mut Reader<'_>,
) -> Option<RuleTest> {
    let at = table.span().start;
    let before = reader.rejected();
    let section = reader.table(&TEST, at, table)?;
    reader.require(&section, "statement", "statement = \"INSERT INTO t (id) VALUES (1)\"");
    reader.require(&section, "expect", "expect = \"absorbed\"");
    if rule.constraint.exact().is_none() {
        reader.require(&section, "constraint", "constraint = \"t_pkey\"");
    }
    let mut text = |key| reader.value(&section, key, &value::PROSE).map(|it| it.value);
    let exact = |glob: Option<&Glob>| glob.and_then(Glob::exact).map(str::to_owned);
    let statement = text("statement");
    let name = text("constraint").or_else(|| exact(Some(&rule.constraint)));
    let schema = text("schema").or_else(|| exact(rule.schema.as_ref()));
    let table = text("table").or_else(|| exact(rule.table.as_ref())).unwrap_or_default();
    let origin = Origin {
        database: text("database").or_else(|| exact(rule.databases.first())).unwrap_or_default(),
        user: text("user").or_else(|| exact(rule.users.first())).unwrap_or_default(),
        application_name: text("application_name")
            .or_else(|| exact(rule.application_names.first()))
            .unwrap_or_default(),
    };
    let reason = text("reason").unwrap_or_default();
    let inside = reader.value(&section, "inside", &value::INSIDE);
    let expect = reader.value(&section, "expect", &value::EXPECT);
    if reader.rejected() > before {
        return None;
    }
    let (line, column) = reader.position(at);
    let schema = schema.unwrap_or_else(|| "public".to_owned());
    Some(RuleTest {
        line,
        column,
        rule: rule.id.clone(),
        statement: statement?,
        violates: Constraint { schema, table, name: name? },
        origin,
        inside: inside.map(|it| it.value).unwrap_or_default(),
        expect: expect?.value,
        reason,
    })
}
