"""Machines that are let in get what the provider's config says, and what is wrong with it is shown."""

import json

import pytest

from inventory.models import Host, HostState, Instance, InstanceState, LocalAccount, OperatingSystem, Provider
from tests.conftest import token_with
from tests.southbound import Node, registered, wanted


@pytest.fixture
def node(southbound_address, there):
    return Node(southbound_address)


def system() -> OperatingSystem:
    made = OperatingSystem(
        name="debian", sha256="a" * 64, image_url="tink-stack/images/debian.raw.gz", os_type="OS_TYPE_MUTABLE",
        os_provider="OS_PROVIDER_KIND_INFRA", security_feature="SECURITY_FEATURE_SECURE_BOOT_AND_FULL_DISK_ENCRYPTION",
    )  # fmt: skip
    made.ask()
    return made


def rules(**said) -> None:
    config = said.pop("text", "") or json.dumps(said)
    Provider(name="infra_onboarding", provider_kind="PROVIDER_KIND_BAREMETAL", api_endpoint="null").ask()
    Provider.objects.update(config=config)  # as it may be since before configs were checked


def test_a_machine_that_is_let_in_gets_the_projects_operating_system(node):
    os, account = system(), LocalAccount(username="ada", ssh_key="ssh-ed25519 AAAA")
    account.ask()
    rules(autoProvision=True, defaultOs=os.resource_id, defaultLocalAccount=account.resource_id)
    host = registered(node)
    node.onboard()
    node.onboard()
    instance = Instance.objects.get()
    assert (instance.host, instance.os, instance.local_account) == (host, os, account)
    assert (instance.desired_state, instance.security_feature) == (InstanceState.RUNNING, "SECURITY_FEATURE_NONE")


def test_keys_are_read_in_any_case_and_security_is_the_systems_own_where_it_is_asked_for(node, there):
    os = system()
    rules(AUTOPROVISION=True, defaultos=os.resource_id, osSecurityFeatureEnable=True)
    node.create(token_with(f"{there.uuid}_en-ob"))
    assert Instance.objects.get().security_feature == os.security_feature


def test_a_machine_with_an_instance_keeps_it(node):
    rules(autoProvision=True, defaultOs=system().resource_id)
    instance = wanted(registered(node))
    node.onboard()
    assert [*Instance.objects.all()] == [instance]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"autoProvision": True, "defaultOs": "os-00000000"}, "there is no defaultOs 'os-00000000'"),
        ({"autoProvision": True}, "there is no defaultOs ''"),
        ({"text": "{broken"}, "'{broken' is no JSON object"),
        ({"text": "[]"}, "'[]' is no JSON object"),
    ],
)
def test_rules_that_cannot_be_followed_are_shown_and_the_machine_is_let_in(node, said, why):
    rules(**said)
    host = registered(node)
    assert node.onboard()[0].client_secret
    host.refresh_from_db()
    assert host.current_state == HostState.ONBOARDED and not Instance.objects.exists()
    assert host.onboarding_status.startswith("Onboarded: zero touch failed: ") and why in host.onboarding_status


@pytest.mark.parametrize("off", [{"autoProvision": False}, {"autoProvision": "true"}, {"defaultOs": "os-00000000"}])
def test_without_the_rule_nothing_is_installed(node, off):
    rules(**off)
    registered(node)
    node.onboard()
    assert not Instance.objects.exists() and Host.objects.get().onboarding_status == "Onboarded"


def test_a_project_that_demands_enrolment_tokens_lets_nobody_in_without_one(node):
    rules(enrolmentRequired=True)
    registered(node)
    [answer] = node.onboard()
    assert answer.status.message == "an enrolment token is needed" and not answer.client_secret
