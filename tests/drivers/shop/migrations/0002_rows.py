from django.db import migrations


def rows(apps, editor):
    tag = apps.get_model("shop", "Tag").objects.create(text="new")
    customers = apps.get_model("shop", "Customer").objects
    made = [customers.model(email=email, name="same") for email in "abc"]
    for customer in customers.bulk_create(made):
        customer.tags.add(tag)


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_tables")]
    operations = [migrations.RunPython(rows, migrations.RunPython.noop)]
