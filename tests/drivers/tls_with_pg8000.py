"""Logs in over TLS, with the name in the certificate verified, as PGUSER, PGPORT and CA say. Whether
it binds the login to the channel is its own choice."""

import os
import ssl

import pg8000.dbapi

db = pg8000.dbapi.connect(
    os.environ["PGUSER"],
    host="localhost",
    port=int(os.environ["PGPORT"]),
    password="secret",
    database="postgres",
    ssl_context=ssl.create_default_context(cafile=os.environ["CA"]),
)
cursor = db.cursor()
cursor.execute("SELECT 1")
db.close()
print("ok")
