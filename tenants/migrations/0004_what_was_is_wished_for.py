"""States of projects become wishes and facts, memberships become grants."""

from django.db import migrations


def carry_over(apps, schema_editor):
    """What was READY is as it was wished for; what was CREATING or DELETING still has to be made so."""
    for model, prefix in (("Organization", "org"), ("Project", "project")):
        for row in apps.get_model("tenants", model).objects.all():
            state = getattr(row, "state", "READY")
            row.resource_id = f"{prefix}-{row.uuid.hex[:8]}"
            row.desired_state = "TENANT_STATE_DELETED" if state == "DELETING" else "TENANT_STATE_CREATED"
            row.current_state = "TENANT_STATE_UNSPECIFIED" if state == "CREATING" else "TENANT_STATE_CREATED"
            row.save()
    grants = apps.get_model("tenants", "Grant").objects
    for held in apps.get_model("tenants", "Membership").objects.all():
        grants.create(user_id=held.user_id, project_id=held.project_id, role=held.role)


class Migration(migrations.Migration):
    dependencies = [("tenants", "0003_wishes_and_grants")]

    operations = [migrations.RunPython(carry_over, migrations.RunPython.noop)]
