"""A port of the proxy is for one remote access, of whichever tenant."""

from django.db import migrations, models

from tenants.rls import rows_belong_to_their_schema


class Migration(migrations.Migration):
    dependencies = [("tenants", "0010_tokens_that_can_be_called_back")]

    operations = [
        migrations.CreateModel(
            name="Port",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("schema", models.CharField(max_length=63)),
                ("resource_id", models.CharField(max_length=24)),
                ("number", models.PositiveIntegerField(unique=True)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("schema", "resource_id"), name="one_port_an_access")],
            },
        ),
        rows_belong_to_their_schema("tenants_port"),
    ]
