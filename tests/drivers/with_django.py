"""Django: what create, save, bulk_create and get_or_create make of a duplicate, in autocommit and
in atomic blocks. It reads each new row's key from RETURNING, which returning = "existing" answers
with the key of the row that is there.

The argument names the driver: psycopg (with parameters in the text, and with bound ones) or
psycopg2. The tables: see tests/it/drivers/orms.rs.
"""

import os
import sys

DRIVER = sys.argv[1]
# Django takes psycopg where it can be imported, else psycopg2.
if DRIVER == "psycopg2":
    sys.modules["psycopg"] = None

import django
from django.conf import settings
from django.db import IntegrityError, connections, models, transaction

from checks import equal, ok, raises, stored


def database(**options):
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ["PGHOST"],
        "PORT": os.environ["PGPORT"],
        "USER": os.environ["PGUSER"],
        "NAME": os.environ["PGDATABASE"],
        "OPTIONS": options,
    }


DATABASES = {"default": database()}
if DRIVER == "psycopg":
    DATABASES["bound"] = database(server_side_binding=True)
settings.configure(DATABASES=DATABASES)
django.setup()

from django_models import Country, Customer, Numbered


class Invoice(models.Model):
    """Of its keys no rule speaks."""

    id = models.AutoField(primary_key=True)
    number = models.TextField(unique=True)
    customer = models.ForeignKey(Customer, models.PROTECT)

    class Meta:
        app_label = "shop"
        db_table = "invoices"


def customers():
    return dict(stored("SELECT email, name FROM customers"))


def key(email):
    return stored(f"SELECT id FROM customers WHERE email = '{email}'")[0][0]


def create(db):
    first = Customer.objects.using(db).create(email="a", name="first")
    again = Customer.objects.using(db).create(email="a", name="second")
    equal("create: the existing key", (again.pk, again.pk), (first.pk, key("a")))
    equal("create: the first row stays", customers(), {"a": "first"})
    equal("create: the object has what it was given", again.name, "second")
    again.refresh_from_db()
    equal("create: until it is read", again.name, "first")

    new = Customer(email="a", name="third")
    new.save(using=db)
    equal("save: the existing key", new.pk, first.pk)
    equal("save: the first row stays", customers(), {"a": "first"})
    new.name = "changed"
    new.save()
    equal("save: now it is an UPDATE", customers(), {"a": "changed"})
    new.delete()
    equal("delete", customers(), {})


def natural_key(db):
    Country.objects.using(db).create(code="de", name="first")
    again = Country.objects.using(db).create(code="de", name="second")
    Country(code="de", name="third").save(using=db, force_insert=True)
    equal("natural key", again.pk, "de")
    made = [Country(code=code, name="bulk") for code in ("at", "de", "ch", "at")]
    Country.objects.using(db).bulk_create(made)
    rows = stored("SELECT code, name FROM countries ORDER BY code")
    equal("natural key, stored", rows, [("at", "bulk"), ("ch", "bulk"), ("de", "first")])


def bulk_create(db):
    Customer.objects.using(db).create(email="a", name="first")
    Customer.objects.using(db).create(email="b", name="first")
    made = [Customer(email=email, name="bulk") for email in ("c", "b", "d", "a", "e")]
    Customer.objects.using(db).bulk_create(made)
    equal("bulk_create: keys", [one.pk for one in made], [key(one.email) for one in made])
    names = {"a": "first", "b": "first", "c": "bulk", "d": "bulk", "e": "bulk"}
    equal("bulk_create: stored", customers(), names)
    made = [Customer(email=f"{number}@", name="many") for number in range(300)]
    made[7].email, made[250].email = "e", "d"
    Customer.objects.using(db).bulk_create(made, batch_size=100)
    equal("bulk_create, batches", [one.pk for one in made], [key(one.email) for one in made])
    # The ON CONFLICT of its own: no keys come back then, by Django's design.
    made = [Customer(email=email, name="own") for email in ("a", "g")]
    Customer.objects.using(db).bulk_create(made, ignore_conflicts=True)
    equal("bulk_create, ignore_conflicts: keys", [one.pk for one in made], [None, None])
    equal("bulk_create, ignore_conflicts", [customers()[email] for email in "ag"], ["first", "own"])
    options = {"update_conflicts": True, "unique_fields": ["email"], "update_fields": ["name"]}
    Customer.objects.using(db).bulk_create(made[:1], **options)
    equal("bulk_create, update_conflicts", (made[0].pk, customers()["a"]), (key("a"), "own"))
    # Two rows of one statement with one key: no ON CONFLICT can give one row for each.
    twice = [Customer(email="f", name="bulk"), Customer(email="f", name="bulk")]
    raises(
        "bulk_create: a key twice",
        "23505",
        lambda: Customer.objects.using(db).bulk_create(twice),
        IntegrityError,
    )
    equal("bulk_create: nothing of it", len(customers()), 6 + 298)


def get_or_create(db):
    manager = Customer.objects.using(db)
    first, created = manager.get_or_create(email="a", defaults={"name": "first"})
    equal("get_or_create: created", (first.pk, created), (key("a"), True))
    again, created = manager.get_or_create(email="a", defaults={"name": "second"})
    equal("get_or_create: got", (again.pk, again.name, created), (first.pk, "first", False))
    # What it looks for is not there, and the key is: as when another has just inserted it.
    raced, created = manager.get_or_create(email="a", name="raced")
    equal("get_or_create: raced", (raced.pk, raced.name, created), (first.pk, "raced", True))
    raced, created = manager.update_or_create(email="a", name="raced", defaults={"name": "x"})
    equal("update_or_create: raced", (raced.pk, created), (first.pk, True))
    equal("get_or_create: stored", customers(), {"a": "first"})


def own_key(db):
    """Nothing is asked back, so the object keeps a key that no row has."""
    first = Customer.objects.using(db).create(email="a", name="first")
    again = Numbered.objects.using(db).create(pk=-1, email="a", name="second")
    rows = stored("SELECT id, email FROM customers")
    equal("own key: of no row", (again.pk, rows), (-1, [(first.pk, "a")]))
    # An UPDATE that finds no row, and so an INSERT once more: nothing is said.
    again.name = "changed"
    again.save()
    equal("own key: saved again", (again.pk, customers()), (-1, {"a": "first"}))
    raises(
        "own key: no foreign key",
        "23503",
        lambda: Invoice.objects.using(db).create(number="1", customer_id=again.pk),
        IntegrityError,
    )


def unlisted(db):
    customer = Customer.objects.using(db).create(email="a", name="first")
    Invoice.objects.using(db).create(number="1", customer=customer)
    raises(
        "unlisted",
        "23505",
        lambda: Invoice.objects.using(db).create(number="1", customer=customer),
        IntegrityError,
    )
    # The key of the table, in an INSERT that names it.
    raises(
        "unlisted key",
        "23505",
        lambda: Customer.objects.using(db).create(pk=customer.pk, email="b", name="second"),
        IntegrityError,
    )
    equal("unlisted: stored", stored("SELECT number FROM invoices"), [("1",)])


def atomic(db):
    with transaction.atomic(using=db):
        Customer.objects.using(db).create(email="a", name="first")
        again = Customer.objects.using(db).create(email="a", name="second")
        Invoice.objects.using(db).create(number="1", customer=again)
        made = [Customer(email=email, name="bulk") for email in ("b", "a", "c")]
        Customer.objects.using(db).bulk_create(made)
        equal("atomic: key in bulk_create", made[1].pk, again.pk)
        Country.objects.using(db).create(code="de", name="first")
        Country.objects.using(db).create(code="de", name="second")
        with transaction.atomic(using=db):
            inner = Customer.objects.using(db).create(email="c", name="nested")
            equal("nested: key", inner.pk, made[2].pk)
            inner, created = Customer.objects.using(db).get_or_create(email="c", name="raced")
            equal("nested: get_or_create", (inner.pk, created), (made[2].pk, True))
        equal("atomic: nothing yet", customers(), {})
    equal("atomic: keys", [one.pk for one in made], [key(one.email) for one in made])
    equal("atomic: stored", customers(), {"a": "first", "b": "bulk", "c": "bulk"})
    joined = "SELECT number, email FROM invoices JOIN customers ON customer_id = customers.id"
    equal("atomic: the key in a foreign key", stored(joined), [("1", "a")])
    equal("atomic: natural key", stored("SELECT code, name FROM countries"), [("de", "first")])


def rolled_back(db):
    customer = Customer.objects.using(db).create(email="a", name="first")

    def fails(number):
        with transaction.atomic(using=db):
            Customer.objects.using(db).create(email=f"in {number}", name="inner")
            Customer.objects.using(db).create(email="a", name="inner")
            Invoice.objects.using(db).create(number="1", customer=customer)
            Invoice.objects.using(db).create(number="1", customer=customer)

    with transaction.atomic(using=db):
        Customer.objects.using(db).create(email="b", name="outer")
        raises("nested: unlisted", "23505", lambda: fails(1), IntegrityError)
        again = Customer.objects.using(db).create(email="a", name="outer")
        equal("behind it: key", again.pk, customer.pk)
    equal("behind it: stored", customers(), {"a": "first", "b": "outer"})
    raises("atomic: unlisted", "23505", lambda: fails(2), IntegrityError)
    equal("atomic: all undone", customers(), {"a": "first", "b": "outer"})
    equal("atomic: no invoice", stored("SELECT count(*) FROM invoices"), [(0,)])


PARTS = (create, natural_key, bulk_create, get_or_create, own_key, unlisted, atomic, rolled_back)
for db in DATABASES:
    for part in PARTS:
        stored("TRUNCATE customers, countries, invoices")
        part(db)
    connections[db].close()
    ok(f"{DRIVER}, {db}")
