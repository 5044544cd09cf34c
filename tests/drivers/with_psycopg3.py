"""psycopg 3: simple and extended queries, server-side prepared, client-side bound, pipelines."""

import threading

import psycopg

from checks import ASLEEP, BIG, equal, ok, raises, wait_until

INSERT = "INSERT INTO events VALUES (%s, 'x')"

db = psycopg.connect(autocommit=True)
ok("connect")


def count(table="events"):
    return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


cursor = db.execute("INSERT INTO events VALUES (1, 'x')")
equal("simple insert", cursor.statusmessage, "INSERT 0 1")
cursor = db.execute("INSERT INTO events VALUES (1, 'x')")
equal("simple duplicate", (cursor.statusmessage, cursor.rowcount), ("INSERT 0 0", 0))

cursor = db.execute(INSERT, (2,))
equal("extended insert", cursor.rowcount, 1)
cursor = db.execute(INSERT, (2,))
equal("extended duplicate", (cursor.statusmessage, cursor.rowcount), ("INSERT 0 0", 0))

for expected in (1, 0, 0):
    cursor = db.execute(INSERT, (3,), prepare=True)
    equal("prepared insert or duplicate", cursor.rowcount, expected)

with psycopg.ClientCursor(db) as client:
    for expected in (1, 0):
        client.execute(INSERT, (4,))
        equal("client-bound insert or duplicate", client.rowcount, expected)
with psycopg.RawCursor(db) as raw:
    for expected in (1, 0):
        raw.execute("INSERT INTO events VALUES ($1, 'x')", (5,), binary=True)
        equal("raw binary insert or duplicate", raw.rowcount, expected)
equal("one row each", count(), 5)

db.execute("INSERT INTO other VALUES (1)")
raises("unlisted duplicate", "23505", lambda: db.execute("INSERT INTO other VALUES (1)"))
raises("unlisted, prepared", "23505", lambda: db.execute("INSERT INTO other VALUES (%s)", (1,)))
raises(
    "several rows", "23505", lambda: db.execute("INSERT INTO events VALUES (10, 'x'), (1, 'x')")
)
raises("returning", "23505", lambda: db.execute(INSERT + " RETURNING id", (1,)))
raises("executemany", "23505", lambda: db.cursor().executemany(INSERT, [(11,), (1,), (12,)]))
equal("nothing of them stored", count(), 5)

# Shown as long as there is no savepoint.
db.execute("BEGIN")
db.execute(INSERT, (20,))
raises("in a transaction", "23505", lambda: db.execute(INSERT, (1,)))
raises("transaction has failed", "25P02", lambda: db.execute("SELECT 1"))
db.execute("ROLLBACK")
equal("rolled back", count(), 5)


def pipeline():
    with db.pipeline():
        db.execute(INSERT, (30,))
        db.execute(INSERT, (1,))
        db.execute(INSERT, (31,))


raises("pipeline", "23505", pipeline)
equal("nothing of the pipeline stored", count(), 5)

with db.cursor().copy("COPY other FROM STDIN") as copy:
    for number in range(2, 10_000):
        copy.write_row((number,))
with db.cursor().copy("COPY (SELECT id FROM other ORDER BY id) TO STDOUT") as copy:
    rows = [int(row[0]) for row in copy.rows()]
equal("copy", rows, list(range(1, 10_000)))

db.execute("LISTEN ears")
db.execute("NOTIFY ears, 'hello'")
equal("notify", next(db.notifies(timeout=30)).payload, "hello")

db.execute("INSERT INTO events VALUES (40, %s)", (BIG,))
equal("big value", db.execute("SELECT kind FROM events WHERE id = 40").fetchone()[0], BIG)
cursor = db.execute("INSERT INTO events VALUES (40, %s)", (BIG,))
equal("big duplicate", cursor.rowcount, 0)

with psycopg.connect(autocommit=True) as watcher:

    def cancel():
        wait_until("asleep", lambda: watcher.execute(ASLEEP).fetchone()[0] == 1)
        db.cancel_safe(timeout=30)

    thread = threading.Thread(target=cancel)
    thread.start()
    raises("cancel", "57014", lambda: db.execute("SELECT pg_sleep(60)"))
    thread.join()
equal("alive", db.execute("SELECT 1").fetchone()[0], 1)
