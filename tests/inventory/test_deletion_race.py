"""Deleting and onboarding at the same moment, in transactions that are really committed."""

import threading

from django.db import connection, connections, transaction
from django_tenants.utils import schema_context

from inventory.models import Host, HostState, Instance, InstanceState
from tests.inventory.nouns import an_instance


def test_a_machine_that_is_onboarded_meanwhile_keeps_its_instance_until_it_is_taken_off(there):
    """The wish waits for the onboarding, then sees it."""
    instance = an_instance()
    began, schema = threading.Event(), connection.schema_name

    def delete():
        try:
            with schema_context(schema):
                mine = Instance.objects.get(pk=instance.pk)
                began.set()
                mine.ask(state=InstanceState.DELETED)
        finally:
            connections.close_all()

    with transaction.atomic():
        Host.objects.get(pk=instance.host.pk).observe(state=HostState.ONBOARDED)
        thread = threading.Thread(target=delete)
        thread.start()
        began.wait(10)
        thread.join(0.3)
        assert thread.is_alive()
    thread.join(10)
    assert Instance.objects.get().desired_state == InstanceState.DELETED
