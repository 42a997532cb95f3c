"""The catalogue of OS profiles, and which tenants follow it as it is."""

from django.db import migrations, models

from tenants.rls import rows_belong_to_their_schema


def key():
    return models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


class Migration(migrations.Migration):
    dependencies = [("workers", "0005_watches_and_activations")]

    operations = [
        migrations.CreateModel(
            name="OsProfile",
            fields=[
                ("id", key()),
                ("origin", models.CharField(max_length=500, unique=True)),
                ("columns", models.JSONField(default=dict)),
                ("problem", models.TextField(blank=True)),
                ("retracted", models.BooleanField(default=False)),
                ("seen_at", models.DateTimeField()),
            ],
            options={"verbose_name": "OS profile"},
        ),
        migrations.CreateModel(
            name="OsCatalogue",
            fields=[
                ("id", key()),
                ("digest", models.CharField(max_length=64)),
                ("made_at", models.DateTimeField(auto_now=True)),
            ],
        ),
        migrations.CreateModel(
            name="Follows",
            fields=[
                ("id", key()),
                ("schema", models.CharField(max_length=63, unique=True)),
                ("digest", models.CharField(max_length=64)),
            ],
        ),
        rows_belong_to_their_schema("workers_follows"),
    ]
