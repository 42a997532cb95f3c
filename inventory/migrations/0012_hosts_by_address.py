"""Hosts are found by an IP address of theirs."""

from django.db import migrations

from inventory.addresses import BARE


class Migration(migrations.Migration):
    dependencies = [("inventory", "0011_credentials_of_providers_are_sealed")]

    operations = [
        migrations.RunSQL(
            f"CREATE INDEX IF NOT EXISTS inventory_host_addresses ON inventory_host USING gin ({BARE.format('')})",
            "DROP INDEX inventory_host_addresses",
        )
    ]
