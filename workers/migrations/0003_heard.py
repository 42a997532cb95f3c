"""When hosts were last heard from, for the case that Redis loses it."""

from django.db import migrations, models

from tenants.rls import rows_belong_to_their_schema


class Migration(migrations.Migration):
    dependencies = [("workers", "0002_rows_belong_to_their_schema")]

    operations = [
        migrations.CreateModel(
            name="Heard",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("schema", models.CharField(max_length=63, unique=True)),
                ("at", models.DateTimeField(auto_now=True)),
                ("seen", models.JSONField(default=dict)),
            ],
        ),
        rows_belong_to_their_schema("workers_heard"),
    ]
