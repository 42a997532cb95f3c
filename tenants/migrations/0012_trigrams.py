"""The extension that indexes what text contains; in public, so that every tenant's schema sees it. A trusted one."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("tenants", "0011_ports_of_the_proxy")]

    operations = [migrations.RunSQL("CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public", migrations.RunSQL.noop)]
