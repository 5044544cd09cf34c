//! diesel: over libpq; what its query builder makes is prepared by name and kept, `batch_execute` is a
//! simple query.

use std::error::Error;
use std::io::Read;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{Integer, Text};
use diesel::{connection::SimpleConnection, sql_query};
use pgabsorb_drivers::{batch, big, equal, loads, missing, ok, restart, script, version};

diesel::table! {
    events (id) { id -> Integer, kind -> Nullable<Text>, }
}
diesel::table! {
    other (id) { id -> Integer, }
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = Integer)]
    number: i32,
}

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    word: String,
}

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Outcome {
    println!("driver {}", version("diesel"));
    for user in ["trust", "password", "md5", "scram"] {
        let mut db = PgConnection::establish(&format!("user={user} password=secret"))?;
        let name = format!("login, {}", user.replace("scram", "scram-sha-256"));
        let found: Word = sql_query("SELECT current_user::text AS word").get_result(&mut db)?;
        equal(&name, found.word.as_str(), user);
    }
    // All else is in the environment.
    let db = &mut PgConnection::establish("")?;
    singles(db)?;
    returning(db)?;
    batches(db)?;
    copy(db)?;
    cursor(db)?;
    listen(db)?;
    missing("cancel", "it has none");
    large(db)?;
    error(db)?;
    restart();
    db.batch_execute("SELECT 1").expect_err("the session goes on");
    let db = &mut PgConnection::establish("")?;
    equal("reconnect", inserts(db, [1, 70])?, vec![0, 1]);
    own(db)
}

fn insert(db: &mut PgConnection, id: i32, kind: &str) -> QueryResult<usize> {
    let values = (events::id.eq(id), events::kind.eq(kind));
    diesel::insert_into(events::table).values(values).execute(db)
}

fn inserts(db: &mut PgConnection, ids: impl IntoIterator<Item = i32>) -> QueryResult<Vec<usize>> {
    ids.into_iter().map(|id| insert(db, id, "x")).collect()
}

fn singles(db: &mut PgConnection) -> Outcome {
    // It tells no count of it.
    db.batch_execute("INSERT INTO events VALUES (1, 'x')")?;
    ok("simple insert");
    equal("prepared insert", inserts(db, [2, 3])?, vec![1, 1]);
    db.batch_execute("INSERT INTO events VALUES (1, 'again')")?;
    equal("duplicate in autocommit", insert(db, 2, "again")?, 0);
    let counts = db.transaction(|db| inserts(db, [1, 10, 10, 2, 11]))?;
    equal("duplicate in a transaction", counts, vec![0, 1, 0, 0, 1]);
    Ok(())
}

fn returned(db: &mut PgConnection, id: i32) -> QueryResult<Vec<i32>> {
    let values = (events::id.eq(id), events::kind.eq("x"));
    diesel::insert_into(events::table).values(values).returning(events::id).get_results(db)
}

fn returning(db: &mut PgConnection) -> Outcome {
    let mut rows = vec![returned(db, 20)?, returned(db, 20)?];
    rows.extend(db.transaction(|db| {
        [21, 21, 1].into_iter().map(|id| returned(db, id)).collect::<QueryResult<Vec<_>>>()
    })?);
    equal("duplicate with RETURNING", rows, vec![vec![20], vec![], vec![21], vec![], vec![]]);
    equal("duplicate among several rows", several(db, &[30, 1, 31])?, 2);
    Ok(())
}

fn several(db: &mut PgConnection, ids: &[i32]) -> QueryResult<usize> {
    let values: Vec<_> = ids.iter().map(|id| (events::id.eq(*id), events::kind.eq("x"))).collect();
    diesel::insert_into(events::table).values(values).execute(db)
}

/// It has no batches but texts of many statements.
fn batches(db: &mut PgConnection) -> Outcome {
    db.transaction(|db| db.batch_execute(&script("events", batch())))?;
    ok("batch in a transaction");
    db.batch_execute("INSERT INTO loads VALUES (5, 'x')")?;
    db.batch_execute(&script("loads", loads()))?;
    ok("batch in autocommit");
    Ok(())
}

fn copy(db: &mut PgConnection) -> Outcome {
    diesel::insert_into(other::table).values(other::id.eq(1)).execute(db)?;
    let lines: String = (2..10_000).map(|number| format!("{number}\n")).collect();
    let written = diesel::copy_from(other::table)
        .from_raw_data(other::table, |copy| {
            copy.write_all(lines.as_bytes())
                .map_err(|error| DieselError::SerializationError(error.into()))
        })
        .execute(db)?;
    assert_eq!(written, 9998);
    let mut copied = String::new();
    diesel::copy_to(other::table).load_raw(db)?.read_to_string(&mut copied)?;
    assert!(copied == format!("1\n{lines}"));
    ok("COPY");
    Ok(())
}

/// Cursors are SQL's.
fn cursor(db: &mut PgConnection) -> Outcome {
    let (read, counts) = db.transaction(|db| {
        db.batch_execute("DECLARE reader CURSOR FOR SELECT generate_series(1, 100) AS number")?;
        let (mut read, mut counts) = (Vec::new(), Vec::new());
        loop {
            let some: Vec<Number> = sql_query("FETCH 10 FROM reader").load(db)?;
            if some.is_empty() {
                return QueryResult::Ok((read, counts));
            }
            for Number { number } in some {
                read.push(number);
                if number % 15 == 0 {
                    counts.extend(inserts(db, [1, 400 + number])?);
                }
            }
        }
    })?;
    equal("cursor", (read, counts), ((1..=100).collect(), [0, 1].repeat(6)));
    Ok(())
}

fn listen(db: &mut PgConnection) -> Outcome {
    db.batch_execute("LISTEN ears")?;
    db.batch_execute("NOTIFY ears, 'hello'")?;
    let heard = db.notifications_iter().next().ok_or("nothing was heard")??;
    equal("LISTEN", heard.payload.as_str(), "hello");
    Ok(())
}

fn large(db: &mut PgConnection) -> Outcome {
    assert_eq!([insert(db, 50, &big())?, insert(db, 50, "again")?], [1, 0]);
    let found: Option<String> = events::table.find(50).select(events::kind).first(db)?;
    assert!(found == Some(big()));
    ok("large value");
    Ok(())
}

fn shown<T>(outcome: QueryResult<T>) {
    let Err(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, shown)) = outcome else {
        panic!("a duplicate is to be shown");
    };
    assert_eq!(shown.constraint_name(), Some("other_pkey"));
}

fn error(db: &mut PgConnection) -> Outcome {
    let unlisted = |db: &mut PgConnection| {
        diesel::insert_into(other::table).values(other::id.eq(1)).execute(db)
    };
    shown(unlisted(db));
    let undone: QueryResult<()> = db.transaction(|db| {
        assert_eq!(insert(db, 60, "x")?, 1);
        shown(unlisted(db));
        let failed = insert(db, 61, "x").expect_err("the transaction has failed");
        assert!(failed.to_string().contains("current transaction is aborted"), "{failed}");
        Err(DieselError::RollbackTransaction)
    });
    assert!(matches!(undone, Err(DieselError::RollbackTransaction)), "{undone:?}");
    ok("error shown");
    Ok(())
}

fn own(db: &mut PgConnection) -> Outcome {
    db.batch_execute("TRUNCATE events, loads, other")?;
    insert(db, 1, "x")?;
    // Several statements in one query are one transaction, whose other statements are undone.
    db.batch_execute(&script("events", [2, 1, 3].into_iter())).expect_err("a duplicate");
    equal("nothing of several statements", events::table.count().get_result(db)?, 1_i64);
    let counts = db.transaction(|db| {
        let mut counts = inserts(db, [1, 2, 2])?;
        let undone: QueryResult<()> = db.transaction(|db| {
            counts.extend(inserts(db, [1, 3, 3])?);
            Err(DieselError::RollbackTransaction)
        });
        assert!(undone.is_err());
        counts.extend(db.transaction(|db| inserts(db, [1, 3, 3]))?);
        QueryResult::Ok(counts)
    })?;
    equal("nested transactions", counts, vec![0, 1, 0, 0, 1, 0, 0, 1, 0]);
    let stored: Vec<i32> = events::table.select(events::id).order(events::id).load(db)?;
    equal("stored", stored, vec![1, 2, 3]);
    // Whoever asks for the one row that was inserted is told of none.
    let values = (events::id.eq(1), events::kind.eq("x"));
    let one: QueryResult<i32> =
        diesel::insert_into(events::table).values(values).returning(events::id).get_result(db);
    equal("get_result", one, Err(DieselError::NotFound));
    equal("several rows in a transaction", db.transaction(|db| several(db, &[3, 4, 1, 5]))?, 2);
    Ok(())
}
