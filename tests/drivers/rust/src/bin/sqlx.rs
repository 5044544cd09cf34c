//! sqlx: statements are prepared by name and kept; a plain text is a simple query.

use std::error::Error;

use futures_util::TryStreamExt;
use pgabsorb_drivers::{batch, big, equal, loads, missing, ok, restart, script, version};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, raw_sql};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        println!("driver {}", version("sqlx"));
        for user in ["trust", "password", "md5", "scram"] {
            let options = options().username(user).password("secret");
            let mut db = options.connect().await?;
            let name = format!("login, {}", user.replace("scram", "scram-sha-256"));
            equal(&name, texts(&mut db, "SELECT current_user::text").await?, vec![user.to_owned()]);
        }
        let mut db = options().connect().await?;
        singles(&mut db).await?;
        returning(&mut db).await?;
        batches(&mut db).await?;
        copy(&mut db).await?;
        cursor(&mut db).await?;
        listen(&mut db).await?;
        missing("cancel", "it has none");
        large(&mut db).await?;
        error(&mut db).await?;
        restart();
        raw_sql("SELECT 1").execute(&mut db).await.expect_err("the session goes on");
        let mut db = options().connect().await?;
        equal("reconnect", inserts(&mut db, [1, 70]).await?, vec![0, 1]);
        own(&mut db).await
    })
}

/// All else is in the environment.
fn options() -> PgConnectOptions {
    PgConnectOptions::new()
}

async fn texts(db: &mut PgConnection, sql: &str) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(sql).fetch_all(db).await
}

async fn insert(db: &mut PgConnection, id: i32, kind: &str) -> sqlx::Result<u64> {
    let insert = sqlx::query("INSERT INTO events VALUES ($1, $2)").bind(id).bind(kind);
    Ok(insert.execute(db).await?.rows_affected())
}

async fn inserts(
    db: &mut PgConnection,
    ids: impl IntoIterator<Item = i32>,
) -> sqlx::Result<Vec<u64>> {
    let mut counts = Vec::new();
    for id in ids {
        counts.push(insert(db, id, "x").await?);
    }
    Ok(counts)
}

async fn simple(db: &mut PgConnection, sql: &str) -> sqlx::Result<u64> {
    Ok(db.execute(raw_sql(sql)).await?.rows_affected())
}

async fn singles(db: &mut PgConnection) -> Outcome {
    equal("simple insert", simple(db, "INSERT INTO events VALUES (1, 'x')").await?, 1);
    equal("prepared insert", inserts(db, [2, 3]).await?, vec![1, 1]);
    let again = simple(db, "INSERT INTO events VALUES (1, 'again')").await?;
    equal("duplicate in autocommit", [again, insert(db, 2, "again").await?], [0, 0]);
    let mut transaction = db.begin().await?;
    let counts = inserts(&mut transaction, [1, 10, 10, 2, 11]).await?;
    transaction.commit().await?;
    equal("duplicate in a transaction", counts, vec![0, 1, 0, 0, 1]);
    Ok(())
}

async fn returned(db: &mut PgConnection, id: i32) -> sqlx::Result<Vec<i32>> {
    let sql = "INSERT INTO events VALUES ($1, 'x') RETURNING id";
    sqlx::query_scalar(sql).bind(id).fetch_all(db).await
}

async fn returning(db: &mut PgConnection) -> Outcome {
    let mut rows = vec![returned(db, 20).await?, returned(db, 20).await?];
    let mut transaction = db.begin().await?;
    for id in [21, 21, 1] {
        rows.push(returned(&mut transaction, id).await?);
    }
    transaction.commit().await?;
    equal("duplicate with RETURNING", rows, vec![vec![20], vec![], vec![21], vec![], vec![]]);
    let several = "INSERT INTO events VALUES (30, 'x'), ($1, 'x'), (31, 'x')";
    let several = sqlx::query(several).bind(1).execute(db).await?;
    equal("duplicate among several rows", several.rows_affected(), 2);
    Ok(())
}

/// It has no batches but texts of many statements.
async fn batches(db: &mut PgConnection) -> Outcome {
    let mut transaction = db.begin().await?;
    let stored = simple(&mut transaction, &script("events", batch())).await?;
    transaction.commit().await?;
    equal("batch in a transaction", stored, 200);
    simple(db, "INSERT INTO loads VALUES (5, 'x')").await?;
    equal("batch in autocommit", simple(db, &script("loads", loads())).await?, 199);
    Ok(())
}

async fn copy(db: &mut PgConnection) -> Outcome {
    simple(db, "INSERT INTO other VALUES (1)").await?;
    let lines: String = (2..10_000).map(|number| format!("{number}\n")).collect();
    let mut sink = db.copy_in_raw("COPY other FROM STDIN").await?;
    sink.send(lines.as_bytes()).await?;
    assert_eq!(sink.finish().await?, 9998);
    let sql = "COPY (SELECT id FROM other ORDER BY id) TO STDOUT";
    let chunks: Vec<_> = db.copy_out_raw(sql).await?.try_collect().await?;
    assert!(chunks.concat() == format!("1\n{lines}").as_bytes());
    ok("COPY");
    Ok(())
}

/// Its own streams keep the session to themselves; this is a cursor of SQL's.
async fn cursor(db: &mut PgConnection) -> Outcome {
    let mut transaction = db.begin().await?;
    let declare = "DECLARE reader CURSOR FOR SELECT generate_series(1, 100)";
    simple(&mut transaction, declare).await?;
    let (mut read, mut counts) = (Vec::new(), Vec::new());
    loop {
        let fetch = sqlx::query_scalar("FETCH 10 FROM reader");
        let some: Vec<i32> = fetch.fetch_all(&mut *transaction).await?;
        if some.is_empty() {
            break;
        }
        for number in some.iter().filter(|number| *number % 15 == 0) {
            counts.extend(inserts(&mut transaction, [1, 400 + number]).await?);
        }
        read.extend(some);
    }
    transaction.commit().await?;
    equal("cursor", (read, counts), ((1..=100).collect(), [0, 1].repeat(6)));
    Ok(())
}

async fn listen(db: &mut PgConnection) -> Outcome {
    let pool = PgPoolOptions::new().max_connections(1).connect_with(options()).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen("ears").await?;
    simple(db, "NOTIFY ears, 'hello'").await?;
    equal("LISTEN", listener.recv().await?.payload(), "hello");
    Ok(())
}

async fn large(db: &mut PgConnection) -> Outcome {
    let counts = [insert(db, 50, &big()).await?, insert(db, 50, "again").await?];
    assert_eq!(counts, [1, 0]);
    assert!(texts(db, "SELECT kind FROM events WHERE id = 50").await? == [big()]);
    ok("large value");
    Ok(())
}

/// What the server answered with.
fn state<T>(outcome: sqlx::Result<T>) -> String {
    let error = outcome.err().expect("an error");
    let error = error.as_database_error().expect("the server's");
    error.code().expect("a code").into_owned()
}

async fn error(db: &mut PgConnection) -> Outcome {
    let unlisted = "INSERT INTO other VALUES (1)";
    let shown = simple(db, unlisted).await.expect_err("a duplicate");
    assert_eq!(shown.as_database_error().and_then(|it| it.constraint()), Some("other_pkey"));
    assert_eq!(state::<()>(Err(shown)), "23505");
    let mut transaction = db.begin().await?;
    assert_eq!(insert(&mut transaction, 60, "x").await?, 1);
    assert_eq!(state(sqlx::query(unlisted).execute(&mut *transaction).await), "23505");
    assert_eq!(state(insert(&mut transaction, 61, "x").await), "25P02");
    transaction.rollback().await?;
    ok("error shown");
    Ok(())
}

async fn own(db: &mut PgConnection) -> Outcome {
    simple(db, "TRUNCATE events, loads, other").await?;
    insert(db, 1, "x").await?;
    // Several statements in one query are one transaction, whose other statements are undone.
    let undone = simple(db, &script("events", [2, 1, 3].into_iter())).await;
    equal("several statements", state(undone), "23505".to_owned());
    let mut outer = db.begin().await?;
    let mut counts = inserts(&mut outer, [1, 2, 2]).await?;
    let mut inner = outer.begin().await?;
    counts.extend(inserts(&mut inner, [1, 3, 3]).await?);
    inner.rollback().await?;
    let mut inner = outer.begin().await?;
    counts.extend(inserts(&mut inner, [1, 3, 3]).await?);
    inner.commit().await?;
    outer.commit().await?;
    equal("nested transactions", counts, vec![0, 1, 0, 0, 1, 0, 0, 1, 0]);
    let kept = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM events";
    equal("stored", texts(db, kept).await?, vec!["1 2 3".to_owned()]);
    // One of several rows, as its QueryBuilder makes them.
    let mut builder = sqlx::QueryBuilder::new("INSERT INTO events ");
    builder.push_values([1, 4, 5, 2], |mut row, id| {
        row.push_bind(id).push_bind("x");
    });
    equal("QueryBuilder", builder.build().execute(db).await?.rows_affected(), 2);
    Ok(())
}
