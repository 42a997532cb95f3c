"""A host's UUID is shown as its client wrote it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0007_no_line_after_a_name")]

    operations = [
        migrations.AddField(
            model_name="host",
            name="uuid_as_given",
            field=models.CharField(blank=True, db_default="", editable=False, max_length=36),
        ),
    ]
