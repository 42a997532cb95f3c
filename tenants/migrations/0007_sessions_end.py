"""Sessions and tokens of before a password change or a deactivation are no good."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0006_events_of_longer_ids")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="sessions_valid_from",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
