"""The audit, which the database itself keeps from being changed; and columns that hold nothing but what is sealed."""

from django.db import migrations, models

import tenants.secrets
from tenants.rls import rows_belong_to_their_schema

APPEND_ONLY = """
CREATE FUNCTION public.audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('eim.forgets_the_old', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'The audit is appended to and read, nothing else (% refused)', TG_OP;
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON tenants_audit
    FOR EACH ROW EXECUTE FUNCTION public.audit_is_append_only();
CREATE TRIGGER append_only_all BEFORE TRUNCATE ON tenants_audit
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_is_append_only();
"""
AGAIN_NOT = """
DROP TRIGGER append_only_all ON tenants_audit;
DROP TRIGGER append_only ON tenants_audit;
DROP FUNCTION public.audit_is_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("tenants", "0006_events_of_longer_ids")]

    operations = [
        migrations.CreateModel(
            name="Audit",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("schema", models.CharField(max_length=63)),
                ("at", models.DateTimeField(auto_now_add=True)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("person", "A person who is logged in"),
                            ("token", "Whoever holds a token"),
                            ("node", "An edge node"),
                            ("command", "Somebody at the server's command line"),
                            ("anybody", "Anybody, as authentication was off"),
                            ("nobody", "Somebody unknown"),
                        ],
                        max_length=8,
                    ),
                ),
                ("who", models.CharField(blank=True, max_length=150)),
                ("subject", models.CharField(blank=True, max_length=64)),
                ("method", models.CharField(max_length=8)),
                ("action", models.CharField(max_length=100)),
                ("resource_id", models.CharField(blank=True, max_length=64)),
                ("address", models.CharField(blank=True, max_length=45)),
                ("user_agent", models.CharField(blank=True, max_length=100)),
                ("request_id", models.CharField(blank=True, max_length=64)),
                ("status", models.PositiveSmallIntegerField()),
                ("code", models.CharField(blank=True, max_length=32)),
            ],
            options={
                "verbose_name_plural": "audit",
                "indexes": [models.Index(fields=["schema", "-id"], name="audit_newest_of_a_project")],
            },
        ),
        rows_belong_to_their_schema("tenants_audit"),
        migrations.RunSQL(APPEND_ONLY, AGAIN_NOT),
        migrations.AlterField("edgecredential", "secret_sealed", tenants.secrets.SealedField()),
        migrations.AlterField("signingkey", "private_pem_sealed", tenants.secrets.SealedField()),
    ]
