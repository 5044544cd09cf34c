"""psycopg2: simple queries only; a transaction is opened for it unless autocommit is on."""

import io
import select
import threading

import psycopg2
import psycopg2.extras

from checks import ASLEEP, BIG, equal, ok, raises, wait_until

INSERT = "INSERT INTO events VALUES (%s, 'x')"

db = psycopg2.connect("")
db.autocommit = True
cursor = db.cursor()
ok("connect")


def one(sql):
    cursor.execute(sql)
    return cursor.fetchone()[0]


cursor.execute(INSERT, (1,))
equal("insert", (cursor.statusmessage, cursor.rowcount), ("INSERT 0 1", 1))
cursor.execute(INSERT, (1,))
equal("duplicate", (cursor.statusmessage, cursor.rowcount), ("INSERT 0 0", 0))

cursor.execute("INSERT INTO other VALUES (1)")
raises("unlisted duplicate", "23505", lambda: cursor.execute("INSERT INTO other VALUES (1)"))
raises("returning", "23505", lambda: cursor.execute(INSERT + " RETURNING id", (1,)))
raises(
    "several rows",
    "23505",
    lambda: psycopg2.extras.execute_values(
        cursor, "INSERT INTO events VALUES %s", [(2, "x"), (1, "x")]
    ),
)
raises(
    "several statements",
    "23505",
    lambda: psycopg2.extras.execute_batch(cursor, INSERT, [(2,), (1,), (3,)]),
)
equal("nothing of them stored", one("SELECT count(*) FROM events"), 1)

# One statement each, each its own transaction.
cursor.executemany(INSERT, [(2,), (1,), (3,)])
equal("executemany", one("SELECT count(*) FROM events"), 3)

# Shown as long as there is no savepoint. BEGIN and the first statement are two queries here.
db.autocommit = False
raises("in a transaction", "23505", lambda: cursor.execute(INSERT, (1,)))
raises("transaction has failed", "25P02", lambda: cursor.execute("SELECT 1"))
db.rollback()
cursor.execute(INSERT, (20,))
db.rollback()
equal("rolled back", one("SELECT count(*) FROM events"), 3)
db.rollback()
db.autocommit = True

lines = "".join(f"{number}\n" for number in range(2, 10_000))
cursor.copy_expert("COPY other FROM STDIN", io.StringIO(lines))
copied = io.StringIO()
cursor.copy_expert("COPY (SELECT id FROM other ORDER BY id) TO STDOUT", copied)
equal("copy", copied.getvalue(), "1\n" + lines)

cursor.execute("LISTEN ears")
with psycopg2.connect("") as other:
    other.cursor().execute("NOTIFY ears, 'hello'")
other.close()
wait_until("notified", lambda: select.select([db], [], [], 1)[0] and not db.poll() and db.notifies)
equal("notify", db.notifies[0].payload, "hello")

cursor.execute("INSERT INTO events VALUES (40, %s)", (BIG,))
equal("big value", one("SELECT kind FROM events WHERE id = 40"), BIG)

watcher = psycopg2.connect("")
watcher.autocommit = True


def asleep():
    with watcher.cursor() as look:
        look.execute(ASLEEP)
        return look.fetchone()[0] == 1


def cancel():
    wait_until("asleep", asleep)
    db.cancel()


thread = threading.Thread(target=cancel)
thread.start()
raises("cancel", "57014", lambda: cursor.execute("SELECT pg_sleep(60)"))
thread.join()
equal("alive", one("SELECT 1"), 1)
