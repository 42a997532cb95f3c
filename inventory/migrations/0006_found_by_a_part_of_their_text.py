"""Hosts are found by a part of their name, serial number, note, id or UUID by one index, sites and systems of theirs."""

from django.db import migrations

INDEXES = {
    "inventory_host": ["name", "serial_number", "note", "resource_id", "(uuid::text)"],
    "inventory_site": ["name"],
    "inventory_region": ["name"],
    "inventory_operatingsystem": ["name", "profile_name"],
    "inventory_instance": ["name"],
}


def index(table: str, columns: list[str]) -> migrations.RunSQL:
    found_by = ", ".join(f"{column} public.gin_trgm_ops" for column in columns)
    return migrations.RunSQL(
        f"CREATE INDEX IF NOT EXISTS {table}_text ON {table} USING gin ({found_by})", f"DROP INDEX {table}_text"
    )


class Migration(migrations.Migration):
    dependencies = [("inventory", "0005_ports_are_claimed")]

    operations = [index(table, columns) for table, columns in INDEXES.items()]
