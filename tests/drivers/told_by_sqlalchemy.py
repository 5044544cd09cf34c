"""SQLAlchemy: what it makes of duplicates, see told.py. Each is a session of its own, as a request
has."""

import os

import sqlalchemy
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from sqlalchemy_models import Country, Customer
from told import DATABASES, tell


class Orm:
    def __init__(self, database):
        server = "{PGUSER}@{PGHOST}:{PGPORT}".format(**os.environ)
        self.engine = create_engine(f"postgresql+psycopg://{server}/{database}")

    def added(self, *objects):
        with Session(self.engine, expire_on_commit=False) as session:
            session.add_all(objects)
            session.commit()
        return list(objects)

    def one(self, **values):
        return self.added(Customer(**values))[0]

    def several(self, rows):
        return self.added(*[Customer(**row) for row in rows])

    def update(self, customer):
        customer.name = "changed"
        self.added(customer)

    own = one

    def natural(self, **values):
        return self.added(Country(**values))


print(f"orm {sqlalchemy.__version__}")
for database in DATABASES:
    orm = Orm(database)
    tell(database, orm)
    orm.engine.dispose()
