//! What the server's locks have to do with it. A long transaction of guarded INSERTs leaves few of
//! them: of savepoints that are not released each would hold a lock, until there is no memory for
//! more. And a lookup waits for none that an INSERT would not wait for.

use crate::support::postgres::Database;
use crate::support::proxy::Proxy;
use crate::support::wire::{self, Wire, lines, startup};

const INSERTS: usize = 10_000;

/// Every so many INSERTs one is of a duplicate.
const EVERY: usize = 10;

const RULES: &str = r#"
[[rule]]
id = "many"
constraint = "many_pkey"
action = "absorb"
"#;

#[test]
fn a_long_transaction_of_simple_queries_holds_one_lock() {
    check(|number| wire::query(&text(number)), |_| true);
}

#[test]
fn a_long_transaction_of_pipelines_holds_one_lock() {
    let ends = |number| (number + 1) % 500 == 0;
    let call = |number| {
        let sync = if ends(number) { wire::sync() } else { Vec::new() };
        [wire::pbe(&text(number), &[]), sync].concat()
    };
    check(call, ends);
}

/// `ALTER TABLE` and `VACUUM FULL` hold such a lock for as long as they take.
#[test]
fn a_locked_table_holds_up_no_inserts_into_others() {
    let database = Database::new();
    database.sql(
        "CREATE TABLE held (id int PRIMARY KEY, \"Two\" int UNIQUE);
         CREATE TABLE many (id int PRIMARY KEY); INSERT INTO many VALUES (1)",
    );
    let held = "[[rule]]\nid = 'held'\nconstraint = 'held_*'\nstrategy = 'rewrite'\n";
    let proxy = Proxy::start(&format!("{RULES}{held}"));
    let packet = startup(&[("database", &database.name), ("options", "-c lock_timeout=20s")]);
    let mut locker = Wire::connect(crate::support::postgres::server().address(), &packet);
    locker.query("BEGIN; LOCK TABLE held");
    let mut wire = Wire::connect(proxy.address(), &packet);
    for text in ["INSERT INTO many VALUES (1)", "INSERT INTO many VALUES (1), (2)"] {
        let reply = lines(&wire.query(text));
        assert!(reply.contains("INSERT 0 "), "{reply}");
    }
}

/// Now and then a duplicate, and now and then one with a row that is none.
fn text(number: usize) -> String {
    match number % (3 * EVERY) {
        LAST => format!("INSERT INTO many VALUES ({}), ({number})", number - 1),
        it if it % EVERY == EVERY - 1 => format!("INSERT INTO many VALUES ({})", number - 1),
        _ => format!("INSERT INTO many VALUES ({number})"),
    }
}

const LAST: usize = 3 * EVERY - 1;

/// Plays the transaction.
fn check(bytes: impl Fn(usize) -> Vec<u8>, is_answered: impl Fn(usize) -> bool) {
    let database = Database::new();
    database.sql("CREATE TABLE many (id int PRIMARY KEY)");
    let proxy = Proxy::start(RULES);
    let mut wire = Wire::connect(proxy.address(), &startup(&[("database", &database.name)]));
    wire.query("BEGIN");
    for chunk in (0..INSERTS).collect::<Vec<_>>().chunks(1000) {
        let bytes: Vec<u8> = chunk.iter().flat_map(|number| bytes(*number)).collect();
        wire.send(&bytes);
        let readies = chunk.iter().filter(|number| is_answered(**number)).count();
        let replies = wire.until(b'Z', readies);
        assert!(!replies.iter().any(|it| it.tag == b'E'), "{}", lines(&replies));
    }

    let reply = lines(&wire.query(
        "SELECT 'locks: ' || count(*) FROM pg_locks
         WHERE pid = pg_backend_pid() AND locktype = 'transactionid'",
    ));
    assert!(reply.contains("locks: 1\""), "{reply}");
    wire.query("COMMIT");
    let duplicates = (0..INSERTS).filter(|it| it % EVERY == EVERY - 1);
    let stored = INSERTS - duplicates.filter(|it| it % (3 * EVERY) != LAST).count();
    let count = database.sql("SELECT 'rows: ' || count(*) FROM many");
    assert!(count.contains(&format!("rows: {stored}\"")), "{count}");
}
