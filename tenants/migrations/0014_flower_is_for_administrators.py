"""staff_only means administrators: the status that Django calls staff is given by nothing here."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0013_default_groups_of_older_projects")]

    operations = [
        migrations.AlterField(
            model_name="client",
            name="staff_only",
            field=models.BooleanField(default=False, help_text="only administrators sign in with it"),
        ),
    ]
