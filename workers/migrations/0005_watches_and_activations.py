"""The machines whose power is looked at, and how projects' machines get their AMT activated."""

from django.db import migrations, models

import tenants.secrets
from tenants.rls import rows_belong_to_their_schema

ID = models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


class Migration(migrations.Migration):
    dependencies = [("workers", "0004_tenants_in_turn")]

    operations = [
        migrations.CreateModel(
            name="Watch",
            fields=[
                ("id", ID),
                ("schema", models.CharField(max_length=63)),
                ("target", models.BigIntegerField()),
                ("due_at", models.DateTimeField()),
                ("failures", models.PositiveIntegerField()),
                ("seen", models.TextField()),
            ],
            options={
                "verbose_name_plural": "watches",
                "indexes": [models.Index(fields=["due_at"], name="watches_that_may_be_due")],
                "constraints": [models.UniqueConstraint(fields=("schema", "target"), name="one_watch_a_host")],
            },
        ),
        rows_belong_to_their_schema("workers_watch"),
        migrations.CreateModel(
            name="Activation",
            fields=[
                ("id", ID.clone()),
                ("schema", models.CharField(max_length=63, unique=True)),
                ("tenant", models.UUIDField()),
                ("password_sealed", tenants.secrets.SealedField()),
                ("is_made", models.BooleanField(default=False)),
            ],
            options={"verbose_name_plural": "activations"},
        ),
        rows_belong_to_their_schema("workers_activation"),
    ]
