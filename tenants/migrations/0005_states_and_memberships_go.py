"""What the wishes and the grants of 0003 stand for is not needed any more."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0004_what_was_is_wished_for")]

    operations = [
        migrations.AlterModelOptions(
            name="organization",
            options={"ordering": ["resource_id"]},
        ),
        migrations.AlterModelOptions(
            name="project",
            options={"ordering": ["resource_id"]},
        ),
        migrations.RemoveField(
            model_name="project",
            name="state",
        ),
        migrations.AlterField(
            model_name="organization",
            name="resource_id",
            field=models.CharField(editable=False, max_length=24, unique=True),
        ),
        migrations.AlterField(
            model_name="project",
            name="resource_id",
            field=models.CharField(editable=False, max_length=24, unique=True),
        ),
        migrations.DeleteModel(
            name="Membership",
        ),
    ]
