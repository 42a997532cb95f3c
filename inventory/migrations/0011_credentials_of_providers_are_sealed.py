"""Providers' credentials, which lay in plain text, are sealed.

The column that held them stays, empty, because servers of the release before still read it; nothing of ours does.
"""

import json

from django.db import migrations

from tenants.secrets import seal


def seal_them(apps, schema_editor):
    providers = apps.get_model("inventory", "Provider").objects
    for provider in providers.exclude(api_credentials=[]):
        sealed = seal(json.dumps(provider.api_credentials))
        providers.filter(pk=provider.pk).update(credentials_sealed=sealed, api_credentials=[])


class Migration(migrations.Migration):
    dependencies = [("inventory", "0010_what_power_is_switched_through")]

    operations = [
        migrations.RunPython(seal_them, migrations.RunPython.noop),
        migrations.SeparateDatabaseAndState(state_operations=[migrations.RemoveField("provider", "api_credentials")]),
    ]
