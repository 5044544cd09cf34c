"""Django: what it makes of duplicates, see told.py."""

import os

import django
from django.conf import settings

from told import DATABASES, tell

settings.configure(
    DATABASES={
        **{
            name: {
                "ENGINE": "django.db.backends.postgresql",
                "HOST": os.environ["PGHOST"],
                "PORT": os.environ["PGPORT"],
                "USER": os.environ["PGUSER"],
                "NAME": name,
            }
            for name in DATABASES
        },
        "default": {},
    }
)
django.setup()

from django_models import Country, Customer, Numbered


class Orm:
    def __init__(self, database):
        self.customers = Customer.objects.using(database)
        self.one = self.customers.create
        self.own = Numbered.objects.using(database).create
        self.natural = Country.objects.using(database).create

    def update(self, customer):
        customer.name = "changed"
        customer.save()

    def several(self, rows):
        return self.customers.bulk_create([Customer(**row) for row in rows])


print(f"orm {django.__version__}")
for database in DATABASES:
    tell(database, Orm(database))
