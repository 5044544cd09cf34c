"""libpq 18 in protocol 3.2, by psycopg: what it makes of the server's answer, and of a duplicate."""

import threading

import psycopg
from psycopg import pq

from checks import ASLEEP, equal, ok, raises, wait_until

assert pq.version() >= 180000, pq.version()
db = psycopg.connect("max_protocol_version=3.2", autocommit=True)
ok("connect")
# A server that does not have it says that it speaks 3.0.
protocol = 30002 if db.info.server_version >= 180000 else 30000
equal("protocol", db.pgconn.full_protocol_version, protocol)
for count in (1, 0):
    cursor = db.execute("INSERT INTO events VALUES (1, 'x')")
    equal("insert or duplicate", cursor.rowcount, count)
with db.transaction():
    for count in (1, 0):
        cursor = db.execute("INSERT INTO events VALUES (%s, 'x')", (2,))
        equal("insert or duplicate in a transaction", cursor.rowcount, count)

with psycopg.connect(autocommit=True) as watcher:

    def cancel():
        wait_until("asleep", lambda: watcher.execute(ASLEEP).fetchone()[0] == 1)
        db.cancel_safe(timeout=30)

    thread = threading.Thread(target=cancel)
    thread.start()
    raises("cancel", "57014", lambda: db.execute("SELECT pg_sleep(60)"))
    thread.join()
equal("alive", db.execute("SELECT 1").fetchone()[0], 1)
