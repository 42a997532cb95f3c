"""That no two remote accesses have one port is seen to for all tenants together, by tenants.Port."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0004_members_of_workloads")]

    operations = [
        migrations.AlterField(
            model_name="remoteaccess",
            name="local_port",
            field=models.PositiveIntegerField(
                editable=False,
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(1024),
                    django.core.validators.MaxValueValidator(65535),
                ],
            ),
        ),
    ]
