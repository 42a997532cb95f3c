"""A connection makes way for a new one when it has been in many tenants' schemas."""

import pytest
from django.db import connection, transaction
from django_tenants.utils import schema_context

from tenants import renewal


@pytest.fixture
def session(committed):
    """The process of Postgres that serves the connection; none has visited a schema yet."""
    connection.close()
    connection.set_schema_to_public()

    def pid() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return cursor.fetchone()[0]

    return pid


def visit(schemas: int, look=lambda: None) -> None:
    for number in range(schemas):
        with schema_context(f"t_{number:032x}"):
            look()


def test_a_connection_that_has_been_in_many_schemas_is_renewed_and_one_in_few_is_not(session):
    first = session()
    visit(renewal.MOST_SCHEMAS - 1)
    visit(renewal.MOST_SCHEMAS - 1)  # the same again are no more
    assert session() == first
    visit(renewal.MOST_SCHEMAS)
    second = session()
    assert second != first
    visit(renewal.MOST_SCHEMAS - 1)
    assert session() == second


def test_it_is_not_renewed_in_the_middle_of_a_transaction(session):
    with transaction.atomic():
        first = session()
        visit(renewal.MOST_SCHEMAS + 1)
        assert session() == first


def test_it_is_not_renewed_while_its_session_holds_something(session):
    first = session()
    with renewal.holding(connection):
        visit(renewal.MOST_SCHEMAS + 1)
        assert session() == first
    visit(1)
    assert session() != first
