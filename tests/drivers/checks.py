"""What the driver scripts share: saying what held, and failing on what did not.

The proxy's address comes from PGHOST, PGPORT, PGUSER and PGDATABASE, which every driver reads. The
tables, and the list of what every driver does: see README.md. The tables of the ORMs, and their
rules: see tests/it/drivers/orms.rs.
"""

import os
import sys
import time

BIG = "v" * (5 * 1024 * 1024)

ASLEEP = """SELECT count(*) FROM pg_stat_activity
            WHERE wait_event = 'PgSleep' AND datname = current_database()"""

# The users, each with the way to log in that it is called after; the last is scram-sha-256.
USERS = ("trust", "password", "md5", "scram")

# Of the list: the keys of the batch, and of the one in autocommit.
BATCH = [1, *range(100, 300), 2, 100]
LOADS = [*range(1, 201), 5]


def driver(version):
    print(f"driver {version}", flush=True)


def ok(name):
    print(f"ok {name}", flush=True)


def missing(name, why):
    print(f"-- {name}: {why}", flush=True)


def logged_in(user):
    ok("login, scram-sha-256" if user == "scram" else f"login, {user}")


def same(name, actual, expected):
    if actual != expected:
        raise SystemExit(f"not ok {name}: {actual!r}, expected {expected!r}")


def equal(name, actual, expected):
    same(name, actual, expected)
    ok(name)


def restart():
    """Returns when the server has crashed and come back."""
    print("restart", flush=True)
    sys.stdin.readline()


def stored(sql):
    """The rows that the server itself gives, past the proxy."""
    import psycopg2

    db = psycopg2.connect(host=os.environ["SERVER_HOST"], port=os.environ["SERVER_PORT"])
    with db, db.cursor() as cursor:
        cursor.execute(sql)
        rows = cursor.fetchall() if cursor.description else None
    db.close()
    return rows


def fails(name, sqlstate, call, kind=Exception):
    """The call fails with this SQLSTATE, whatever the driver calls it; returns the error."""
    try:
        result = call()
    except kind as error:
        same(name, sqlstate_of(error), sqlstate)
        return error
    raise SystemExit(f"not ok {name}: no error but {result!r}, expected {sqlstate}")


def raises(name, sqlstate, call, kind=Exception):
    fails(name, sqlstate, call, kind)
    ok(name)


def sqlstate_of(error):
    # An ORM's error has the driver's as its cause.
    for name in ("sqlstate", "pgcode"):
        for source in (error, error.__cause__):
            if getattr(source, name, None):
                return getattr(source, name)
    # ODBC's way, and pg8000's.
    first = error.args[0] if error.args else repr(error)
    return first.get("C") if isinstance(first, dict) else first


def wait_until(name, holds):
    """Polls: the only thing to wait for is another session of the server."""
    deadline = time.monotonic() + 30
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"not ok {name}: not within 30 seconds")
        time.sleep(0.01)
