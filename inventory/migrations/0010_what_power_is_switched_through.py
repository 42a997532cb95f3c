"""What a host's power is switched through, what its machine was told last, and a place for providers' secrets."""

import django.db.models.deletion
from django.db import migrations, models

import inventory.models.base
import tenants.secrets

STATES = [
    ("POWER_STATE_UNSPECIFIED", "Unspecified"),
    ("POWER_STATE_ON", "On"),
    ("POWER_STATE_OFF", "Off"),
    ("POWER_STATE_SLEEP", "Sleep"),
    ("POWER_STATE_HIBERNATE", "Hibernate"),
    ("POWER_STATE_RESET", "Reset"),
    ("POWER_STATE_POWER_CYCLE", "Power Cycle"),
    ("POWER_STATE_RESET_REPEAT", "Reset Repeat"),
]
VENDORS = [
    ("PROVIDER_VENDOR_UNSPECIFIED", "Unspecified"),
    ("PROVIDER_VENDOR_LENOVO_LXCA", "Lenovo Lxca"),
    ("PROVIDER_VENDOR_LENOVO_LOCA", "Lenovo Loca"),
    ("PROVIDER_VENDOR_REDFISH", "Redfish"),
]


class Migration(migrations.Migration):
    dependencies = [("inventory", "0009_systems_follow_profiles")]

    operations = [
        migrations.AddField(
            "host",
            "power_command",
            models.CharField(
                choices=STATES,
                db_default="POWER_STATE_UNSPECIFIED",
                default="POWER_STATE_UNSPECIFIED",
                editable=False,
                max_length=40,
            ),
        ),
        migrations.AddField(
            "host",
            "power_commanded_at",
            inventory.models.base.EpochField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            "host",
            "power_provider",
            models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="powered_hosts",
                to="inventory.provider",
                to_field="resource_id",
            ),
        ),
        migrations.AddField(
            "provider",
            "credentials_sealed",
            tenants.secrets.SealedField(blank=True, db_default="", default="", editable=False),
        ),
        migrations.AlterField(
            "provider",
            "provider_vendor",
            models.CharField(choices=VENDORS, default="PROVIDER_VENDOR_UNSPECIFIED", max_length=40),
        ),
    ]
