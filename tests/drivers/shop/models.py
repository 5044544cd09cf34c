"""What the application's migrations come to."""

from django.db import models


class Customer(models.Model):
    email = models.TextField(unique=True)
    name = models.TextField(unique=True)
    tags = models.ManyToManyField("Tag")


class Tag(models.Model):
    text = models.SlugField(unique=True)
