"""What is written by statements that are written once: all of a row, or nothing of it."""

import pytest
from django.db import DatabaseError, connection, models

from inventory import errors
from inventory.models import Host, HostState, Region
from tenants.models import Claim, Event, Ring
from tenants.resource import Resource
from tenants.statements import fetch, insertion
from tests.inventory.nouns import an_instance, made

pytestmark = pytest.mark.django_db


def test_what_nobody_said_of_a_new_resource_is_as_its_model_has_it(acme):
    an_instance()
    for row in (model.objects.first() for model in Resource.__subclasses__() if model._meta.app_label == "inventory"):
        if row is None:
            continue
        said = {"resource_id", "created_at", "updated_at", "name", "serial_number", "sha256", "os_type", "os_provider"}
        for field in type(row)._meta.concrete_fields:
            if not (field.primary_key or field.is_relation or field.name in said | row.wish_columns()):
                assert getattr(row, field.name) == field.get_default(), (row, field.name)


def test_defaults_that_are_written_into_a_statement_are_not_the_object_that_is_in_memory(acme):
    host = made(Host(serial_number="SN00001"), state=HostState.REGISTERED)
    host.metadata.append({"key": "city", "value": "berlin"})
    other = made(Host(serial_number="SN00002"), state=HostState.REGISTERED)
    assert other.metadata == [] and Host.objects.get(pk=other.pk).metadata == []


def test_a_change_of_what_is_gone_is_an_error_and_is_not_announced(acme):
    region = made(Region(name="north"))
    models.QuerySet(Region).filter(pk=region.pk).delete()
    Ring.objects.all().delete()
    region.name = "south"
    with pytest.raises(DatabaseError, match=f"{region} is not there"):
        region.save()
    assert not Ring.objects.exists() and not Event.objects.filter(verb="changed").exists()


def test_what_others_need_stays_with_its_claim_and_is_not_announced_as_deleted(acme):
    host = an_instance().host
    with pytest.raises(errors.InUse, match=f"{host} is in use by"):
        host.delete()
    assert Claim.objects.get().resource_id == host.resource_id and host.pk
    assert not Event.objects.filter(verb="deleted").exists()


def test_small_and_large_numbers_have_one_plan(acme):
    def plans() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT $1 + 0%'")
            return cursor.fetchone()[0]

    for number in (1, 40_000, 2**40):
        assert fetch("SELECT $1 + 0::bigint", [number]) == [(number,)]
    assert plans() == 1


def test_a_statement_is_written_once_for_the_same_columns(acme):
    for number in range(3):
        made(Region(name=f"north {number}"))
    before = insertion.cache_info().misses
    made(Region(name="south"))
    assert insertion.cache_info().misses == before
