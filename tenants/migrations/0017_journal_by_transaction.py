"""The journal can be read from a transaction on."""

from django.db import migrations, models


class Migration(migrations.Migration):
<<<<<<<< HEAD:tenants/migrations/0016_journal_by_transaction.py
    dependencies = [("tenants", "0015_enrolments")]
========
    dependencies = [("tenants", "0016_bulk_imports")]
>>>>>>>> main:tenants/migrations/0017_journal_by_transaction.py

    operations = [
        migrations.AddIndex(
            model_name="event", index=models.Index(fields=["xid"], name="event_by_transaction")
        ),
    ]
