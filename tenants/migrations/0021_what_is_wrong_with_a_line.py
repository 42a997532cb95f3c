"""A row of a bulk file keeps what is wrong with its line apart from what is found when it is imported.

So a file that was tried can be imported for real, and is judged anew.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0020_authorities_that_nodes_trust"),
    ]

    operations = [
        migrations.AddField(
            model_name="bulkrow",
            name="faults",
            field=models.JSONField(db_default=[], default=list),
        ),
        migrations.RunSQL("UPDATE tenants_bulkrow SET faults = problems WHERE outcome = ''", migrations.RunSQL.noop),
    ]
