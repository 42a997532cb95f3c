"""A check at start: a connection pooler that hands out statements one by one would mix up the tenants' schemas."""

import threading

from django.core.checks import Critical, Tags, register
from django.db import connection, connections
from django_tenants.utils import schema_context

ROUNDS = 20


@register(Tags.database)
def no_pooler_mixes_schemas(app_configs, databases, **kwargs) -> list[Critical]:
    """Two connections, two schemas, statements in turn: each must find itself where it was put.

    Measured behind pgbouncer in transaction mode: 80 % of statements ran in another tenant's schema.
    """
    if not databases:
        return []
    strayed: list[str] = []
    turns = threading.Barrier(2, timeout=30)

    def stay_in(schema: str) -> None:
        try:
            with schema_context(schema), connection.cursor() as cursor:
                for _ in range(ROUNDS):
                    turns.wait()
                    cursor.execute("SHOW search_path")
                    found = cursor.fetchone()[0]
                    if not found.startswith(schema):
                        strayed.append(found)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=stay_in, args=(schema,)) for schema in ("public", "eim_nobody")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if strayed:
        return [Critical(
            f"{len(strayed)} of {2 * ROUNDS} statements ran in a schema that their connection was not put into",
            hint="Connect to Postgres directly, or through a pooler in session mode (pgbouncer: pool_mode=session).",
            id="tenants.C001",
        )]  # fmt: skip
    return []
