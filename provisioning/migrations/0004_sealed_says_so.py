"""A column of secrets is called so, for whoever looks at the table."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("provisioning", "0003_boot_keys_held_and_mirrored")]

    operations = [migrations.RenameField("bootkey", "private_key", "private_key_sealed")]
