"""SQLAlchemy 2: what a flush and an insert() make of a duplicate, in transactions, in savepoints
and in autocommit, with psycopg, psycopg2 and asyncpg.

Several objects in one flush are one INSERT ... SELECT ... ORDER BY sen_counter RETURNING id, id.
SQLAlchemy sorts what comes back by the key, and takes the rows to be in the order of the objects:
so they are only while every key is new, and the error is shown. The engine with use_insertmanyvalues=False sends one
INSERT for each object. The tables: see tests/it/drivers/orms.rs.
"""

import asyncio
import os
import warnings

from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    Text,
    create_engine,
    func,
    insert,
    select,
)
from sqlalchemy.exc import IntegrityError, SAWarning
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.util import greenlet_spawn

from checks import equal, ok, raises, stored
from sqlalchemy_models import Base, Country, Customer


class Region(Base):
    """Its rule has no returning = "existing", and counts each row as inserted."""

    __tablename__ = "regions"
    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]


class Numbered(Base):
    """The table of the customers, where the application makes the key, as it does with a UUID."""

    __table__ = Table(
        "customers",
        MetaData(),
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("email", Text),
        Column("name", Text),
    )


class Invoice(Base):
    """Of its keys no rule speaks."""

    __tablename__ = "invoices"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str]
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    customer: Mapped[Customer] = relationship()


def engine(driver, **options):
    server = "{PGUSER}@{PGHOST}:{PGPORT}/{PGDATABASE}".format(**os.environ)
    url = f"postgresql+{driver}://{server}"
    if driver == "asyncpg":
        return create_async_engine(url, **options).sync_engine
    return create_engine(url, **options)


def customers():
    return dict(stored("SELECT email, name FROM customers"))


def keys(*emails):
    there = dict(stored("SELECT email, id FROM customers"))
    return [there[email] for email in emails]


def one_by_one(db):
    with Session(db) as session:
        first = Customer(email="a", name="first")
        session.add(first)
        session.commit()
        key = first.id
        again = Customer(email="a", name="second")
        session.expunge_all()
        session.add(again)
        session.flush()
        equal("add: the existing key", [again.id, again.id], [key, *keys("a")])
        equal("add: what it was given", again.name, "second")
        session.add(Invoice(number="1", customer=again))
        session.add(Country(code="de", name="first"))
        session.flush()
        session.expunge_all()
        session.add(Country(code="de", name="second"))
        session.commit()
    equal("add: the first row stays", customers(), {"a": "first"})
    joined = "SELECT number, email FROM invoices JOIN customers ON customer_id = customers.id"
    equal("add: the key in a foreign key", stored(joined), [("1", "a")])
    equal("natural key", stored("SELECT code, name FROM countries"), [("de", "first")])
    with Session(db) as session:
        again = Customer(email="a", name="third")
        session.add(again)
        session.commit()
        equal("commit: read from the row", (again.id, again.name), (key, "first"))
        again.name = "changed"
        session.commit()
    equal("commit: now it is an UPDATE", customers(), {"a": "changed"})


def identity(db):
    """A session has one object of each row: the later one takes the place of the first."""
    with Session(db) as session, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", SAWarning)
        first = Customer(email="a", name="first")
        session.add(first)
        session.flush()
        again = Customer(email="a", name="second")
        session.add(again)
        session.flush()
        equal("one object of a row", (first in session, again in session), (False, True))
        equal("and a warning", [one.category for one in warned], [SAWarning])
        session.commit()
        equal("it is read from the row", (again.id, again.name), (*keys("a"), "first"))


def several_natural_keys(db):
    with Session(db) as session:
        session.add_all([Country(code=code, name="first") for code in ("at", "de")])
        session.commit()
        session.expunge_all()
        session.add_all([Country(code=code, name="second") for code in ("ch", "de", "fr", "at")])
        session.commit()
    rows = stored("SELECT code, name FROM countries ORDER BY code")
    expected = [("at", "first"), ("ch", "second"), ("de", "first"), ("fr", "second")]
    equal("natural keys, several in a flush", rows, expected)


def three_and_five(db, flush):
    """Three rows that are there, and five objects in one flush, two of them duplicates."""
    with Session(db) as session:
        session.execute(insert(Customer), [{"email": email, "name": "first"} for email in "abc"])
        session.commit()
        made = [Customer(email=email, name="flush") for email in "dbeaf"]
        session.add_all(made)
        flush(session)
        session.commit()
        return [one.id for one in made]


def several(db):
    got = three_and_five(db, Session.flush)
    names = {**dict.fromkeys("abc", "first"), **dict.fromkeys("def", "flush")}
    equal("several in a flush: stored", customers(), names)
    return got


def several_in_a_flush(db):
    def shown(session):
        raises("several in a flush", "23505", session.flush, IntegrityError)
        session.rollback()

    three_and_five(db, shown)
    equal("several in a flush: stored", customers(), dict.fromkeys("abc", "first"))


def several_of_one_row_each(db):
    equal("one INSERT each: keys", several(db), keys(*"dbeaf"))


def core(db):
    rows = [{"email": email, "name": "core"} for email in "dbeaf"]
    with db.begin() as connection:
        for email in "ab":
            connection.execute(insert(Customer).values(email=email, name="first"))
        one = insert(Customer).values(email="a", name="core")
        key = connection.scalar(select(Customer.id).where(Customer.email == "a"))
        equal("insert: the key", connection.execute(one).inserted_primary_key[0], key)
        equal("insert: the row", connection.execute(one.returning(Customer.name)).scalar(), "first")
        several = insert(Customer).returning(Customer.email, Customer.name)
        returned = connection.execute(several, rows)
        names = [("d", "core"), ("b", "first"), ("e", "core"), ("a", "first"), ("f", "core")]
        equal("insert: rows in their order", [tuple(row) for row in returned], names)
        # Without RETURNING nobody asks for the rows that are there.
        connection.execute(insert(Customer), rows + [{"email": "g", "name": "core"}])
    equal("insert: stored", sorted(customers()), [*"abdefg"])


def own_key(db):
    """Nothing is asked back: the object keeps a key that no row has, and the next flush says so."""
    with Session(db) as session:
        session.add(Customer(email="a", name="first"))
        session.commit()
        session.add(one := Numbered(id=-1, email="a", name="second"))
        session.flush()
        equal("own key: of no row", (one.id, -1 in keys("a")), (-1, False))
        one.name = "changed"
        matched = "UPDATE statement on table 'customers' expected to update 1 row(s); 0 were matched."
        raises("own key: its UPDATE", matched, session.flush, StaleDataError)
        session.rollback()


def bulk(db):
    """insertmanyvalues: pages of 1000 rows, each a statement of its own, with RETURNING."""
    rows = [{"email": f"{number % 1200}@", "name": f"{number}"} for number in range(1300)]
    with Session(db) as session:
        session.execute(insert(Customer), rows[500:520])
        made = session.scalars(insert(Customer).returning(Customer), rows).all()
        # The row that was there has come back: these are one object.
        equal("bulk: one object of a row", made[1200] is made[0], True)
        session.commit()
        emails = [row["email"] for row in rows]
        equal("bulk: an object for each row", [one.email for one in made], emails)
        equal("bulk: its key", [one.id for one in made], keys(*emails))
        ordered = insert(Customer).returning(Customer.id, sort_by_parameter_order=True)
        in_order = lambda: session.execute(ordered, rows)
        raises("bulk: in the order of keys", "23505", in_order, IntegrityError)
    rows = [{"code": code, "name": "bulk"} for code in ("at", "de", "ch")]
    with db.begin() as connection:
        connection.execute(insert(Region), rows[1:2])
        got = connection.scalars(insert(Region).returning(Region.code), rows).all()
        equal("bulk: returning nothing of what is there", got, ["at", "ch"])
        again = insert(Region).values(rows[0]).execution_options(preserve_rowcount=True)
        equal("bulk: the count, as the rule has it", connection.execute(again).rowcount, 1)


def autocommit(db):
    with db.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        one = insert(Customer).values(email="a", name="first")
        key = connection.execute(one).inserted_primary_key[0]
        equal("autocommit: key", connection.execute(one).inserted_primary_key[0], key)
        equal("autocommit: stored", keys("a"), [key])
        connection.execute(insert(Country).values(code="de", name="first"))
        again = insert(Country).values(code="de", name="second")
        result = connection.execute(again.execution_options(preserve_rowcount=True))
        equal("autocommit: natural key, count", result.rowcount, 0)
        invoice = insert(Invoice).values(number="1", customer_id=key)
        connection.execute(invoice)
        raises("autocommit: unlisted", "23505", lambda: connection.execute(invoice), IntegrityError)
        equal("autocommit: alive", connection.execute(one).inserted_primary_key[0], key)


def savepoints(db):
    def add(session, *objects):
        session.add_all(objects)
        session.flush()

    with Session(db) as session:
        add(session, first := Customer(email="a", name="first"))
        add(session, Invoice(number="1", customer=first))
        with session.begin_nested():
            add(session, Customer(email="b", name="kept"))
            add(session, again := Customer(email="b", name="again"))
        nested = session.begin_nested()
        add(session, Customer(email="c", name="undone"))
        add(session, Customer(email="b", name="undone"))
        invoice = Invoice(number="1", customer_id=first.id)
        raises("begin_nested: unlisted", "23505", lambda: add(session, invoice), IntegrityError)
        nested.rollback()
        add(session, behind := Customer(email="b", name="behind"))
        equal("begin_nested: nothing yet", customers(), {})
        got = [again.id, behind.id]
        session.commit()
    equal("begin_nested: keys", got, keys("b", "b"))
    equal("begin_nested: stored", customers(), {"a": "first", "b": "kept"})


def unlisted(db):
    with Session(db) as session:
        session.add(customer := Customer(email="a", name="first"))
        session.flush()
        session.add(Invoice(number="1", customer=customer))
        session.commit()
        session.add(Customer(email="b", name="undone"))
        session.add(Invoice(number="1", customer=customer))
        raises("unlisted", "23505", session.commit, IntegrityError)
        session.rollback()
        session.add(Customer(id=customer.id, email="c", name="undone"))
        raises("unlisted key", "23505", session.commit, IntegrityError)
        session.rollback()
        equal("unlisted: alive", session.scalar(select(func.count(Customer.id))), 1)
    equal("unlisted: stored", customers(), {"a": "first"})


PARTS = (
    one_by_one,
    identity,
    several_natural_keys,
    core,
    own_key,
    bulk,
    autocommit,
    savepoints,
    unlisted,
)


def with_driver(driver):
    many = engine(driver), (*PARTS, several_in_a_flush)
    single = engine(driver, use_insertmanyvalues=False), (several_of_one_row_each, one_by_one)
    for db, parts in (many, single):
        for part in parts:
            stored("TRUNCATE customers, countries, regions, invoices")
            part(db)
        db.dispose()
    ok(driver)


with_driver("psycopg")
with_driver("psycopg2")
# What AsyncSession does too: the same code, in a greenlet that waits for asyncio.
asyncio.run(greenlet_spawn(with_driver, "asyncpg"))
