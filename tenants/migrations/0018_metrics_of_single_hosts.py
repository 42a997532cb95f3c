"""A project may have series of each single host told to Prometheus."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0017_journal_by_transaction"),
    ]

    operations = [
        migrations.AddField(
            model_name="project",
            name="host_metrics",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
