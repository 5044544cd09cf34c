"""What the scripts of migrations print of a database, at the server itself."""

import os

import psycopg2

CATALOG = open(os.path.join(os.path.dirname(__file__), "catalog.sql")).read()


def stored(sql):
    at = {"host": os.environ["SERVER_HOST"], "port": os.environ["SERVER_PORT"]}
    db = psycopg2.connect(dbname=os.environ["PGDATABASE"], user=os.environ["PGUSER"], **at)
    with db, db.cursor() as cursor:
        cursor.execute(sql)
        rows = cursor.fetchall()
    db.close()
    return rows


def said(what, text):
    print(f"{what}: {text}", flush=True)


def show(what, sql):
    """The rows of a query, or the whole catalog, as one line."""
    rows = stored(CATALOG if sql == "catalog" else sql)
    said(what, "; ".join(" ".join(map(str, row)) for row in rows))
