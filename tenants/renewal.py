"""Bounds what a database connection holds: a Postgres backend keeps a catalog of every schema that it has been in.

That is about 1 MB a tenant, so 1 GB for each connection that has served a thousand. django-tenants calls visit() at
every change of schema (EXTRA_SET_TENANT_METHOD_PATH); it imports this early, before there are models.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MOST_SCHEMAS = 100  # that a connection visits before it makes way for a new one, which takes 10 ms to open


def visit(connection: Any, tenant: Any) -> None:
    """Note that the connection goes into this tenant's schema; on its way back to public, renew it if it is due."""
    session = connection.connection
    if session is None:
        return
    if getattr(connection, "visiting", None) is not session:  # it was opened anew, by us or for its age
        connection.visiting, connection.visited = session, set()
    is_held = connection.in_atomic_block or getattr(connection, "is_held", False)
    if tenant.schema_name != "public":
        connection.visited.add(tenant.schema_name)
    elif len(connection.visited) >= MOST_SCHEMAS and not is_held:
        connection.close()


@contextmanager
def holding(connection: Any) -> Iterator[None]:
    """Keep this connection, however many schemas it visits: its session has a lock, or settings of its own."""
    connection.is_held = True
    try:
        yield
    finally:
        connection.is_held = False
