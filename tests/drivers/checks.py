"""What the driver scripts share: saying what held, and failing on what did not.

The proxy's address comes from PGHOST, PGPORT, PGUSER and PGDATABASE, which every driver reads.
The test has made these tables, and listed events_pkey, and loads_pkey with strategy = "rewrite":

    events (id int PRIMARY KEY, kind text)
    loads  (id int PRIMARY KEY, kind text)
    other  (id int PRIMARY KEY)

The tables of the ORMs, and their rules: see tests/it/drivers/orms.rs.
"""

import os
import time

BIG = "v" * (5 * 1024 * 1024)

ASLEEP = """SELECT count(*) FROM pg_stat_activity
            WHERE wait_event = 'PgSleep' AND datname = current_database()"""


def ok(name):
    print(f"ok {name}", flush=True)


def equal(name, actual, expected):
    if actual != expected:
        raise SystemExit(f"not ok {name}: {actual!r}, expected {expected!r}")
    ok(name)


def stored(sql):
    """The rows that the server itself gives, past the proxy."""
    import psycopg2

    db = psycopg2.connect(host=os.environ["SERVER_HOST"], port=os.environ["SERVER_PORT"])
    with db, db.cursor() as cursor:
        cursor.execute(sql)
        rows = cursor.fetchall() if cursor.description else None
    db.close()
    return rows


def raises(name, sqlstate, call, kind=Exception):
    """The call fails with this SQLSTATE, whatever the driver calls it."""
    try:
        result = call()
    except kind as error:
        equal(name, sqlstate_of(error), sqlstate)
    else:
        raise SystemExit(f"not ok {name}: no error but {result!r}, expected {sqlstate}")


def sqlstate_of(error):
    # An ORM's error has the driver's as its cause.
    for name in ("sqlstate", "pgcode"):
        for source in (error, error.__cause__):
            if getattr(source, name, None):
                return getattr(source, name)
    # ODBC's way.
    return error.args[0] if error.args else repr(error)


def wait_until(name, holds):
    """Polls: the only thing to wait for is another session of the server."""
    deadline = time.monotonic() + 30
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"not ok {name}: not within 30 seconds")
        time.sleep(0.01)
