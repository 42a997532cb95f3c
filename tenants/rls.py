"""Row-level security for the shared tables, keyed to the schema that the connection is in."""

from django.db.migrations.operations import RunSQL

# What search_path begins with: a tenant's schema, public, or (on a connection nobody has put anywhere) "$user".
_SCHEMA = "split_part(current_setting('search_path'), ',', 1)"


def rows_belong_to_their_schema(table: str) -> RunSQL:
    """A migration step: rows of `table` are seen and written only from the schema they name, or from public.

    FORCE, because the application's role owns the table; a superuser would pass all the same, so the application
    never connects as one.
    """
    return RunSQL(
        f"""
        ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
        ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
        CREATE POLICY own_schema ON {table}
            USING ({_SCHEMA} = 'public' OR schema = {_SCHEMA})
            WITH CHECK ({_SCHEMA} = 'public' OR schema = {_SCHEMA});
        """,
        f"""
        DROP POLICY own_schema ON {table};
        ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;
        ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;
        """,
    )
