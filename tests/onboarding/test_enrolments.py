"""Enrolments are made, shown and ended by API, admin and command; each is its project's own."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from inventory.models import Host, HostState
from tenants.models import Enrolment, Event
from tests.conftest import client_of


@pytest.fixture
def host(acme) -> Host:
    made = Host(serial_number="SN00001")
    made.ask(state=HostState.ONBOARDED)
    return made


@pytest.fixture
def path(api, host) -> str:
    return f"{api.base}/compute/hosts/{host.resource_id}/enrolments"


def test_a_token_is_shown_once_and_its_enrolment_from_then_on(api, path, host):
    made = api.post(path, {"hours": 2}, format="json").json()
    assert made["token"].startswith("enrol_") and made["withToken"] and made["madeBy"] == api.who
    [shown] = api.get(path).json()["enrolments"]
    assert shown == {key: value for key, value in made.items() if key != "token"} and shown["usedAt"] is None
    assert api.delete(f"{path}/{made['enrolmentId']}").status_code == 200
    [ended] = api.get(path).json()["enrolments"]
    assert ended["revokedAt"]
    verbs = Event.objects.filter(resource_id=host.resource_id).order_by("id").values_list("verb", flat=True)
    assert [*verbs][-2:] == ["enrolment made", "enrolment ended"]


@pytest.mark.parametrize("wrong", [{"hours": 0}, {"hours": 10_000}, {"hours": "x"}, {"withToken": "perhaps"}])
def test_what_cannot_be_is_refused_by_name(api, path, wrong):
    answer = api.post(path, wrong, format="json")
    assert answer.status_code == 400 and next(iter(wrong)) in answer.content.decode()
    assert not Enrolment.objects.exists()


def test_another_projects_enrolments_are_not_there(api, path, beta):
    api.post(path, {}, format="json")
    stranger = client_of(beta, "im-rw")
    theirs = path.replace("/acme/", "/beta/")
    assert stranger.get(theirs).status_code == stranger.post(theirs, {}, format="json").status_code == 404
    number = api.get(path).json()["enrolments"][0]["enrolmentId"]
    assert stranger.delete(f"{theirs}/{number}").status_code == 404
    assert api.delete(f"{path}/{number + 1}").status_code == 404


def test_a_host_that_goes_takes_its_enrolments_with_it(api, path, host):
    api.post(path, {}, format="json")
    host.ask(state=HostState.DELETED)
    assert not Enrolment.objects.exists()


def test_the_command_makes_shows_and_ends_them(host):
    def run(*arguments) -> str:
        out = StringIO()
        call_command("enrol", host.resource_id, "--project", "acme", *arguments, stdout=out)
        return out.getvalue().strip()

    assert run().startswith("enrol_")
    assert "may get new credentials once" in run("--open")
    opened, with_token = run("--list").splitlines()
    assert "open, until" in opened and "with a token, until" in with_token and "not used" in with_token
    run("--revoke", with_token.split()[0])
    assert "revoked" in run("--list").splitlines()[1]
    for wrong, why in ((["--revoke", "0"], "has no enrolment 0"), (["--hours", "0"], "--hours is 1 to")):
        with pytest.raises(CommandError, match=why):
            run(*wrong)
