"""A machine has two secrets, one of them for its installed system; and operators say which machine may have some."""

from django.db import migrations, models

from tenants.rls import rows_belong_to_their_schema
from tenants.secrets import SealedField


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0014_flower_is_for_administrators"),
    ]

    operations = [
        migrations.AddField(
            model_name="edgecredential",
            name="installed_sealed",
            field=SealedField(db_default=""),
        ),
        migrations.CreateModel(
            name="Enrolment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("schema", models.CharField(max_length=63)),
                ("resource_id", models.CharField(max_length=24)),
                ("token_hash", models.CharField(blank=True, editable=False, max_length=64)),
                ("made_by", models.CharField(blank=True, max_length=150)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField()),
                ("used_at", models.DateTimeField(blank=True, null=True)),
                ("used_by", models.UUIDField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [models.Index(fields=["schema", "resource_id"], name="enrolment_by_host")],
            },
        ),
        rows_belong_to_their_schema("tenants_enrolment"),
    ]
