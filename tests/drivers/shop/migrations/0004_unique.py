from django.db import migrations, models


class Migration(migrations.Migration):
    """Fails where two customers have one name."""

    dependencies = [("shop", "0003_duplicates")]
    operations = [
        migrations.AddField("Customer", "note", models.TextField(default="")),
        migrations.AlterField("Customer", "name", models.TextField(unique=True)),
        migrations.RemoveField("Customer", "note"),
    ]
