"""Logs in over TLS, with the name in the certificate verified, as PGUSER, PGPORT and CA say."""

import os

import psycopg2

db = psycopg2.connect(
    host="localhost",
    port=os.environ["PGPORT"],
    user=os.environ["PGUSER"],
    password="secret",
    dbname="postgres",
    sslmode="verify-full",
    sslrootcert=os.environ["CA"],
    channel_binding=os.environ["CHANNEL_BINDING"],
)
assert db.info.ssl_in_use
with db.cursor() as cursor:
    cursor.execute("SELECT 1")
db.close()
print("ok")
