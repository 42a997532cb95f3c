"""SET search_path is spared while the schema stays the same; never so that a statement runs in another schema."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django_tenants.utils import schema_context

from inventory.models import Region
from tenants.models import Project

pytestmark = pytest.mark.django_db


class Undo(Exception):
    pass


def where() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        return cursor.fetchone()[0]


def test_the_schema_is_set_once_not_for_every_statement(acme):
    with CaptureQueriesContext(connection) as said, schema_context(acme.schema_name):
        list(Region.objects.all())
        list(Region.objects.all())
    assert sum("search_path" in query["sql"] for query in said) == 1


def test_a_rollback_to_a_savepoint_leaves_nobody_in_another_schema(acme, beta):
    for inner in (beta.schema_name, "public"):
        with pytest.raises(Undo), transaction.atomic(), schema_context(inner):
            assert where() == inner
            raise Undo
        assert where() == acme.schema_name


def test_a_schema_entered_in_a_savepoint_is_entered_again_after_its_rollback(acme, beta):
    with schema_context(beta.schema_name):
        with pytest.raises(Undo), transaction.atomic():
            assert where() == beta.schema_name  # the SET is issued here, and undone below
            raise Undo
        assert where() == beta.schema_name
    assert where() == acme.schema_name


def test_a_failed_statement_leaves_everybody_where_they_were(acme):
    connection.set_schema_to_public()
    with schema_context(acme.schema_name):
        with pytest.raises(Exception, match="no_such_table"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT * FROM no_such_table")
        assert where() == acme.schema_name
    assert where() == "public"
    assert Project.objects.exists()


def test_who_comes_back_into_a_schema_in_which_the_session_is_does_not_set_it_again(acme):
    where()
    with CaptureQueriesContext(connection) as said:
        for _ in range(3):
            connection.set_schema_to_public()
            with schema_context(acme.schema_name):
                assert where() == acme.schema_name
    assert not [query for query in said if "search_path" in query["sql"]]


def test_a_session_that_was_put_elsewhere_behind_our_back_is_brought_back(acme, beta):
    with connection.cursor() as cursor:
        cursor.execute(f"SET search_path = {beta.schema_name}, public")
    assert where() == acme.schema_name
