"""The models of Django that the scripts share; Django has to be set up before."""

from django.db import models


class Customer(models.Model):
    id = models.AutoField(primary_key=True)
    email = models.TextField(unique=True)
    name = models.TextField()

    class Meta:
        app_label = "shop"
        db_table = "customers"


class Country(models.Model):
    code = models.TextField(primary_key=True)
    name = models.TextField()

    class Meta:
        app_label = "shop"
        db_table = "countries"


class Numbered(models.Model):
    """The table of the customers, where the application makes the key, as it does with a UUID."""

    id = models.IntegerField(primary_key=True)
    email = models.TextField(unique=True)
    name = models.TextField()

    class Meta:
        app_label = "shop"
        db_table = "customers"
