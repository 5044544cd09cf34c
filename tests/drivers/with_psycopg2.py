"""psycopg2: simple queries only; a transaction is opened for it unless autocommit is on."""

import io
import select

import psycopg2
import psycopg2.extras

import dbapi
from checks import driver, equal, raises, wait_until


class Psycopg2(dbapi.Driver):
    Error = psycopg2.Error

    def connect(self, user=None):
        db = psycopg2.connect("", **({"user": user, "password": "secret"} if user else {}))
        db.autocommit = True
        return db

    def prepared(self, db, id, kind="x"):
        """It prepares nothing by itself; PREPARE is for its users to write, and EXECUTE is shown."""
        return self.insert(db, id, kind)

    def batch(self, db, table, ids):
        with db.cursor() as cursor:
            rows = [(id, "x") for id in ids]
            psycopg2.extras.execute_batch(cursor, self.sql(table), rows)

    def copy_in(self, db, sql, text):
        db.cursor().copy_expert(sql, io.StringIO(text))

    def copy_out(self, db, sql):
        copied = io.StringIO()
        db.cursor().copy_expert(sql, copied)
        return copied.getvalue()

    def rows(self, db, sql):
        with db.cursor("named") as named:
            named.itersize = 10
            named.execute(sql)
            for row in named:
                yield row[0]

    def heard(self, db):
        self.execute(db, "LISTEN ears")
        other = self.connect()
        self.execute(other, "NOTIFY ears, 'hello'")
        other.close()
        comes = lambda: select.select([db], [], [], 1)[0] and not db.poll() and db.notifies
        wait_until("LISTEN", comes)
        return db.notifies[0].payload

    def cancel(self, db):
        db.cancel()


major, minor = divmod(psycopg2.extensions.libpq_version(), 10_000)
driver(f"{psycopg2.__version__.split()[0]}, libpq {major}.{minor}")
dbapi.run(Psycopg2())

INSERT = "INSERT INTO events VALUES (%s, 'x')"

db = psycopg2.connect("")
db.autocommit = True
cursor = db.cursor()
cursor.execute("TRUNCATE events, loads, other")


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
