"""What the driver scripts share: saying what held, and failing on what did not.

The server's address comes from PGHOST, PGPORT, PGUSER and PGDATABASE, which every driver reads.
The test has made these tables, and listed events_pkey alone:

    events (id int PRIMARY KEY, kind text)
    other  (id int PRIMARY KEY)
"""

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


def raises(name, sqlstate, call):
    """The call fails with this SQLSTATE, whatever the driver calls it."""
    try:
        result = call()
    except Exception as error:
        equal(name, sqlstate_of(error), sqlstate)
    else:
        raise SystemExit(f"not ok {name}: no error but {result!r}, expected {sqlstate}")


def sqlstate_of(error):
    for name in ("sqlstate", "pgcode"):
        if getattr(error, name, None):
            return getattr(error, name)
    # ODBC's way.
    return error.args[0] if error.args else repr(error)


def wait_until(name, holds):
    """Polls: the only thing to wait for is another session of the server."""
    deadline = time.monotonic() + 30
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"not ok {name}: not within 30 seconds")
        time.sleep(0.01)
