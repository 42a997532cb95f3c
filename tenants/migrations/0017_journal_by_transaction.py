"""The journal can be read from a transaction on."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0016_bulk_imports")]

    operations = [
        migrations.AddIndex(
            model_name="event", index=models.Index(fields=["xid"], name="event_by_transaction")
        ),
    ]
