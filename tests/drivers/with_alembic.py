"""Alembic: upgrades and downgrades where rules list every key. The script runs through the proxy and
past it, and prints what came of each step; tests/it/drivers/migrations.rs compares.

The arguments: which steps, `tables` or `rows` behind it, and the driver, psycopg or psycopg2.
"""

import os
import sys

from alembic import command
from alembic.config import Config
from sqlalchemy.exc import IntegrityError

from catalog import said, show
from checks import sqlstate_of

server = "{PGUSER}@{PGHOST}:{PGPORT}/{PGDATABASE}".format(**os.environ)
os.environ["ALEMBIC_URL"] = f"postgresql+{sys.argv[2]}://{server}"
config = Config()
migrations = os.path.join(os.path.dirname(__file__), "alembic_shop")
config.set_main_option("script_location", migrations)


def went(step, to):
    try:
        step(config, to)
    except IntegrityError as error:
        return sqlstate_of(error.orig)
    return "done"


def now(what):
    show(f"version {what}", "SELECT version_num FROM alembic_version")
    show(f"rows {what}", "SELECT email, name FROM customers ORDER BY 1")


def tables():
    said("upgrade", went(command.upgrade, "1"))
    now("at first")
    said("again", went(command.upgrade, "1"))


def rows():
    said("rows that are there", went(command.upgrade, "2"))
    now("behind it")
    # As it has to be without the proxy.
    command.stamp(config, "2")
    said("a key over duplicates", went(command.upgrade, "head"))
    show("schema", "catalog")
    said("downgrade", went(command.downgrade, "1"))
    now("at last")
    said("to nothing", went(command.downgrade, "base"))
    show("all", "catalog")


{"tables": tables, "rows": rows}[sys.argv[1]]()
