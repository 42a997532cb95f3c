"""What the actions of a run get moves out of them, sealed; of a run that has ended it goes."""

import json

from django.db import migrations

from tenants.secrets import seal

ON_THEIR_WAY = ("STATE_PENDING", "STATE_RUNNING")


def move(apps, schema_editor):
    runs = apps.get_model("provisioning", "Workflow").objects
    for run in runs.filter(inputs_sealed="").iterator(chunk_size=100):
        environments = [action.pop("environment", {}) for action in run.actions]
        if any(environments):
            if run.state in ON_THEIR_WAY:
                run.inputs_sealed = seal(json.dumps(environments))
                run.placed_at = run.created_at
            run.save(update_fields=["actions", "inputs_sealed", "placed_at"])


class Migration(migrations.Migration):
    dependencies = [("provisioning", "0004_workflow_engine")]

    operations = [migrations.RunPython(move, migrations.RunPython.noop)]
