"""Local accounts and custom configs over the REST API, as old clients send and read them."""

import re
import time

import pytest
from django.db import transaction
from django_tenants.utils import schema_context

from inventory.models import CustomConfig, Customization, LocalAccount, RemoteAccess, RemoteAccessState
from tenants.errors import AlreadyClaimed
from tenants.models import Port
from tests.conftest import client_of
from tests.inventory.nouns import TIME, an_instance, is_unknown_to_others, made, refused

pytestmark = pytest.mark.django_db
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGg0 ada@example.com"


@pytest.fixture
def account(api):
    return api.post(f"{api.base}/localAccounts", {"username": "ada", "sshKey": KEY}).json()


@pytest.fixture
def config(api):
    body = {"name": "ntp", "description": "Time of our own", "config": "#cloud-config\nntp: {}\n"}
    return api.post(f"{api.base}/customConfigs", body).json()


def test_a_local_account_is_shown_as_it_was_made(api, account):
    assert re.match(r"^localaccount-[0-9a-f]{8}$", account["resourceId"])
    assert re.match(TIME, account["timestamps"]["createdAt"]) and re.match(TIME, account["timestamps"]["updatedAt"])
    assert account == {
        "resourceId": account["resourceId"], "localAccountID": account["resourceId"], "username": "ada", "sshKey": KEY,
        "timestamps": account["timestamps"],
    }  # fmt: skip
    assert api.get(f"{api.base}/localAccounts/{account['resourceId']}").json() == account
    listed = api.get(f"{api.base}/localAccounts?offset=0&pageSize=100&filter=username=ADA").json()
    assert listed == {"localAccounts": [account], "totalElements": 1, "hasNext": False}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"username": "ada"}, "sshKey: This field is required."),
        ({"sshKey": KEY}, "username: This field is required."),
        (
            {"username": "Ada", "sshKey": KEY},
            'username: a lower-case letter, then lower-case letters, digits and -, not "Ada"',
        ),
        (
            {"username": "ada", "sshKey": "ssh-rsa AAAA"},
            'sshKey: a public key of kind ssh-ed25519 or ecdsa-sha2-nistp521, not "ssh-rsa AAAA"',
        ),
        ({"username": "ada", "sshKey": KEY, "password": "x"}, "password: there is no such field"),
        ({"username": "ada", "sshKey": KEY, "resourceId": "x"}, "resourceId: can't be written"),
    ],
)
def test_a_local_account_that_nobody_could_log_in_by_is_refused(api, body, message):
    assert refused(api.post(f"{api.base}/localAccounts", body), message)
    assert LocalAccount.objects.count() == 0


def test_a_username_is_taken_once(api, account):
    again = api.post(f"{api.base}/localAccounts", {"username": "ada", "sshKey": KEY})
    message = f"There is a local account 'ada' already ({account['resourceId']} has this username)"
    assert refused(again, message, "FailedPrecondition")


def test_a_local_account_never_changes(api, account):
    path = f"{api.base}/localAccounts/{account['resourceId']}"
    assert [api.put(path, account).status_code, api.patch(path, {"username": "eve"}).status_code] == [405, 405]
    mine = LocalAccount.objects.get()
    mine.username = "eve"
    mine.save()
    assert api.get(path).json()["username"] == "ada"


def test_a_local_account_goes(api, account):
    path = f"{api.base}/localAccounts/{account['resourceId']}"
    assert api.delete(path).json() == {}
    assert refused(api.get(path), "local_account_resource not found", "NotFound", 404)


def test_a_local_account_in_use_stays(api, account):
    first = an_instance()
    body = {"hostID": str(first.host_id), "osID": str(first.os_id), "localAccountID": account["resourceId"]}
    api.delete(f"{api.base}/compute/instances/{first}")
    instance = api.post(f"{api.base}/compute/instances", body).json()
    answer = api.delete(f"{api.base}/localAccounts/{account['resourceId']}")
    message = f"{account['resourceId']} is in use by {instance['resourceId']}"
    assert refused(answer, message, "FailedPrecondition")


def test_local_accounts_of_others_are_unknown(api, account, beta):
    is_unknown_to_others(beta, "localAccounts", account["resourceId"], "localAccounts", "local_account_resource")
    theirs = client_of(beta, "im-rw")
    assert theirs.post(f"{theirs.base}/localAccounts", {"username": "ada", "sshKey": KEY}).status_code == 200
    assert refused(api.get(f"{api.base}/localAccounts/any"), "'any' is not the id of a local account")


def test_a_custom_config_is_shown_as_it_was_made(api, config):
    assert re.match(r"^customconfig-[0-9a-f]{8}$", config["resourceId"])
    assert config == {
        "resourceId": config["resourceId"], "name": "ntp", "description": "Time of our own",
        "config": "#cloud-config\nntp: {}\n", "timestamps": config["timestamps"],
    }  # fmt: skip
    assert api.get(f"{api.base}/customConfigs/{config['resourceId']}").json() == config
    listed = api.get(f"{api.base}/customConfigs?offset=0&pageSize=100").json()
    assert listed == {"customConfigs": [config], "totalElements": 1, "hasNext": False}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"name": "ntp"}, "config: This field is required."),
        ({"name": "ntp", "config": ""}, 'config: This field may not be blank, not ""'),
        (
            {"name": "n" * 33, "config": "x"},
            f'name: a lower-case letter, then lower-case letters, digits and -, not "{"n" * 33}"',
        ),
        (
            {"name": "ntp", "config": "x" * 16385},
            f'config: Ensure this field has no more than 16384 characters, not "{"x" * 49}... (16387 letters)',
        ),
    ],
)
def test_a_custom_config_that_breaks_a_rule_is_refused(api, body, message):
    assert refused(api.post(f"{api.base}/customConfigs", body), message)
    assert CustomConfig.objects.count() == 0


def test_a_custom_config_in_use_stays_and_then_goes(api, config):
    path = f"{api.base}/customConfigs/{config['resourceId']}"
    instance = an_instance()
    use = Customization.objects.create(instance=instance, custom_config=CustomConfig.objects.get())
    assert refused(api.delete(path), f"{config['resourceId']} is in use by {instance}", "FailedPrecondition")
    use.delete()
    assert api.delete(path).json() == {}
    assert refused(api.delete(path), "custom_config_resource not found", "NotFound", 404)


def test_custom_configs_of_others_are_unknown(api, config, beta):
    is_unknown_to_others(beta, "customConfigs", config["resourceId"], "customConfigs", "custom_config_resource")


# Remote accesses, which clients don't see yet ---------------------------------------------------------------------


def an_access(instance) -> RemoteAccess:
    access = RemoteAccess(instance=instance, expiration_timestamp=int(time.time()) + 3600)
    return made(access, state=RemoteAccessState.ENABLED)


def test_a_port_is_for_one_remote_access_of_all_tenants(acme, beta):
    first, second = an_access(an_instance()), an_access(an_instance("SN00002"))
    first.observe(local_port=2222)
    with pytest.raises(AlreadyClaimed), transaction.atomic():
        second.observe(local_port=2222)
    with schema_context(beta.schema_name):
        theirs = an_access(an_instance("SN00003"))
        with pytest.raises(AlreadyClaimed, match="Port 2222 is for another remote access"), transaction.atomic():
            theirs.observe(local_port=2222)
        assert RemoteAccess.objects.get().local_port is None
    first.observe(local_port=2223)
    with schema_context(beta.schema_name):
        theirs.observe(local_port=2222)
    first.delete()
    second.observe(local_port=2223)
    assert [port.number for port in Port.objects.all()] == [2223]
