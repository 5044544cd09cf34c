use super::*;
use crate::rules::{ConstraintGlob, RuleId};
use crate::sql::{self, Encoding, Syntax};

const SYNTAX: Syntax = Syntax { standard_conforming_strings: true, encoding: Encoding::Utf8 };

/// A situation in which a 23505 is absorbed, to be spoilt one condition at a time.
struct Case {
    text: &'static str,
    error: &'static [u8],
    index: Option<Index>,
    in_step: bool,
    result_sent: bool,
    status: Option<TransactionStatus>,
    scope: Scope,
    server_version: u32,
    rule: Rule,
}

fn constraint(table: &str) -> Constraint {
    let name = format!("{table}_pkey");
    Constraint { schema: "public".to_owned(), table: table.to_owned(), name }
}

fn rule() -> Rule {
    Rule::new(RuleId::new("r").unwrap(), ConstraintGlob::new("t_pkey").unwrap())
}

fn absorbable() -> Case {
    Case {
        text: "INSERT INTO t VALUES (1)",
        error: b"VERROR\0C23505\0R_bt_check_unique\0\0",
        index: Some(Index {
            root: constraint("t"),
            columns: "id".to_owned(),
            immediate: true,
            plain: true,
            partitioned: false,
            conflict_target: Some("(id)".to_owned()),
            key: Some("id".to_owned()),
            predicate: None,
            table_columns: Vec::new(),
        }),
        in_step: true,
        result_sent: false,
        status: Some(TransactionStatus::Idle),
        scope: Scope::Alone,
        server_version: 15,
        rule: rule(),
    }
}

impl Case {
    fn judge(&self) -> Result<Answer, Reason> {
        let script = sql::classify(self.text.as_bytes(), SYNTAX);
        let parts = script.as_ref().map(|script| script.statements.as_slice());
        self.judge_reply_to(match parts {
            Ok([part]) => ReplyTo::Statement(&part.statement),
            Ok([_, _, ..]) => ReplyTo::Several,
            Ok([]) | Err(_) => ReplyTo::Unclassified,
        })
    }

    fn judge_reply_to(&self, reply_to: ReplyTo<'_>) -> Result<Answer, Reason> {
        judge(&Situation {
            fields: ErrorFields::new(self.error),
            constraint: &constraint("t"),
            index: self.index.as_ref(),
            in_step: self.in_step,
            reply_to,
            result_sent: self.result_sent,
            status: self.status,
            scope: self.scope,
            server_version: self.server_version,
            rule: Some(&self.rule),
        })
    }
}

#[test]
fn the_situation_that_the_others_spoil_is_absorbed() {
    assert_eq!(absorbable().judge(), Ok(Answer::Reply));
}

#[test]
fn a_text_that_is_not_one_insert_is_shown() {
    for (text, reason) in [
        ("INSERT INTO t VALUES (1) ON CONFLICT (b) DO NOTHING", Reason::OwnOnConflict),
        ("INSERT INTO u VALUES (1)", Reason::OtherTable),
        ("INSERT INTO private.t VALUES (1)", Reason::OtherTable),
        ("UPDATE t SET id = 1", Reason::NotInsert),
        ("WITH x AS (INSERT INTO t VALUES (1) RETURNING id) SELECT * FROM x", Reason::NotInsert),
        ("COMMIT", Reason::Deferred),
        ("INSERT INTO t VALUES (1); SELECT 1", Reason::ImplicitTransaction),
        ("INSERT INTO t VALUES ('", Reason::Unclassified),
        ("-- nothing", Reason::Unclassified),
    ] {
        assert_eq!(Case { text, ..absorbable() }.judge(), Err(reason), "{text}");
    }
}

#[test]
fn a_rule_may_want_more_or_less_than_the_statement() {
    let returning = "INSERT INTO t VALUES (1) RETURNING id";
    let rule = Rule { returning: Returning::Error, ..rule() };
    let case = |text| Case { text, rule: rule.clone(), ..absorbable() };
    assert_eq!(case(returning).judge(), Err(Reason::Returning));
    assert_eq!(case("INSERT INTO t VALUES (1)").judge(), Ok(Answer::Reply));
    let upsert = Rule { on_conflict: OnConflict::UpdateAll, ..rule };
    assert_eq!(Case { rule: upsert, ..absorbable() }.judge(), Ok(Answer::Redo));
}

#[test]
fn what_may_have_stored_or_returned_more_is_run_again() {
    for text in [
        "INSERT INTO t VALUES (1), (2)",
        "INSERT INTO t SELECT 1",
        "INSERT INTO t VALUES (generate_series(1, 3))",
        "INSERT INTO t VALUES (1) RETURNING id",
    ] {
        assert_eq!(Case { text, ..absorbable() }.judge(), Ok(Answer::Redo), "{text}");
    }
}

/// What a newer server has computes one value; at an older one it is a function of the user's.
#[test]
fn a_function_that_the_server_lacks_may_store_more() {
    for (text, since) in [
        ("INSERT INTO t VALUES (uuidv7())", 18),
        ("INSERT INTO t (a, id) VALUES (pg_catalog.Regexp_Like('a', 'b'), 1)", 15),
        ("INSERT INTO t VALUES (lower('a' || gcd(4, abs(6))))", 13),
        ("WITH x AS (SELECT 'a' ^@ 'b') INSERT INTO t VALUES (1)", 11),
        ("INSERT INTO t (a[gcd(1, 2)]) VALUES (log10(3))", 13),
        ("INSERT INTO t (a[log10(1)]) VALUES (gcd(3, 5))", 13),
    ] {
        let at = |server_version| Case { text, server_version, ..absorbable() }.judge();
        assert_eq!((at(since - 1), at(since)), (Ok(Answer::Redo), Ok(Answer::Reply)), "{text}");
        assert_eq!(at(0), Ok(Answer::Redo), "{text}");
    }
    let everywhere = "INSERT INTO t VALUES (abs(1) + length('a'))";
    let case = Case { text: everywhere, server_version: 0, ..absorbable() };
    assert_eq!(case.judge(), Ok(Answer::Reply));
}

#[test]
fn the_targets_schema_and_quoting_are_those_of_the_catalog() {
    for text in ["INSERT INTO public.t VALUES (1)", "insert into Public.\"t\" values (1);"] {
        assert_eq!(Case { text, ..absorbable() }.judge(), Ok(Answer::Reply), "{text}");
    }
    let text = "INSERT INTO \"T\" VALUES (1)";
    assert_eq!(Case { text, ..absorbable() }.judge(), Err(Reason::OtherTable));
}

#[test]
fn a_partition_may_be_named_by_its_root_or_itself() {
    let index = || absorbable().index.map(|index| Index { root: constraint("whole"), ..index });
    for (text, judged) in [
        ("INSERT INTO whole VALUES (1)", Ok(Answer::Reply)),
        ("INSERT INTO t VALUES (1)", Ok(Answer::Reply)),
        ("INSERT INTO other VALUES (1)", Err(Reason::OtherTable)),
    ] {
        assert_eq!(Case { text, index: index(), ..absorbable() }.judge(), judged, "{text}");
    }
}

#[test]
fn an_error_that_does_not_speak_for_itself_is_shown() {
    for (error, reason) in [
        (&b"VERROR\0C23505\0WSQL statement\0\0"[..], Reason::Nested),
        (b"VERROR\0C23505\0Rcomparetup_index_btree_tiebreak\0\0", Reason::NotInsert),
        (b"VERROR\0C23505\0Rexec_stmt_raise\0\0", Reason::NotInsert),
        (b"SFEHLER\0C23505\0\0", Reason::Unclassified),
        (b"C23505\0\0", Reason::Unclassified),
    ] {
        assert_eq!(Case { error, ..absorbable() }.judge(), Err(reason), "{}", error.escape_ascii());
    }
    let before_9_6 = Case { error: b"SERROR\0C23505\0\0", ..absorbable() };
    assert_eq!(
        before_9_6.judge(),
        Ok(Answer::Reply),
        "S counts where there is no V, R need not be there"
    );
}

#[test]
fn what_failed_must_be_a_statement_that_is_known() {
    for (reply_to, reason) in [
        (ReplyTo::DeferredChecks, Reason::Deferred),
        (ReplyTo::NotInsert, Reason::NotInsert),
        (ReplyTo::TooLarge, Reason::TooLarge),
        (ReplyTo::Unclassified, Reason::Unclassified),
    ] {
        assert_eq!(absorbable().judge_reply_to(reply_to), Err(reason));
    }
}

#[test]
fn surroundings_that_the_error_has_undone_too_are_shown() {
    let transaction = Some(TransactionStatus::Transaction);
    let failed = Some(TransactionStatus::Failed);
    for (case, reason) in [
        (Case { status: transaction, ..absorbable() }, Reason::InTransaction),
        (Case { status: failed, ..absorbable() }, Reason::InTransaction),
        (Case { status: None, ..absorbable() }, Reason::InTransaction),
        (Case { scope: Scope::Shared, ..absorbable() }, Reason::ImplicitTransaction),
        (Case { result_sent: true, ..absorbable() }, Reason::ResultSent),
        (Case { in_step: false, ..absorbable() }, Reason::OutOfStep),
    ] {
        assert_eq!(case.judge(), Err(reason));
    }
    let several =
        Case { text: "SELECT 1; INSERT INTO t VALUES (1)", status: transaction, ..absorbable() };
    assert_eq!(several.judge(), Err(Reason::InTransaction));
}

#[test]
fn inside_a_block_a_savepoint_decides() {
    let transaction = Some(TransactionStatus::Transaction);
    let case = |scope, observed| {
        let action = if observed { Action::Observe } else { Action::Absorb };
        let rule = Rule { action, ..rule() };
        Case { status: transaction, scope, rule, ..absorbable() }
    };
    assert_eq!(case(Scope::Guarded, false).judge(), Ok(Answer::Reply));
    assert_eq!(case(Scope::Alone, false).judge(), Err(Reason::InTransaction));
    assert_eq!(case(Scope::Alone, true).judge(), Ok(Answer::Reply), "observing needs none");
}

#[test]
fn an_index_that_the_catalog_does_not_vouch_for_is_shown() {
    let index = || absorbable().index.unwrap();
    for (index, reason) in [
        (None, Reason::Unverified),
        (Some(Index { immediate: false, ..index() }), Reason::Deferred),
        (Some(Index { plain: false, ..index() }), Reason::NotPlainTable),
    ] {
        assert_eq!(Case { index, ..absorbable() }.judge(), Err(reason));
    }
}
