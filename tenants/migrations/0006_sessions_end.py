"""Sessions and tokens of before a password change or a deactivation are no good."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0005_states_and_memberships_go")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="sessions_valid_from",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
