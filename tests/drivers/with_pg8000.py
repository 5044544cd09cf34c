"""pg8000: its own implementation of the protocol, all in Python; a Sync behind every statement."""

import io
import os

import pg8000.dbapi

import dbapi
from checks import driver, equal, raises

INSERT = "INSERT INTO events VALUES (%s, 'x')"


class Pg8000(dbapi.Driver):
    Error = pg8000.dbapi.Error

    def connect(self, user=None):
        db = pg8000.dbapi.connect(
            user or os.environ["PGUSER"],
            host=os.environ["PGHOST"],
            port=int(os.environ["PGPORT"]),
            database=os.environ["PGDATABASE"],
            password="secret" if user else None,
        )
        db.autocommit = True
        return db

    def copy_in(self, db, sql, text):
        db.cursor().execute(sql, stream=io.StringIO(text))

    def copy_out(self, db, sql):
        copied = io.BytesIO()
        db.cursor().execute(sql, stream=copied)
        return copied.getvalue().decode()

    def rows(self, db, sql):
        """It has no cursors but those of SQL."""
        self.execute(db, f"DECLARE reader CURSOR FOR {sql}")
        while rows := self.fetch(db, "FETCH 10 FROM reader"):
            yield from rows

    def heard(self, db):
        self.execute(db, "LISTEN ears")
        self.execute(db, "NOTIFY ears, 'hello'")
        self.execute(db, "SELECT 1")
        return db.notifications[0][2]


driver(pg8000.__version__)
dbapi.run(Pg8000())

db = Pg8000().connect()
cursor = db.cursor()
cursor.execute("TRUNCATE events, loads, other")
cursor.executemany(INSERT, [(1,), (1,), (2,)])
equal("executemany counts what was stored", cursor.rowcount, 2)
# Several statements in one query are one transaction, whose other statements are undone.
script = "INSERT INTO events VALUES (3, 'x'); INSERT INTO events VALUES (1, 'x')"
raises("several statements", "23505", lambda: cursor.execute(script), pg8000.dbapi.Error)
db.autocommit = False
cursor.execute("SAVEPOINT own")
cursor.executemany(INSERT, [(1,), (3,), (3,)])
cursor.execute("ROLLBACK TO own")
cursor.executemany(INSERT, [(1,), (3,), (4,), (4,)])
cursor.execute("RELEASE own")
db.commit()
cursor.execute("SELECT string_agg(id::text, ' ' ORDER BY id) FROM events")
equal("savepoints", cursor.fetchone()[0], "1 2 3 4")
db.rollback()
