"""psqlodbc, by pyodbc: BEGIN and the first statement in one Query, as are the savepoints that it
sets around each statement (Protocol=7.4-2), and arrays of parameters in one Query of many INSERTs.

Protocol says what it does when a statement fails in a transaction: 0 nothing, 1 roll the
transaction back, 2 roll the statement back. It would do the same with a listed duplicate, so that
all three end with the same rows shows that it saw none.
"""

import glob
import os
import tempfile
import threading
from pathlib import Path

import pyodbc

import dbapi
from checks import ASLEEP, BIG, driver, equal, raises, wait_until

# Debian's place, and others'; tests/run looks there too.
DRIVER = (glob.glob("/usr/lib/*/odbc/psqlodbcw.so") + glob.glob("/usr/lib*/psqlodbcw.so"))[0]
INSERT = "INSERT INTO events VALUES (?, 'x')"


def connect(options="", autocommit=True):
    server = "Server={PGHOST};Port={PGPORT};UID={PGUSER};Database={PGDATABASE}"
    return pyodbc.connect(
        f"Driver={DRIVER};{server.format(**os.environ)};{options}", autocommit=autocommit
    )


def fresh(options):
    """A connection in autocommit, and in the table the keys 1 and 2."""
    db = connect(options)
    db.execute("TRUNCATE events, other")
    db.execute("INSERT INTO events VALUES (1, 'first'), (2, 'first')")
    return db


def insert(db, *ids):
    """How many rows each statement says that it stored."""
    cursor = db.cursor()
    return [cursor.execute(INSERT, id).rowcount for id in ids]


def plain(db, *ids):
    """The same, without parameters."""
    return [db.execute(f"INSERT INTO events VALUES ({id}, 'x')").rowcount for id in ids]


def stored(db):
    return [id for (id,) in db.execute("SELECT id FROM events ORDER BY id")]


def array(db, ids):
    cursor = db.cursor()
    cursor.fast_executemany = True
    cursor.executemany(INSERT, [(id,) for id in ids])


def autocommit(name, options):
    db = fresh(options)
    equal(f"{name}: insert or duplicate", insert(db, 1, 3, 3, 2, 4), [0, 1, 0, 0, 1])
    equal(f"{name}: without parameters", plain(db, 1, 5, 5), [0, 1, 0])
    several = db.execute("INSERT INTO events VALUES (6, 'x'), (1, 'x'), (7, 'x')").rowcount
    equal(f"{name}: several rows", several, 2)
    returned = [db.execute(INSERT + " RETURNING id", id).fetchall() for id in (1, 8)]
    equal(f"{name}: returning", [[tuple(row) for row in rows] for rows in returned], [[], [(8,)]])
    db.execute("INSERT INTO other VALUES (1)")
    raises(f"{name}: unlisted", "23505", lambda: db.execute("INSERT INTO other VALUES (1)"))
    equal(f"{name}: stored", stored(db), list(range(1, 9)))
    db.close()


def transactions(name, options):
    db = fresh(options)
    db.autocommit = False
    equal(f"{name}: first is a duplicate", insert(db, 1, 3, 2, 3, 4), [0, 1, 0, 0, 1])
    db.commit()
    equal(f"{name}: first without parameters", plain(db, 1, 5, 2, 5, 6), [0, 1, 0, 0, 1])
    db.commit()
    equal(f"{name}: first is none", insert(db, 7, 7), [1, 0])
    equal(f"{name}: mixed", plain(db, 7, 8) + insert(db, 8, 9) + plain(db, 9), [0, 1, 0, 1, 0])
    db.rollback()
    several = [
        db.execute(f"INSERT INTO events VALUES ({id}, 'x'), (1, 'x'), ({id}, 'x')").rowcount
        for id in (7, 7, 8)
    ]
    equal(f"{name}: several rows in a transaction", several, [1, 0, 1])
    returned = [db.execute(INSERT + " RETURNING id", id).fetchall() for id in (1, 9, 9)]
    equal(f"{name}: returning in a transaction", [len(rows) for rows in returned], [0, 1, 0])
    db.commit()
    equal(f"{name}: committed", stored(db), list(range(1, 10)))
    db.close()


def savepoints(name, options):
    db = fresh(options)
    db.autocommit = False
    db.execute("SAVEPOINT own")
    equal(f"{name}: in a savepoint", insert(db, 1, 3) + plain(db, 3, 4), [0, 1, 0, 1])
    db.execute("ROLLBACK TO own")
    equal(f"{name}: behind its rollback", plain(db, 2, 3) + insert(db, 3, 5), [0, 1, 0, 1])
    db.execute("RELEASE own")
    equal(f"{name}: behind its release", insert(db, 5, 6), [0, 1])
    db.commit()
    equal(f"{name}: stored around savepoints", stored(db), [1, 2, 3, 5, 6])
    db.close()


def arrays(name, options):
    """In a transaction; outside, many INSERTs in one Query are one transaction of their own."""
    db = fresh(options)
    db.autocommit = False
    array(db, [1, *range(3, 300), 2, 7, 300])
    db.commit()
    equal(f"{name}: array", stored(db), list(range(1, 301)))
    db.cursor().executemany(INSERT, [(id,) for id in (1, 301, 301, 302)])
    db.commit()
    equal(f"{name}: one by one", stored(db), list(range(1, 303)))
    db.autocommit = True
    if "Prepare=0" in options:
        raises(f"{name}: array in autocommit", "23505", lambda: array(db, [400, 1, 401]))
        equal(f"{name}: nothing of it stored", stored(db), list(range(1, 303)))
    else:
        # Prepared on the server, each row is an Execute with a Sync of its own.
        array(db, [303, 1, 304])
        equal(f"{name}: array in autocommit", stored(db), list(range(1, 305)))
    db.close()


def unlisted(name, options):
    """The driver's own way with errors, which must be what it is without us."""
    db = fresh(options)
    db.execute("INSERT INTO other VALUES (1)")
    db.autocommit = False
    insert(db, 1, 3)
    raises(f"{name}: unlisted", "23505", lambda: db.execute("INSERT INTO other VALUES (1)"))
    if "7.4-0" in options:
        raises(f"{name}: it has failed", "25P02", lambda: insert(db, 4))
        db.rollback()
        equal(f"{name}: all undone", stored(db), [1, 2])
    else:
        equal(f"{name}: it goes on", insert(db, 1, 4) + plain(db, 4, 5), [0, 1, 0, 1])
        db.commit()
        kept = [3] if "7.4-2" in options else []
        equal(f"{name}: the statement or all undone", stored(db), [1, 2, *kept, 4, 5])
    db.close()


def cursor():
    """A cursor of the server's, fetched ten rows at a time while duplicates come and go."""
    db = fresh("UseDeclareFetch=1;Fetch=10;Protocol=7.4-2")
    db.autocommit = False
    reader = db.execute("SELECT generate_series(1, 100)")
    read, counts = [], []
    while row := reader.fetchone():
        read.append(row[0])
        if row[0] % 15 == 0:
            counts += plain(db, 1, row[0]) + insert(db, row[0])
    equal("cursor beside duplicates", read, list(range(1, 101)))
    equal("duplicates beside it", counts, [0, 1, 0] * 6)
    db.commit()
    equal("rows stored beside it", stored(db), [1, 2, 15, 30, 45, 60, 75, 90])
    db.close()


def big():
    db = fresh("MaxLongVarcharSize=10000000;Protocol=7.4-2")
    for db.autocommit in (True, False):
        counts = [db.execute("INSERT INTO events VALUES (3, ?)", BIG).rowcount for _ in range(2)]
        equal("big insert or duplicate", counts, [1, 0] if db.autocommit else [0, 0])
    db.commit()
    (value,) = db.execute("SELECT kind FROM events WHERE id = 3").fetchone()
    equal("big value", value == BIG, True)
    db.close()


def cancel():
    db, watcher = fresh("Protocol=7.4-2"), connect()
    db.autocommit = False
    insert(db, 1, 3)
    sleeper = db.cursor()

    def cancel_it():
        wait_until("asleep", lambda: watcher.execute(ASLEEP).fetchone()[0] == 1)
        sleeper.cancel()

    thread = threading.Thread(target=cancel_it)
    thread.start()
    raises("cancel in a transaction", "57014", lambda: sleeper.execute("SELECT pg_sleep(60)"))
    thread.join()
    equal("alive", insert(db, 1, 3, 4), [0, 0, 1])
    db.commit()
    equal("stored around it", stored(db), [1, 2, 3, 4])
    watcher.close()
    db.close()


class Psqlodbc(dbapi.Driver):
    """With cursors of the server's, and nothing done by itself when a statement fails."""

    mark = "?"
    Error = pyodbc.Error
    cursors = {}
    OPTIONS = "Protocol=7.4-0;UseDeclareFetch=1;Fetch=10;MaxLongVarcharSize=10000000"

    def connect(self, user=None):
        login = f"UID={user};PWD=secret;" if user else ""
        return connect(login + self.OPTIONS)

    def execute(self, db, sql, *parameters):
        # A statement is cancelled by its cursor.
        cursor = self.cursors[id(db)] = db.cursor()
        return cursor.execute(sql, *parameters)

    def rows(self, db, sql):
        for row in db.execute(sql):
            yield row[0]

    def copy_in(self, db, sql, text):
        raise dbapi.Missing("ODBC has none")

    def heard(self, db):
        raise dbapi.Missing("ODBC has none")

    def cancel(self, db):
        self.cursors[id(db)].cancel()

    def recover(self, db):
        """Its cursor has opened a transaction, and this level leaves that as it is."""
        self.execute(db, "ROLLBACK")


# The driver always writes a log, into /tmp if its settings name no other place.
with tempfile.TemporaryDirectory() as scratch:
    Path(scratch, "odbcinst.ini").write_text(f"[PostgreSQL Unicode]\nLogdir = {scratch}\n")
    os.environ["ODBCSYSINI"] = scratch
    driver(f"{connect().getinfo(pyodbc.SQL_DRIVER_VER)}, pyodbc {pyodbc.version}")
    dbapi.run(Psqlodbc())
    for level in ("7.4-0", "7.4-1", "7.4-2"):
        for prepare in (0, 1):
            options = f"Protocol={level};UseServerSidePrepare={prepare}"
            for part in (autocommit, transactions, savepoints, arrays, unlisted):
                part(f"{level}, prepare {prepare}", options)
    cursor()
    big()
    cancel()
