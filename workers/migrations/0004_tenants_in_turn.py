"""Work is claimed tenant by tenant: an index that leads from one to the next."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("workers", "0003_heard")]

    operations = [
        migrations.AddIndex(
            model_name="work",
            index=models.Index(
                condition=models.Q(("refused", "")), fields=["queue", "schema", "due_at"], name="work_by_turns"
            ),
        ),
    ]
