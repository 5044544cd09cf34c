from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(
            "Tag",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("text", models.SlugField(unique=True)),
            ],
        ),
        migrations.CreateModel(
            "Customer",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("email", models.TextField(unique=True)),
                ("name", models.TextField()),
                ("tags", models.ManyToManyField(to="shop.Tag")),
            ],
        ),
    ]
