//! The list of what every driver does, by tokio-postgres.

use std::future::poll_fn;
use std::pin::pin;
use std::thread;
use std::time::Duration;

use futures_util::future::try_join_all;
use futures_util::{SinkExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Error, GenericClient, NoTls};

use super::super::stage::Stage;

/// All of the list, which tells what a script would print.
pub async fn list(stage: &Stage, told: &mut Told) {
    logins(stage, told).await;
    let (mut client, notifications) = connect(stage, "postgres").await;
    inserts(&mut client, told).await;
    batches(&mut client, told).await;
    copy(&client, told).await;
    cursor(&mut client, told).await;
    listen(&client, notifications, told).await;
    cancel(&client, &connect(stage, "postgres").await.0, told).await;
    large(&client, told).await;
    error(&client, told).await;
    thread::scope(|scope| scope.spawn(|| stage.crash(&told.0)).join()).unwrap();
    client.batch_execute("SELECT 1").await.unwrap_err();
    let client = connect(stage, "postgres").await.0;
    assert_eq!(insert(&client, 1, "x").await + 2 * insert(&client, 70, "x").await, 2);
    told.ok("reconnect");
}

/// What is printed so far.
pub struct Told(pub String);

impl Told {
    pub fn new() -> Self {
        Self(format!("driver {}\n", version()))
    }

    fn ok(&mut self, name: &str) {
        self.0.extend(["ok ", name, "\n"]);
    }
}

/// It reports none by itself; this is what is built in.
fn version() -> &'static str {
    let lock = include_str!("../../../../Cargo.lock");
    let (_, rest) = lock.split_once("name = \"tokio-postgres\"\nversion = \"").unwrap();
    rest.split_once('"').unwrap().0
}

pub async fn connect(stage: &Stage, user: &str) -> (Client, mpsc::Receiver<String>) {
    let address = stage.address;
    let (host, port) = (address.ip(), address.port());
    let config = format!("host={host} port={port} user={user} password=secret dbname=postgres");
    let (client, mut connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
    let (sender, receiver) = mpsc::channel(16);
    let name = user.to_owned();
    tokio::spawn(async move {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            match message {
                Ok(AsyncMessage::Notification(notification)) => {
                    let _ = sender.send(notification.payload().to_owned()).await;
                }
                Ok(_) => {}
                Err(error) => return println!("the connection of {name} ends: {error:?}"),
            }
        }
    });
    (client, receiver)
}

async fn logins(stage: &Stage, told: &mut Told) {
    for (user, name) in
        [("trust", "trust"), ("password", "password"), ("md5", "md5"), ("scram", "scram-sha-256")]
    {
        let client = connect(stage, user).await.0;
        let row = client.query_one("SELECT current_user::text", &[]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), user);
        told.ok(&format!("login, {name}"));
    }
}

async fn insert(client: &impl GenericClient, id: i32, kind: &str) -> u64 {
    client.execute("INSERT INTO events VALUES ($1, $2)", &[&id, &kind]).await.unwrap()
}

async fn inserts(client: &mut Client, told: &mut Told) {
    client.batch_execute("INSERT INTO events VALUES (1, 'x')").await.unwrap();
    told.ok("simple insert");
    let prepared = client.prepare("INSERT INTO events VALUES ($1, $2)").await.unwrap();
    for id in [2, 3] {
        assert_eq!(client.execute(&prepared, &[&id, &"x"]).await.unwrap(), 1);
    }
    told.ok("prepared insert");
    client.batch_execute("INSERT INTO events VALUES (1, 'again')").await.unwrap();
    assert_eq!(client.execute(&prepared, &[&2, &"again"]).await.unwrap(), 0);
    told.ok("duplicate in autocommit");

    let transaction = client.transaction().await.unwrap();
    for (id, expected) in [(1, 0), (10, 1), (10, 0), (2, 0), (11, 1)] {
        assert_eq!(insert(&transaction, id, "x").await, expected, "{id}");
    }
    transaction.commit().await.unwrap();
    told.ok("duplicate in a transaction");

    assert_eq!([returned(client, 20).await, returned(client, 20).await], [vec![20], vec![]]);
    let transaction = client.transaction().await.unwrap();
    for (id, expected) in [(21, vec![21]), (21, vec![]), (1, vec![])] {
        assert_eq!(returned(&transaction, id).await, expected);
    }
    transaction.commit().await.unwrap();
    told.ok("duplicate with RETURNING");

    let several = "INSERT INTO events VALUES (30, 'x'), ($1, 'x'), (31, 'x')";
    assert_eq!(client.execute(several, &[&1]).await.unwrap(), 2);
    told.ok("duplicate among several rows");
}

async fn returned(client: &impl GenericClient, id: i32) -> Vec<i32> {
    let sql = "INSERT INTO events VALUES ($1, 'x') RETURNING id";
    client.query(sql, &[&id]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Its batches are what is in one flight.
async fn batches(client: &mut Client, told: &mut Told) {
    let transaction = client.transaction().await.unwrap();
    let batch = [1].into_iter().chain(100..300).chain([2, 100]);
    let counts = flight(&transaction, "events", batch).await;
    assert_eq!(counts.iter().sum::<u64>(), 200);
    transaction.commit().await.unwrap();
    told.ok("batch in a transaction");
    client.batch_execute("INSERT INTO loads VALUES (5, 'x')").await.unwrap();
    let counts = flight(client, "loads", (1..=200).chain([5])).await;
    assert_eq!(counts.iter().sum::<u64>(), 199);
    told.ok("batch in autocommit");
}

async fn flight(
    client: &impl GenericClient,
    table: &str,
    ids: impl Iterator<Item = i32>,
) -> Vec<u64> {
    let sql = format!("INSERT INTO {table} VALUES ($1, 'x')");
    let prepared = client.prepare(&sql).await.unwrap();
    let prepared = &prepared;
    try_join_all(ids.map(|id| async move { client.execute(prepared, &[&id]).await })).await.unwrap()
}

async fn copy(client: &Client, told: &mut Told) {
    client.batch_execute("INSERT INTO other VALUES (1)").await.unwrap();
    let mut sink = pin!(client.copy_in("COPY other FROM STDIN").await.unwrap());
    for number in 2..10_000 {
        sink.send(bytes::Bytes::from(format!("{number}\n"))).await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), 9998);
    let stream =
        client.copy_out("COPY (SELECT id FROM other ORDER BY id) TO STDOUT").await.unwrap();
    let lines: Vec<bytes::Bytes> = stream.try_collect().await.unwrap();
    let expected = (1..10_000).map(|number| format!("{number}\n"));
    assert!(lines.into_iter().eq(expected));
    told.ok("COPY");
}

/// A portal, which is read on both sides of duplicates.
async fn cursor(client: &mut Client, told: &mut Told) {
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("SELECT generate_series(1, 100)", &[]).await.unwrap();
    for first in (1..=100).step_by(10) {
        let rows = transaction.query_portal(&portal, 10).await.unwrap();
        let read: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(read, (first..first + 10).collect::<Vec<_>>());
        for number in read.into_iter().filter(|number| number % 15 == 0) {
            assert_eq!(insert(&transaction, 1, "x").await, 0);
            assert_eq!(insert(&transaction, 400 + number, "x").await, 1);
        }
    }
    transaction.commit().await.unwrap();
    told.ok("cursor");
}

async fn listen(client: &Client, mut notifications: mpsc::Receiver<String>, told: &mut Told) {
    client.batch_execute("LISTEN ears").await.unwrap();
    client.batch_execute("NOTIFY ears, 'hello'").await.unwrap();
    assert_eq!(notifications.recv().await.as_deref(), Some("hello"));
    told.ok("LISTEN");
}

async fn cancel(client: &Client, watcher: &Client, told: &mut Told) {
    let asleep = "SELECT count(*) FROM pg_stat_activity
                  WHERE wait_event = 'PgSleep' AND datname = current_database()";
    let cancelled = async {
        while watcher.query_one(asleep, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        client.cancel_token().cancel_query(NoTls).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(client.batch_execute("SELECT pg_sleep(60)"), cancelled);
    assert_eq!(outcome.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    client.batch_execute("SELECT 1").await.unwrap();
    told.ok("cancel");
}

async fn large(client: &Client, told: &mut Told) {
    let big = "v".repeat(5 << 20);
    assert_eq!(insert(client, 50, &big).await, 1);
    assert_eq!(insert(client, 50, "again").await, 0);
    let row = client.query_one("SELECT kind FROM events WHERE id = 50", &[]).await.unwrap();
    assert!(row.get::<_, &str>(0) == big);
    told.ok("large value");
}

async fn error(client: &Client, told: &mut Told) {
    let unlisted = "INSERT INTO other VALUES (1)";
    let shown = |outcome: Result<u64, Error>| {
        let error = outcome.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code(), &SqlState::UNIQUE_VIOLATION);
        assert_eq!(error.constraint(), Some("other_pkey"));
    };
    shown(client.execute(unlisted, &[]).await);
    client.batch_execute("BEGIN").await.unwrap();
    assert_eq!(insert(client, 60, "x").await, 1);
    shown(client.execute(unlisted, &[]).await);
    let failed = client.batch_execute("INSERT INTO events VALUES (61)").await.unwrap_err();
    assert_eq!(failed.code(), Some(&SqlState::IN_FAILED_SQL_TRANSACTION));
    client.batch_execute("ROLLBACK").await.unwrap();
    told.ok("error shown");
}
