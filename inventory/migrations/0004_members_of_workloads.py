"""Filters call an instance's membership workloadMembers, as they always have. No column changes."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0003_signs_in_messages")]

    operations = [
        migrations.AlterField(
            model_name="workloadmember",
            name="instance",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="workload_members",
                to="inventory.instance",
                to_field="resource_id",
            ),
        ),
    ]
