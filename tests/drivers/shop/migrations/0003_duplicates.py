from django.db import migrations


def duplicates(apps, editor):
    customers = apps.get_model("shop", "Customer").objects
    customers.create(email="a", name="again")
    customers.create(email="d", name="same")


class Migration(migrations.Migration):
    dependencies = [("shop", "0002_rows")]
    operations = [migrations.RunPython(duplicates, migrations.RunPython.noop)]
