"""Organizations and projects of releases that made no groups for them get theirs; those that are there stay as they are."""

from django.db import migrations

IN_ORGANIZATION = ["project-read-role", "project-write-role", "project-delete-role"]
OF_AN_ORGANIZATION = {"Project-Manager-Group": IN_ORGANIZATION}
OF_A_PROJECT = {
    "Edge-Manager-Group": ["im-r"],
    "Edge-Operator-Group": ["im-r"],
    "Edge-Onboarding-Group": ["en-ob"],
    "Host-Manager-Group": ["im-rw"],
    "Edge-Node-M2M-Service-Account": ["en-agent-rw"],
}


def make(apps, schema_editor):
    Group, Grant = apps.get_model("auth", "Group"), apps.get_model("tenants", "Grant")
    there = {*Group.objects.values_list("name", flat=True)}
    missing = {}  # name: what it is about, and its roles
    for about, kinds in (("organization", OF_AN_ORGANIZATION), ("project", OF_A_PROJECT)):
        rows = apps.get_model("tenants", about).objects.exclude(desired_state="TENANT_STATE_DELETED")
        for row in rows.only("pk", "uuid"):
            named = {f"{row.uuid}_{kind}": ({about: row}, roles) for kind, roles in kinds.items()}
            missing |= {name: meant for name, meant in named.items() if name not in there}
    Group.objects.bulk_create((Group(name=name) for name in sorted(missing)), batch_size=1000)
    made = [group for group in Group.objects.all() if group.name in missing]
    grants = [
        Grant(group=group, role=role, **missing[group.name][0]) for group in made for role in missing[group.name][1]
    ]
    Grant.objects.bulk_create(grants, batch_size=1000)


class Migration(migrations.Migration):
    dependencies = [("tenants", "0012_trigrams"), ("auth", "0012_alter_user_first_name_max_length")]

    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
