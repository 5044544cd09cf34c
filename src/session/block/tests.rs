use super::*;
use crate::sql::{self, Encoding, Syntax};

/// Where a text leads from no block, an open one, and a failed one.
#[track_caller]
fn leads(text: &str, to: [Block; 3]) {
    let syntax = Syntax { standard_conforming_strings: true, encoding: Encoding::Utf8 };
    let script = sql::classify(text.as_bytes(), syntax).unwrap();
    let effect = Effect::of_all(script.statements.iter().map(|part| &part.statement));
    assert_eq!([Block::None, Block::Open, Block::Failed].map(|from| effect.on(from)), to, "{text}");
}

#[test]
fn transaction_commands_lead_where_the_manual_says() {
    use Block::{Failed, None, Open};
    leads("SELECT 1", [None, Open, Failed]);
    leads("BEGIN", [Open, Open, Failed]);
    leads("START TRANSACTION ISOLATION LEVEL SERIALIZABLE", [Open, Open, Failed]);
    leads("COMMIT", [None, None, None]);
    leads("END WORK", [None, None, None]);
    leads("ABORT", [None, None, None]);
    leads("ROLLBACK AND CHAIN", [None, Open, Open]);
    leads("COMMIT AND CHAIN", [None, Open, Open]);
    leads("PREPARE TRANSACTION 'x'", [None, None, None]);
    leads("ROLLBACK TO SAVEPOINT x", [None, Open, Open]);
    leads("SAVEPOINT x; RELEASE x", [None, Open, Failed]);
    leads("BEGIN; INSERT INTO t VALUES (1)", [Open, Open, Failed]);
    leads("INSERT INTO t VALUES (1); COMMIT; BEGIN", [Open, Open, Open]);
    leads("COMMIT PREPARED 'x'", [None, Open, Failed]);
}

#[test]
fn from_an_unknown_block_only_what_is_sure_is_known() {
    let unknown = |effect: Effect| effect.on(Block::Unknown);
    assert_eq!(unknown(Effect::NOTHING), Block::Unknown);
    assert_eq!(unknown(Effect::UNKNOWN), Block::Unknown);
    let commit = Statement::Transaction(TransactionCommand::Commit { chain: false });
    assert_eq!(unknown(Effect::of_all([&commit].into_iter())), Block::None);
}
