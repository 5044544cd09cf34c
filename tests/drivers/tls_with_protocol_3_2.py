"""libpq 18 in protocol 3.2: logs in over TLS as PGUSER, PGPORT and CA say, and cancels over TLS."""

import os
import threading

import psycopg
from psycopg import pq

from checks import wait_until

assert pq.version() >= 180000, pq.version()
options = dict(
    host="localhost",
    port=os.environ["PGPORT"],
    user=os.environ["PGUSER"],
    password="secret",
    dbname="postgres",
    sslmode="verify-full",
    sslrootcert=os.environ["CA"],
    channel_binding=os.environ["CHANNEL_BINDING"],
    max_protocol_version="3.2",
)
db = psycopg.connect(**options, autocommit=True)
assert db.pgconn.ssl_in_use
protocol = 30002 if db.info.server_version >= 180000 else 30000
assert db.pgconn.full_protocol_version == protocol, db.pgconn.full_protocol_version

with psycopg.connect(**options, autocommit=True) as watcher:
    ASLEEP = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND pid = %s"
    pid = db.info.backend_pid

    def cancel():
        wait_until("asleep", lambda: watcher.execute(ASLEEP, (pid,)).fetchone()[0] == 1)
        db.cancel_safe(timeout=30)

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        db.execute("SELECT pg_sleep(60)")
        raise AssertionError("not cancelled")
    except psycopg.errors.QueryCanceled:
        pass
    thread.join()
assert db.execute("SELECT 1").fetchone() == (1,)
print("ok")
