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
cursor.execute(INSERT + " RETURNING id", (1,))
equal("no row of a duplicate", cursor.fetchall(), [])
several = "INSERT INTO events VALUES %s"
psycopg2.extras.execute_values(cursor, several, [(2, "x"), (1, "x"), (3, "x")])
equal("several rows", cursor.rowcount, 2)
rows = psycopg2.extras.execute_values(
    cursor, several + " RETURNING id", [(4, "x"), (1, "x"), (5, "x")], fetch=True
)
equal("several rows, returning", rows, [(4,), (5,)])
# One query of several statements is one transaction, whose other statements are undone.
raises(
    "several statements",
    "23505",
    lambda: psycopg2.extras.execute_batch(cursor, INSERT, [(6,), (1,), (7,)]),
)
equal("nothing of them stored", one("SELECT count(*) FROM events"), 5)

# With strategy = "rewrite" its good rows are stored.
load = "INSERT INTO loads VALUES (%s, 'x')"
psycopg2.extras.execute_batch(cursor, load, [(6,), (6,), (7,)])
psycopg2.extras.execute_values(cursor, "INSERT INTO loads VALUES %s", [(7, "x"), (8, "x")])
equal("rewritten, several statements", one("SELECT count(*) FROM loads"), 3)

# One statement each, each its own transaction.
cursor.executemany(INSERT, [(6,), (1,), (7,)])
equal("executemany", one("SELECT count(*) FROM events"), 7)

# BEGIN is a query of its own, in the first statement's flight or before it.
db.autocommit = False
counts = []
for number in (1, 8, 2, 8, 9):
    cursor.execute(INSERT, (number,))
    counts.append(cursor.rowcount)
equal("in a transaction", counts, [0, 1, 0, 0, 1])
db.commit()
psycopg2.extras.execute_batch(cursor, INSERT, [(1,), (10,), (10,), (2,), (11,)], page_size=3)
equal("several statements in a transaction", one("SELECT count(*) FROM events"), 11)
rows = psycopg2.extras.execute_values(
    cursor, several + " RETURNING id", [(n, "x") for n in range(8, 15)], page_size=3, fetch=True
)
equal("several rows in a transaction", rows, [(12,), (13,), (14,)])
cursor.execute(INSERT + " RETURNING id", (1,))
equal("returning in a transaction", cursor.fetchall(), [])
db.commit()

cursor.execute("SAVEPOINT own")
cursor.executemany(INSERT, [(1,), (15,), (15,)])
cursor.execute("ROLLBACK TO own")
cursor.executemany(INSERT, [(1,), (15,)])
cursor.execute("RELEASE own")
cursor.executemany(INSERT, [(15,), (16,)])
db.commit()
equal("savepoints", one("SELECT count(*) FROM events"), 16)
db.commit()

# The server's cursor is fetched from on both sides of duplicates.
fetched = []
with db.cursor("named") as named:
    named.itersize = 10
    named.execute("SELECT generate_series(1, 100)")
    for (number,) in named:
        fetched.append(number)
        if number % 15 == 0:
            cursor.execute(INSERT, (1,))
            cursor.execute(INSERT + " RETURNING id", (2,))
equal("cursor beside duplicates", fetched, list(range(1, 101)))
db.rollback()

cursor.execute(INSERT, (20,))
cursor.execute(INSERT, (20,))
raises("unlisted", "23505", lambda: cursor.execute("INSERT INTO other VALUES (1)"))
raises("transaction has failed", "25P02", lambda: cursor.execute(INSERT, (1,)))
db.rollback()
equal("rolled back", one("SELECT count(*) FROM events"), 16)
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
