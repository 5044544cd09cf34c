"""What the scripts of migrations print of a database, at the server itself."""

import os

import psycopg2

CATALOG = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity::text
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated, contype::text
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT c.relname, indexrelid::regclass::text, pg_get_indexdef(indexrelid), indisvalid, ''
FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE relnamespace = 'public'::regnamespace
ORDER BY 1, 2, 3
"""


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
