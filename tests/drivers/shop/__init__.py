"""A small application of Django, for with_django_migrations.py."""
