"""psycopg 3: simple and extended queries, server-side prepared, client-side bound, pipelines."""

import psycopg

import dbapi
from checks import driver, equal, raises


class Psycopg3(dbapi.Driver):
    Error = psycopg.Error

    def connect(self, user=None):
        login = {"user": user, "password": "secret"} if user else {}
        return psycopg.connect(autocommit=True, **login)

    def prepared(self, db, id, kind="x"):
        return db.execute(self.sql(), (id, kind), prepare=True).rowcount

    def copy_in(self, db, sql, text):
        with db.cursor().copy(sql) as copy:
            copy.write(text)

    def copy_out(self, db, sql):
        with db.cursor().copy(sql) as copy:
            return b"".join(copy).decode()

    def rows(self, db, sql):
        with db.cursor("named") as named:
            named.itersize = 10
            for row in named.execute(sql):
                yield row[0]

    def heard(self, db):
        db.execute("LISTEN ears")
        db.execute("NOTIFY ears, 'hello'")
        return next(db.notifies(timeout=30)).payload

    def cancel(self, db):
        db.cancel_safe(timeout=30)


driver(f"{psycopg.__version__}, libpq {psycopg.pq.version_pretty(psycopg.pq.version())}")
dbapi.run(Psycopg3())

INSERT = "INSERT INTO events VALUES (%s, 'x')"

db = psycopg.connect(autocommit=True)
db.execute("TRUNCATE events, loads, other")


def count(table="events"):
    return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


cursor = db.execute("INSERT INTO events VALUES (1, 'x')")
equal("simple query", cursor.statusmessage, "INSERT 0 1")
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
cursor = db.execute("INSERT INTO events VALUES (6, 'x'), (%s, 'x'), (7, 'x')", (1,))
equal("several rows", cursor.rowcount, 2)
equal("returning", db.execute(INSERT + " RETURNING id", (8,)).fetchall(), [(8,)])
equal("no row of a duplicate", db.execute(INSERT + " RETURNING id", (8,)).fetchall(), [])

# A pipeline outside BEGIN is one transaction, whose other statements are undone.
raises("executemany", "23505", lambda: db.cursor().executemany(INSERT, [(11,), (1,), (12,)]))


def pipeline(*numbers):
    with db.pipeline():
        cursors = [db.execute(INSERT, (number,)) for number in numbers]
    return [cursor.rowcount for cursor in cursors]


raises("pipeline", "23505", lambda: pipeline(30, 1, 31))
equal("nothing of them stored", count(), 8)

with db.transaction():
    counts = [db.execute(INSERT, (number,)).rowcount for number in (1, 9, 9, 2, 10)]
    equal("in a transaction", counts, [0, 1, 0, 0, 1])
    cursor = db.execute("INSERT INTO events VALUES (10, 'x'), (%s, 'x'), (1, 'x')", (11,))
    equal("several rows in a transaction", cursor.rowcount, 1)
    rows = [db.execute(INSERT + " RETURNING id", (number,)).fetchall() for number in (1, 12, 12)]
    equal("returning in a transaction", rows, [[], [(12,)], []])
with db.transaction():
    counts = [db.execute(INSERT, (n,), prepare=True).rowcount for n in (3, 13, 13)]
    equal("prepared in a transaction", counts, [0, 1, 0])
    equal("pipeline in a transaction", pipeline(1, 14, 14, 2, 15), [0, 1, 0, 0, 1])
    cursor = db.cursor()
    cursor.executemany(INSERT, [(number,) for number in range(1, 301)])
    equal("executemany in a transaction", cursor.rowcount, 285)
    cursor.executemany(INSERT + " RETURNING id", [(1,), (301,), (301,), (302,)], returning=True)
    rows = [result.fetchall() for result in cursor.results()]
    equal("executemany, returning", rows, [[], [(301,)], [], [(302,)]])
equal("all of them stored", count(), 302)

# BEGIN, the savepoints and COMMIT travel in the pipeline too.
with db.pipeline():
    with db.transaction():
        cursors = [db.execute(INSERT, (number,)) for number in (1, 303, 303)]
        with db.transaction():
            cursors += [db.execute(INSERT, (number,)) for number in (303, 304)]
        with db.transaction() as undone:
            cursors += [db.execute(INSERT, (number,)) for number in (304, 305)]
            raise psycopg.Rollback(undone)
        cursors += [db.execute(INSERT, (number,)) for number in (2, 305)]
counts = [cursor.rowcount for cursor in cursors]
equal("transaction in a pipeline", counts, [0, 1, 0, 0, 1, 0, 1, 0, 1])
equal("and stored", count(), 305)

with db.transaction():
    with db.transaction():
        counts = [db.execute(INSERT, (number,)).rowcount for number in (1, 306)]
    with db.transaction() as undone:
        counts += [db.execute(INSERT, (number,)).rowcount for number in (306, 307)]
        raise psycopg.Rollback(undone)
    counts += [db.execute(INSERT, (number,)).rowcount for number in (306, 307)]
equal("savepoints", counts, [0, 1, 0, 1, 0, 1])
equal("stored around savepoints", count(), 307)

# The server's cursor is fetched from on both sides of duplicates.
fetched = []
with db.transaction(), db.cursor("named") as named:
    named.itersize = 10
    for (number,) in named.execute("SELECT generate_series(1, 100)"):
        fetched.append(number)
        if number % 15 == 0:
            db.execute(INSERT, (1,))
            db.execute(INSERT + " RETURNING id", (2,))
equal("cursor beside duplicates", fetched, list(range(1, 101)))

db.execute("BEGIN")
db.execute(INSERT, (400,))
db.execute(INSERT, (400,))
raises("unlisted in a transaction", "23505", lambda: db.execute("INSERT INTO other VALUES (1)"))
raises("transaction has failed", "25P02", lambda: db.execute(INSERT, (1,)))
db.execute("ROLLBACK")
equal("rolled back", count(), 307)
db.execute("DELETE FROM events WHERE id > 5")

# With strategy = "rewrite" a pipeline outside BEGIN keeps its good rows.
LOAD = "INSERT INTO loads VALUES (%s, 'x')"
db.execute("INSERT INTO loads VALUES (1, 'old')")
cursor = db.cursor()
cursor.executemany(LOAD, [(number,) for number in (1, *range(1, 1000), 5)])
equal("rewritten executemany", (cursor.rowcount, count("loads")), (998, 999))
cursor.executemany(LOAD + " RETURNING id", [(1,), (1000,), (1000,)], returning=True)
rows = [result.fetchall() for result in cursor.results()]
equal("rewritten executemany, returning", rows, [[], [(1000,)], []])
with db.pipeline():
    cursors = [db.execute(LOAD, (number,)) for number in (1, 1001, 1001, 2, 1002)]
equal("rewritten pipeline", [cursor.rowcount for cursor in cursors], [0, 1, 0, 0, 1])
cursor = db.execute("INSERT INTO loads VALUES (1, 'x'); INSERT INTO loads VALUES (1003, 'x')")
counts = [cursor.rowcount, cursor.nextset() and cursor.rowcount]
equal("rewritten, several in a text", counts, [0, 1])
for expected in (1, 0):
    cursor = db.execute(LOAD, (1004,), prepare=True)
    equal("rewritten and prepared", cursor.rowcount, expected)
db.execute("SET search_path = pg_catalog, public")
equal("rewritten behind SET", db.execute(LOAD, (1004,), prepare=True).rowcount, 0)
with db.transaction():
    cursor.executemany(LOAD, [(number,) for number in range(1000, 1011)])
    equal("rewritten in a transaction", cursor.rowcount, 6)
equal("rewritten: stored", count("loads"), 1010)
equal("rewritten: the old row", db.execute("SELECT kind FROM loads WHERE id = 1").fetchone(), ("old",))

# Cursors of the server's with the driver's raw queries, and ones that outlive their transaction.
with db.transaction():
    with psycopg.RawServerCursor(db, "raw") as raw:
        raw.execute("SELECT generate_series(1, $1)", (100,), binary=True)
        read = [number for (number,) in raw.fetchmany(10)]
        counts = [db.execute(INSERT, (number,)).rowcount for number in (1, 500, 500)]
        read += [number for (number,) in raw]
equal("raw server cursor", (read, counts), (list(range(1, 101)), [0, 1, 0]))
with psycopg.ServerCursor(db, "held", scrollable=True, withhold=True) as held:
    with db.transaction():
        held.execute("SELECT generate_series(1, 100)")
        counts = [db.execute(INSERT, (number,)).rowcount for number in (1, 501, 501)]
        read = [number for (number,) in held.fetchmany(10)]
    counts += [db.execute(INSERT, (number,)).rowcount for number in (1, 502, 502)]
    held.scroll(-5)
    read += [number for (number,) in held.fetchmany(10)]
equal("held server cursor", (read, counts), ([*range(1, 11), *range(6, 16)], [0, 1, 0] * 2))
# A client-side cursor sends several statements as one query.
with db.transaction(), psycopg.ClientCursor(db) as client:
    client.execute(INSERT + ";" + INSERT + ";" + INSERT, (1, 503, 503))
    counts = [result.rowcount for result in client.results()]
equal("client-bound, several statements", counts, [0, 1, 0])
with psycopg.ClientCursor(db) as client:
    client.executemany(LOAD, [(2000,), (1,), (2001,)])
    equal("client-bound executemany", client.rowcount, 2)
