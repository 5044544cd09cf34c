"""Django's migrations: what they make of rules that list every key. The script runs through the proxy
and past it, and prints what came of each step; tests/it/drivers/migrations.rs compares.

The argument says which steps: `tables`, or `rows` behind it.
"""

import os
import sys

import django
import psycopg2
from django.conf import settings
from django.core.cache import cache
from django.core.management import call_command
from django.db import IntegrityError, connection

AT = {key: os.environ[f"PG{key.upper()}"] for key in ("host", "port", "user", "database")}
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            **{key.replace("database", "name").upper(): value for key, value in AT.items()},
        }
    },
    INSTALLED_APPS=[
        *[f"django.contrib.{name}" for name in ("contenttypes", "auth", "sessions")],
        "shop",
    ],
    CACHES={
        "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cached"}
    },
    SECRET_KEY="of no use",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

from django.contrib.sessions.backends.db import SessionStore

from catalog import said, show


def migrate(*to):
    try:
        call_command("migrate", *to, verbosity=0)
    except IntegrityError as error:
        return error.__cause__.sqlstate
    return "done"


def sql(text):
    with connection.cursor() as cursor:
        cursor.execute(text)


def applied():
    show("applied", "SELECT app, name FROM django_migrations ORDER BY app, name")


def tables():
    said("migrate", migrate("shop", "0002") + " " + migrate("auth") + " " + migrate("sessions"))
    applied()
    show("content types", "SELECT app_label, model FROM django_content_type ORDER BY 1, 2")
    show("permissions", "SELECT codename FROM auth_permission ORDER BY 1")
    show("rows", "SELECT id, email, name FROM shop_customer ORDER BY 1")
    said("again", migrate("shop", "0002"))
    call_command("createcachetable", verbosity=0)
    show("schema", "catalog")


def rows():
    said("a migration with a duplicate", migrate("shop", "0003"))
    show("the last applied", "SELECT max(name) FROM django_migrations WHERE app = 'shop'")
    show("its rows", "SELECT email, name FROM shop_customer ORDER BY 1")
    # As it has to be without the proxy.
    migrate("shop", "0003", "--fake")
    said("a key over duplicates", migrate("shop", "0004"))
    applied()
    sql("UPDATE shop_customer SET name = email")
    said("without them", migrate())
    applied()
    show("schema", "catalog")
    relies_on_the_error()
    said("back to nothing", migrate("shop", "zero"))
    show("tables", "SELECT relname FROM pg_class WHERE relname LIKE 'shop%'")


def another_is_first(execute, text, *more):
    """Inserts what is about to be inserted, on a connection of its own."""
    if text.startswith("INSERT"):
        other = psycopg2.connect(**AT)
        with other, other.cursor() as cursor:
            cursor.execute("INSERT INTO cached VALUES (':1:lock', 'x', '2100-01-01')")
        other.close()
    return execute(text, *more)


def relies_on_the_error():
    """What takes the error for an answer."""
    with connection.execute_wrapper(another_is_first):
        said("cache.add where another was first", cache.add("lock", "x"))
    first = SessionStore()
    first.create()
    keys = iter([first.session_key, "another key"])
    second = SessionStore()
    second._get_new_session_key = lambda: next(keys)
    second.create()
    same = second.session_key == first.session_key
    said("a session's key that is taken", "taken again" if same else "another one")


{"tables": tables, "rows": rows}[sys.argv[1]]()
