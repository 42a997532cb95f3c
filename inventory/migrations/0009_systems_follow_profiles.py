"""Operating systems that follow an OS profile are told from those that people entered, and withdrawn ones are marked."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0008_how_a_uuid_was_written")]

    operations = [
        migrations.AddField(
            model_name="operatingsystem",
            name="from_profile",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.AddField(
            model_name="operatingsystem",
            name="retracted",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
    ]
