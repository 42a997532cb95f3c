"""What is asked of runs that ended: which are too old, and whether the machine was installed again since."""

from django.db import migrations, models

ACTIVE = ["STATE_QUEUED", "STATE_PENDING", "STATE_RUNNING", "STATE_PAUSED"]


class Migration(migrations.Migration):
    dependencies = [("provisioning", "0006_sealed_says_so")]

    operations = [
        migrations.AddIndex(
            model_name="workflow",
            index=models.Index(
                condition=models.Q(("state__in", ACTIVE), _negated=True), fields=["finished_at"], name="runs_that_ended"
            ),
        ),
        migrations.AddIndex(
            model_name="workflow",
            index=models.Index(
                condition=models.Q(("state", "STATE_SUCCESS")), fields=["host_uuid", "-id"], name="installations"
            ),
        ),
    ]
