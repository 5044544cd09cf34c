//! tokio-postgres: every statement is prepared by name, and requests are pipelined.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use futures_util::{SinkExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Error, NoTls};

use super::fixture;
use crate::support::PATIENCE;
use crate::support::proxy::Proxy;

#[test]
fn tokio_postgres() {
    let (database, proxy) = fixture();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let everything = async {
            let (client, notifications) = connect(&proxy, &database.name).await;
            inserts(&client).await;
            transactions(&client).await;
            bulk(&client).await;
            notify(&client, notifications).await;
            cancel(&client, &connect(&proxy, &database.name).await.0).await;
        };
        tokio::time::timeout(PATIENCE, everything).await.expect("in time");
    });
}

async fn connect(proxy: &Proxy, database: &str) -> (Client, mpsc::Receiver<String>) {
    let address = proxy.address();
    let config =
        format!("host={} port={} user=postgres dbname={database}", address.ip(), address.port());
    let (client, mut connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message {
                let _ = sender.send(notification.payload().to_owned()).await;
            }
        }
    });
    (client, receiver)
}

const INSERT: &str = "INSERT INTO events VALUES ($1, 'x')";

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
    shown(client.execute("INSERT INTO events VALUES (10, 'x'), ($1, 'x')", &[&1]).await);
    shown(client.query("INSERT INTO events VALUES ($1, 'x') RETURNING id", &[&1]).await);
    shown(
        client.batch_execute("INSERT INTO events VALUES (11); INSERT INTO events VALUES (1)").await,
    );
    assert_eq!(rows(client).await, 3);

    // Three statements in one flight, each with its own Sync.
    let (first, second, third) = tokio::join!(
        client.execute(&prepared, &[&4]),
        client.execute(&prepared, &[&1]),
        client.execute(&prepared, &[&5]),
    );
    assert_eq!([first.unwrap(), second.unwrap(), third.unwrap()], [1, 0, 1]);
}

/// A duplicate is shown as long as there is no savepoint.
async fn transactions(client: &Client) {
    client.batch_execute("BEGIN").await.unwrap();
    assert_eq!(client.execute(INSERT, &[&20]).await.unwrap(), 1);
    shown(client.execute(INSERT, &[&1]).await);
    let failed = client.batch_execute("SELECT 1").await.unwrap_err();
    assert_eq!(failed.code(), Some(&SqlState::IN_FAILED_SQL_TRANSACTION));
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(rows(client).await, 5);
}

async fn bulk(client: &Client) {
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

    let big = "v".repeat(5 << 20);
    for expected in [1, 0] {
        let insert = "INSERT INTO events VALUES (40, $1)";
        assert_eq!(client.execute(insert, &[&big]).await.unwrap(), expected);
    }
    let row = client.query_one("SELECT kind FROM events WHERE id = 40", &[]).await.unwrap();
    assert!(row.get::<_, &str>(0) == big);
}

async fn notify(client: &Client, mut notifications: mpsc::Receiver<String>) {
    client.batch_execute("LISTEN ears").await.unwrap();
    client.batch_execute("NOTIFY ears, 'hello'").await.unwrap();
    assert_eq!(notifications.recv().await.as_deref(), Some("hello"));
}

async fn cancel(client: &Client, watcher: &Client) {
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
}

async fn rows(client: &Client) -> i64 {
    client.query_one("SELECT count(*) FROM events", &[]).await.unwrap().get(0)
}

fn shown<T: std::fmt::Debug>(outcome: Result<T, Error>) {
    assert_eq!(outcome.unwrap_err().code(), Some(&SqlState::UNIQUE_VIOLATION));
}
