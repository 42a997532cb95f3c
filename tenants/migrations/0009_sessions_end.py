"""Sessions and tokens of before a password change or a deactivation are no good."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0008_tenants_go_by_steps")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="sessions_valid_from",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
