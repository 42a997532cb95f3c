"""A column of secrets is called so, for whoever looks at the table."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("provisioning", "0005_inputs_of_actions_are_sealed")]

    operations = [migrations.RenameField("bootkey", "private_key", "private_key_sealed")]
