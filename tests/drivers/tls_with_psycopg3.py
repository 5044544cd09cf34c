"""Logs in with each connection string in turn, and says whether that worked, and over TLS or not."""

import sys

import psycopg

for conninfo in sys.argv[1:]:
    try:
        with psycopg.connect(conninfo) as db:
            db.execute("SELECT 1")
            print("tls" if db.pgconn.ssl_in_use else "plain", "ok")
    except psycopg.OperationalError as error:
        print("failed", " ".join(str(error).split()))
