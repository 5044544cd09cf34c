//! tokio-postgres: every statement is prepared by name, and requests are pipelined.

mod list;

use std::panic::{self, AssertUnwindSafe};

use list::Told;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, GenericClient};

use super::common::Report;
use super::stage::Stage;
use super::{page, poolers};
use crate::support::PATIENCE;

#[test]
fn tokio_postgres() {
    if let Some(asked) = poolers::asked_for() {
        return poolers::tell(NAME, asked, |stage| {
            let mut told = Told::new();
            let all = AssertUnwindSafe(|| everything(stage, &mut told));
            let succeeded = panic::catch_unwind(all).is_ok();
            println!("{}", told.0);
            (succeeded, told.0)
        });
    }
    let stage = Stage::new();
    let mut told = Told::new();
    everything(&stage, &mut told);
    page::holds(NAME, &Report::read(&told.0).unwrap());
}

const NAME: &str = "tokio-postgres";

/// The list, and what is its own. Panics where something does not hold.
fn everything(stage: &Stage, told: &mut Told) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let everything = async {
            list::list(stage, told).await;
            let mut client = list::connect(stage, "postgres").await.0;
            client.batch_execute("TRUNCATE events, loads, other").await.unwrap();
            inserts(&client).await;
            transactions(&mut client).await;
            savepoints(&mut client).await;
            portal(&mut client).await;
        };
        tokio::time::timeout(PATIENCE, everything).await.expect("in time");
    });
}

const INSERT: &str = "INSERT INTO events VALUES ($1, 'x')";
const RETURNING: &str = "INSERT INTO events VALUES ($1, 'x') RETURNING id";

async fn inserts(client: &Client) {
    for expected in [1, 0, 0] {
        assert_eq!(client.execute(INSERT, &[&1]).await.unwrap(), expected);
    }
    let prepared = client.prepare(INSERT).await.unwrap();
    for expected in [1, 0, 0] {
        assert_eq!(client.execute(&prepared, &[&2]).await.unwrap(), expected);
    }
    for _ in 0..3 {
        client.batch_execute("INSERT INTO events VALUES (3, 'x')").await.unwrap();
    }

    let unlisted = "INSERT INTO other VALUES (1)";
    assert_eq!(client.execute(unlisted, &[]).await.unwrap(), 1);
    shown(client.execute(unlisted, &[]).await);
    shown(client.batch_execute(unlisted).await);
    let several = "INSERT INTO events VALUES (6, 'x'), ($1, 'x'), (7, 'x')";
    assert_eq!(client.execute(several, &[&1]).await.unwrap(), 2);
    assert_eq!(client.query(RETURNING, &[&8]).await.unwrap().len(), 1);
    assert_eq!(client.query(RETURNING, &[&8]).await.unwrap().len(), 0);
    // One transaction without BEGIN: the error has already undone the neighbour.
    shown(
        client.batch_execute("INSERT INTO events VALUES (11); INSERT INTO events VALUES (1)").await,
    );
    assert_eq!(rows(client).await, 6);

    // Three statements in one flight, each with its own Sync.
    let (first, second, third) = tokio::join!(
        client.execute(&prepared, &[&4]),
        client.execute(&prepared, &[&1]),
        client.execute(&prepared, &[&5]),
    );
    assert_eq!([first.unwrap(), second.unwrap(), third.unwrap()], [1, 0, 1]);
}

/// Inserts these one by one; how many rows each says that it stored.
async fn each(client: &impl GenericClient, ids: &[i32]) -> Vec<u64> {
    let mut counts = Vec::new();
    for id in ids {
        counts.push(client.execute(INSERT, &[id]).await.unwrap());
    }
    counts
}

async fn transactions(client: &mut Client) {
    let transaction = client.transaction().await.unwrap();
    assert_eq!(each(&transaction, &[1, 9, 9, 2, 10]).await, [0, 1, 0, 0, 1]);
    let several = "INSERT INTO events VALUES (10, 'x'), ($1, 'x'), (1, 'x')";
    assert_eq!(transaction.execute(several, &[&11]).await.unwrap(), 1);
    assert_eq!(transaction.query(RETURNING, &[&1]).await.unwrap().len(), 0);
    assert_eq!(transaction.query(RETURNING, &[&12]).await.unwrap().len(), 1);
    // Several statements in one Query.
    let script = "INSERT INTO events VALUES (12); INSERT INTO events VALUES (13); SELECT 1;";
    transaction.batch_execute(script).await.unwrap();
    // Five statements in one flight.
    let prepared = transaction.prepare(INSERT).await.unwrap();
    let counts = tokio::try_join!(
        transaction.execute(&prepared, &[&1]),
        transaction.execute(&prepared, &[&14]),
        transaction.execute(&prepared, &[&14]),
        transaction.execute(&prepared, &[&2]),
        transaction.execute(&prepared, &[&15]),
    );
    assert_eq!(counts.unwrap(), (0, 1, 0, 0, 1));
    transaction.commit().await.unwrap();
    assert_eq!(rows(client).await, 15);

    // BEGIN and the first statement in one Query.
    client.batch_execute("BEGIN; INSERT INTO events VALUES (1)").await.unwrap();
    assert_eq!(each(client, &[20, 20]).await, [1, 0]);
    shown(client.execute("INSERT INTO other VALUES (1)", &[]).await);
    let failed = client.batch_execute("INSERT INTO events VALUES (1)").await.unwrap_err();
    assert_eq!(failed.code(), Some(&SqlState::IN_FAILED_SQL_TRANSACTION));
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(rows(client).await, 15);
}

async fn savepoints(client: &mut Client) {
    let mut transaction = client.transaction().await.unwrap();
    let kept = transaction.savepoint("kept").await.unwrap();
    assert_eq!(each(&kept, &[1, 16]).await, [0, 1]);
    kept.commit().await.unwrap();
    let undone = transaction.savepoint("undone").await.unwrap();
    assert_eq!(each(&undone, &[16, 17]).await, [0, 1]);
    undone.rollback().await.unwrap();
    assert_eq!(each(&transaction, &[16, 17]).await, [0, 1]);
    transaction.commit().await.unwrap();
    assert_eq!(rows(client).await, 17);
}

/// A portal that is read on both sides of duplicates.
async fn portal(client: &mut Client) {
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("SELECT generate_series(1, 100)", &[]).await.unwrap();
    for first in (1..=100).step_by(10) {
        let rows = transaction.query_portal(&portal, 10).await.unwrap();
        let read: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(read, (first..first + 10).collect::<Vec<_>>());
        assert_eq!(each(&transaction, &[1]).await, [0]);
        assert_eq!(transaction.query(RETURNING, &[&2]).await.unwrap().len(), 0);
    }
    transaction.commit().await.unwrap();
}

async fn rows(client: &Client) -> i64 {
    client.query_one("SELECT count(*) FROM events", &[]).await.unwrap().get(0)
}

fn shown<T: std::fmt::Debug>(outcome: Result<T, Error>) {
    assert_eq!(outcome.unwrap_err().code(), Some(&SqlState::UNIQUE_VIOLATION));
}
