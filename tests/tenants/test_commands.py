"""Commands about a project, whatever they do in it: one that isn't served is said, with its state, and not entered."""

import pytest
from django.core.management import CommandError, call_command
from django_tenants.utils import schema_context

from tenants.models import TenantState

IN_A_PROJECT = [
    ["bulk_import", "hosts.csv"],
    ["bulk_export", "out.csv"],
    ["enrol", "host-00000000"],
    ["provisioning", "retry", "host-00000000"],
    ["provider", "check", "any"],
    ["boot_from", "disk", "host-00000000"],
]


@pytest.mark.parametrize("command", IN_A_PROJECT, ids=lambda command: command[0])
def test_a_project_on_its_way_out_is_said_and_not_entered(acme, command):
    with schema_context("public"):
        acme.ask(state=TenantState.DELETED)
        with pytest.raises(CommandError, match="Project acme isn't served now: Project acme DELETE"):
            call_command(*command, project="acme")


@pytest.mark.parametrize("command", IN_A_PROJECT, ids=lambda command: command[0])
def test_a_project_that_is_not_there_is_said_with_the_way_out(public, command):
    with pytest.raises(CommandError, match=r"There is no project 'nobody': `manage\.py create_project` makes one"):
        call_command(*command, project="nobody")
