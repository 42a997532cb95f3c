"""Organizations and projects get an id, a wish and a status, as all resources have; roles are granted."""

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import tenants.resource


class Migration(migrations.Migration):
    dependencies = [("auth", "0012_alter_user_first_name_max_length"), ("tenants", "0002_rows_belong_to_their_schema")]

    operations = [
        migrations.AddField(
            model_name="organization",
            name="current_state",
            field=models.CharField(
                choices=[
                    ("TENANT_STATE_UNSPECIFIED", "Unspecified"),
                    ("TENANT_STATE_CREATED", "Created"),
                    ("TENANT_STATE_DELETED", "Deleted"),
                ],
                default="TENANT_STATE_UNSPECIFIED",
                editable=False,
                max_length=40,
            ),
        ),
        migrations.AddField(
            model_name="organization",
            name="desired_state",
            field=models.CharField(
                choices=[
                    ("TENANT_STATE_UNSPECIFIED", "Unspecified"),
                    ("TENANT_STATE_CREATED", "Created"),
                    ("TENANT_STATE_DELETED", "Deleted"),
                ],
                default="TENANT_STATE_UNSPECIFIED",
                editable=False,
                max_length=40,
            ),
        ),
        migrations.AddField(
            model_name="organization",
            name="resource_id",
            field=models.CharField(default="", editable=False, max_length=24),
        ),
        migrations.AddField(
            model_name="organization",
            name="status",
            field=models.CharField(default="", editable=False, max_length=1024),
        ),
        migrations.AddField(
            model_name="organization",
            name="status_indicator",
            field=models.CharField(
                choices=[
                    ("STATUS_INDICATION_UNSPECIFIED", "Unspecified"),
                    ("STATUS_INDICATION_ERROR", "Error"),
                    ("STATUS_INDICATION_IN_PROGRESS", "In Progress"),
                    ("STATUS_INDICATION_IDLE", "Idle"),
                ],
                default="STATUS_INDICATION_UNSPECIFIED",
                editable=False,
                max_length=32,
            ),
        ),
        migrations.AddField(
            model_name="organization",
            name="status_timestamp",
            field=tenants.resource.EpochField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name="organization",
            name="updated_at",
            field=models.DateTimeField(auto_now=True),
        ),
        migrations.AddField(
            model_name="project",
            name="current_state",
            field=models.CharField(
                choices=[
                    ("TENANT_STATE_UNSPECIFIED", "Unspecified"),
                    ("TENANT_STATE_CREATED", "Created"),
                    ("TENANT_STATE_DELETED", "Deleted"),
                ],
                default="TENANT_STATE_UNSPECIFIED",
                editable=False,
                max_length=40,
            ),
        ),
        migrations.AddField(
            model_name="project",
            name="desired_state",
            field=models.CharField(
                choices=[
                    ("TENANT_STATE_UNSPECIFIED", "Unspecified"),
                    ("TENANT_STATE_CREATED", "Created"),
                    ("TENANT_STATE_DELETED", "Deleted"),
                ],
                default="TENANT_STATE_UNSPECIFIED",
                editable=False,
                max_length=40,
            ),
        ),
        migrations.AddField(
            model_name="project",
            name="resource_id",
            field=models.CharField(default="", editable=False, max_length=24),
        ),
        migrations.AddField(
            model_name="project",
            name="status",
            field=models.CharField(default="", editable=False, max_length=1024),
        ),
        migrations.AddField(
            model_name="project",
            name="status_indicator",
            field=models.CharField(
                choices=[
                    ("STATUS_INDICATION_UNSPECIFIED", "Unspecified"),
                    ("STATUS_INDICATION_ERROR", "Error"),
                    ("STATUS_INDICATION_IN_PROGRESS", "In Progress"),
                    ("STATUS_INDICATION_IDLE", "Idle"),
                ],
                default="STATUS_INDICATION_UNSPECIFIED",
                editable=False,
                max_length=32,
            ),
        ),
        migrations.AddField(
            model_name="project",
            name="status_timestamp",
            field=tenants.resource.EpochField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name="project",
            name="updated_at",
            field=models.DateTimeField(auto_now=True),
        ),
        migrations.AlterField(
            model_name="organization",
            name="name",
            field=models.CharField(
                max_length=63,
                unique=True,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?\\Z",
                        "A name has lower-case letters, digits and hyphens, no hyphen first or last, and at most 62 of them",
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="project",
            name="name",
            field=models.CharField(
                max_length=63,
                unique=True,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?\\Z",
                        "A name has lower-case letters, digits and hyphens, no hyphen first or last, and at most 62 of them",
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="project",
            name="schema_name",
            field=models.CharField(editable=False, max_length=63, unique=True),
        ),
        migrations.CreateModel(
            name="Grant",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("im-r", "Read the inventory"),
                            ("im-rw", "Read and write the inventory"),
                            ("en-ob", "Onboard machines interactively"),
                            ("en-agent-rw", "Report as a machine's agent"),
                            ("project-read-role", "See the organization's projects"),
                            ("project-write-role", "Make the organization's projects"),
                            ("project-delete-role", "Delete the organization's projects"),
                            ("org-read-role", "See all organizations"),
                            ("org-write-role", "Make organizations"),
                            ("org-delete-role", "Delete organizations"),
                        ],
                        max_length=32,
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="grants",
                        to="auth.group",
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="grants",
                        to="tenants.organization",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="grants",
                        to="tenants.project",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="grants",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(("user", None), ("group", None), _connector="XOR"),
                name="granted_to_a_person_or_a_group",
                violation_error_message="A role is granted either to a person or to a group",
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("role__in", ["im-r", "im-rw", "en-ob", "en-agent-rw"]),
                        models.Q(("project", None), ("organization", None), _connector="XOR"),
                    ),
                    models.Q(
                        ("organization__isnull", False),
                        ("project", None),
                        ("role__in", ["project-read-role", "project-write-role", "project-delete-role"]),
                    ),
                    models.Q(
                        ("organization", None),
                        ("project", None),
                        ("role__in", ["org-read-role", "org-write-role", "org-delete-role"]),
                    ),
                    _connector="OR",
                ),
                name="granted_where_the_role_belongs",
                violation_error_message="im-* and en-* are granted in a project or for an organization, project-* for an organization, org-* for neither",
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.UniqueConstraint(
                fields=("user", "group", "role", "project", "organization"),
                name="granted_once",
                nulls_distinct=False,
                violation_error_message="That role is granted already",
            ),
        ),
    ]
