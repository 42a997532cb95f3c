"""Hosts and instances with an error, and instances that run, are counted by indexes."""

from django.db import migrations, models
from django.db.models import Q

ERROR = "STATUS_INDICATION_ERROR"


def any_error(*statuses: str) -> Q:
    return Q(**{f"{status}_status_indicator": ERROR for status in statuses}, _connector=Q.OR)


class Migration(migrations.Migration):
    dependencies = [("inventory", "0012_hosts_by_address")]

    operations = [
        migrations.AddIndex(
            "host",
            models.Index(
                fields=["id"], name="inventory_host_failed",
                condition=any_error("host", "onboarding", "registration", "power", "amt"),
            ),
        ),
        migrations.AddIndex(
            "instance",
            models.Index(
                fields=["host"], name="inventory_instance_running",
                condition=Q(current_state="INSTANCE_STATE_RUNNING"),
            ),
        ),
        migrations.AddIndex(
            "instance",
            models.Index(
                fields=["host"], name="inventory_instance_failed",
                condition=any_error("instance", "provisioning", "update", "trusted_attestation"),
            ),
        ),
    ]  # fmt: skip
