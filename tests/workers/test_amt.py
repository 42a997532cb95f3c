"""Intel AMT: agents have it activated, the servers that speak to it are told what is wished, and say how it went."""

import time
from uuid import uuid4

import grpc
import pytest
from django.db import connection
from django_tenants.utils import schema_context

from inventory.models import Host, HostState, Indicator
from tests.conftest import client_of, fresh_project, settle
from tests.southbound import Node, registered
from tests.workers import controllers
from tests.workers.test_power import pass_time, status, watch, watcher, work  # noqa: F401  a fixture among them
from wire import device_pb2 as wire
from workers import activation, power
from workers.models import Activation, Watch, Work

PROVISIONED, UNPROVISIONED = "AMT_STATE_PROVISIONED", "AMT_STATE_UNPROVISIONED"


@pytest.fixture
def toolkit(settings):
    """MPS and RPS, as the administrator has named them."""
    with controllers.toolkit() as toolkit:
        settings.MPS_URL = settings.RPS_URL = toolkit.url
        settings.MPS_HOST = "mps.example"
        yield toolkit


def activated(toolkit, state: int = 2, **more) -> Host:
    host = Host(uuid=uuid4(), serial_number="SN00001", **more)
    host.ask(amt_state=PROVISIONED)
    host.observe(amt_state=PROVISIONED)
    toolkit.provision(host.uuid, state)
    return host


# Power ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "before", "action", "doing", "done"),
    [
        ("ON", 8, 2, "Powering on", "Powered on"),
        ("OFF", 2, 8, "Powering off", "Powered off"),
        ("SLEEP", 2, 4, "Sleeping", "Sleep state"),
        ("HIBERNATE", 2, 7, "Hibernating", "Hibernate state"),
        ("RESET", 2, 10, "Resetting", "Reset successful"),
        ("POWER_CYCLE", 2, 5, "Power cycling", "Power cycle successful"),
    ],
)
def test_each_wish_is_the_action_and_the_words_that_old_clients_know(acme, toolkit, wish, before, action, doing, done):
    host = activated(toolkit, before)
    host.ask(power_state=f"POWER_STATE_{wish}")
    assert power.TEXTS[host.desired_power_state] == (doing, done)
    work()
    assert toolkit.actions == [action]
    assert status(host) == (f"POWER_STATE_{wish}", done, Indicator.IDLE)
    assert {tenant for tenant, _ in toolkit.calls} == {str(acme.uuid)}


@pytest.mark.parametrize(("wish", "action"), [("OFF", 12), ("RESET", 14)])
def test_in_order_means_that_the_operating_system_ends_first(acme, toolkit, wish, action):
    host = activated(toolkit, power_command_policy="POWER_COMMAND_POLICY_ORDERED")
    host.ask(power_state=f"POWER_STATE_{wish}")
    work()
    assert toolkit.actions == [action] and status(host)[0] == f"POWER_STATE_{wish}"


def test_why_a_machine_does_not_follow_is_told_in_the_words_that_old_clients_know(acme, toolkit):
    host = activated(toolkit, 8)
    toolkit.says = "NOT_READY"
    host.ask(power_state="POWER_STATE_RESET")
    settle()
    assert status(host)[1:] == ("Device must be powered on first", Indicator.ERROR)
    toolkit.power.clear()
    Watch.objects.update(failures=0)
    pass_time()
    settle()
    assert status(host)[1:] == ("Device not found/connected", Indicator.ERROR)


def test_a_machine_that_is_not_activated_is_not_switched(acme, toolkit):
    host = Host(uuid=uuid4(), serial_number="SN00001")
    host.ask(power_state="POWER_STATE_ON")
    settle()
    assert not toolkit.calls and not Work.objects.exists()


def test_a_shutdown_by_the_operating_system_is_seen_and_undone(acme, toolkit, watcher, settings):  # noqa: F811
    host = activated(toolkit, 2)
    host.ask(power_state="POWER_STATE_ON")
    work()
    pass_time()
    watch(watcher)
    settings.POWER_GRACE = 0
    toolkit.power[str(host.uuid)] = 8
    pass_time()
    watch(watcher)
    assert status(host)[:2] == ("POWER_STATE_OFF", "Powered off")
    work()
    assert toolkit.actions == [2] and status(host)[:2] == ("POWER_STATE_ON", "Powered on")


# Activation -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def node(southbound_address, there, toolkit):
    node = Node(southbound_address)
    registered(node)
    node.onboard()
    return node


def refused(call, request, node) -> str:
    with pytest.raises(grpc.RpcError) as refusal:
        call(request, **node.auth)
    return refusal.value.code().name


def amt(node) -> tuple[str, str, str, str]:
    host = Host.objects.get(uuid=node.uuid)
    return host.current_amt_state, host.amt_sku, host.amt_status, host.amt_status_indicator


@pytest.mark.parametrize("mode", ["", "CCM", "ACM"])
def test_the_agent_has_its_machine_activated_step_by_step(node, there, toolkit, mode):
    calls, id = node.devices, str(node.uuid)
    enabled = wire.AMTStatusRequest(host_id=id, status=wire.ENABLED, feature="AMT")
    calls.ReportAMTStatus(enabled, **node.auth)
    assert amt(node)[1:] == ("AMT_SKU_AMT", "AMT Status Enabled", Indicator.IDLE)
    assert refused(calls.ReportAMTStatus, enabled, node) == "FAILED_PRECONDITION"
    ask = wire.ActivationRequest(host_id=id)
    assert refused(calls.RetrieveActivationDetails, ask, node) == "FAILED_PRECONDITION"  # nobody wishes it
    host = Host.objects.get(uuid=node.uuid)
    if mode:
        host.amt_control_mode = f"AMT_CONTROL_MODE_{mode}"
    host.ask(amt_state=PROVISIONED)
    assert refused(calls.RetrieveActivationDetails, ask, node) == "FAILED_PRECONDITION"  # RPS has no profiles yet
    settle()
    details = calls.RetrieveActivationDetails(ask, **node.auth)
    profile = f"{there.uuid}_{(mode or 'CCM').lower()}"
    assert (details.host_id, details.operation, details.profile_name) == (id, wire.ACTIVATE, profile)
    made = toolkit.made[str(there.uuid), "profiles", profile]
    assert made["amtPassword"] == details.action_password and len(details.action_password) >= 8
    for said, told in [
        (wire.ACTIVATING, ("AMT Activation In Progress", Indicator.IN_PROGRESS)),
        (wire.ACTIVATION_FAILED, ("AMT Activation Failed", Indicator.ERROR)),
        (wire.ACTIVATED, ("AMT Activation Done", Indicator.IDLE)),
    ]:
        result = wire.ActivationResultRequest(host_id=id, activation_status=said)
        calls.ReportActivationResults(result, **node.auth)
        assert amt(node)[2:] == told
        assert refused(calls.ReportActivationResults, result, node) == "FAILED_PRECONDITION"
    assert amt(node)[0] == PROVISIONED
    assert refused(calls.RetrieveActivationDetails, ask, node) == "FAILED_PRECONDITION"
    settle()
    assert not Work.objects.filter(reconciler="HostAmt").exists()


def test_what_an_agent_says_wrong_is_refused_by_the_code_that_it_knows(node):
    calls, id = node.devices, str(node.uuid)
    for call, request in [
        (calls.ReportAMTStatus, wire.AMTStatusRequest(status=wire.ENABLED, feature="AMT")),
        (calls.ReportAMTStatus, wire.AMTStatusRequest(host_id=id, status=wire.ENABLED, feature="vPro")),
        (calls.ReportAMTStatus, wire.AMTStatusRequest(host_id=id)),
        (calls.RetrieveActivationDetails, wire.ActivationRequest(host_id="no uuid")),
    ]:
        assert refused(call, request, node) == "INVALID_ARGUMENT", request
    Host.objects.get(uuid=node.uuid).ask(amt_state=PROVISIONED)
    assert refused(calls.ReportActivationResults, wire.ActivationResultRequest(host_id=id), node) == "INVALID_ARGUMENT"
    calls.ReportAMTStatus(wire.AMTStatusRequest(host_id=id, status=wire.DISABLED), **node.auth)
    assert amt(node)[1:] == ("AMT_SKU_UNSPECIFIED", "AMT Status Disabled", Indicator.IDLE)


def test_profiles_are_what_rps_wants_and_are_made_once(acme, toolkit):
    for number in range(3):
        Host(uuid=uuid4(), serial_number=f"SN0000{number}").ask(amt_state=PROVISIONED)
    settle()
    posted = [request for _, request in toolkit.calls if request.startswith("POST")]
    assert posted == ["POST /api/v1/admin/ciraconfigs", *["POST /api/v1/admin/profiles"] * 2]
    tenant = str(acme.uuid)
    cira = toolkit.made[tenant, "ciraconfigs", tenant]
    assert {name: cira[name] for name in cira if name != "password"} == {
        "configName": tenant, "authMethod": 2, "username": "admin", "commonName": "mps.example",
        "mpsServerAddress": "mps.example", "mpsPort": 4433, "serverAddressFormat": 201,
        "mpsRootCertificate": "QUJDREVG", "proxyDetails": "",
    }  # fmt: skip
    modes = {
        mode: toolkit.made[tenant, "profiles", f"{tenant}_{mode}"] for mode in ("ccm", "acm")
    }
    assert {mode: (made["activation"], made["userConsent"]) for mode, made in modes.items()} == {
        "ccm": ("ccmactivate", "All"), "acm": ("acmactivate", "None"),
    }  # fmt: skip
    assert not Work.objects.exists()
    sealed = Activation.objects.get().password_sealed
    assert activation.password() not in sealed and activation.password() == modes["ccm"]["amtPassword"]


def test_machines_have_passwords_of_their_own_if_the_administrator_says_so(acme, toolkit, settings):
    settings.AMT_RANDOM_PASSWORDS = True
    Host(uuid=uuid4(), serial_number="SN00001").ask(amt_state=PROVISIONED)
    settle()
    made = toolkit.made[str(acme.uuid), "profiles", f"{acme.uuid}_acm"]
    assert made["generateRandomPassword"] is made["generateRandomMEBxPassword"] is True and "amtPassword" not in made


def test_a_server_that_is_away_is_told_and_asked_again(acme, toolkit):
    host = Host(uuid=uuid4(), serial_number="SN00001")
    host.ask(amt_state=PROVISIONED)
    toolkit.is_away = True
    settle()
    host.refresh_from_db()
    assert (host.amt_status, host.amt_status_indicator) == (
        "remote provisioning server (RPS) answered 503", Indicator.ERROR,
    )  # fmt: skip
    toolkit.is_away = False
    pass_time()
    settle()
    assert activation.is_ready() and not Work.objects.exists()


def test_where_there_is_no_amt_that_is_said(acme):
    host = Host(uuid=uuid4(), serial_number="SN00001")
    host.ask(amt_state=PROVISIONED)
    settle()
    host.refresh_from_db()
    assert "EIM_MPS_URL and EIM_RPS_URL" in host.amt_status and host.amt_status_indicator == Indicator.ERROR


def test_a_machine_is_deactivated_and_if_that_fails_it_is_tried_again(acme, toolkit):
    host = activated(toolkit)
    host.ask(amt_state=UNPROVISIONED)
    toolkit.is_away = True
    settle()
    host.refresh_from_db()
    assert (host.amt_status, host.amt_status_indicator) == ("AMT deactivation failed", Indicator.ERROR)
    toolkit.is_away = False
    pass_time()
    settle()
    host.refresh_from_db()
    assert (host.current_amt_state, host.amt_status) == (UNPROVISIONED, "AMT deactivated")
    assert str(host.uuid) not in toolkit.power


def test_rps_forgets_the_profiles_of_a_project_that_is_gone(django_db_setup, django_db_blocker, toolkit):
    with django_db_blocker.unblock():
        activation.clean()  # after tests before this one
        with fresh_project() as project:
            with schema_context(project.schema_name):
                activation.make()
            assert activation.clean() == 0 and len(toolkit.made) == 3
        assert activation.clean() == 1 and not toolkit.made and not Activation.objects.exists()
        connection.close()


# Domains of admin control mode ----------------------------------------------------------------------------------------

DOMAIN = {
    "profileName": "berlin", "domainSuffix": "berlin.example", "provisioningCert": "QUJD",
    "provisioningCertPassword": "hunter2", "provisioningCertStorageFormat": "string",
}  # fmt: skip


def test_domains_are_kept_by_rps_for_each_project(api, acme, beta, toolkit):
    path = f"{api.base}/dm/amt/admin/domains"
    made = api.post(path, DOMAIN)
    assert made.status_code == 200 and made.json()["profileName"] == "berlin"
    listed = api.get(f"{path}?$count=true").json()
    assert listed["totalCount"] == 1 and listed["data"][0]["domainSuffix"] == "berlin.example"
    assert "hunter2" not in str(listed) and "QUJD" not in str(listed)
    assert api.get(f"{path}/berlin").json()["tenantId"] == str(acme.uuid)
    theirs = client_of(beta, "im-rw")
    assert theirs.get(f"{theirs.base}/dm/amt/admin/domains").json() == {"data": [], "totalCount": 0}
    assert theirs.delete(f"{theirs.base}/dm/amt/admin/domains/berlin").status_code == 404
    again = api.post(path, DOMAIN)
    assert again.status_code == 400 and "already exists" in again.json()["message"]
    assert api.delete(f"{path}/berlin").status_code == 200 and api.get(f"{path}/berlin").status_code == 404
    toolkit.is_away = True
    assert api.get(path).status_code == 503


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"profileName": "../profiles"}, "profileName"), ({"domainSuffix": "a b"}, "domainSuffix"),
        ({"provisioningCert": "no base64!"}, "provisioningCert"), ({"provisioningCertPassword": 7}, "this is a text"),
    ],
)
def test_a_domain_that_can_not_be_is_refused_before_rps_hears_of_it(api, toolkit, change, why):
    answer = api.post(f"{api.base}/dm/amt/admin/domains", DOMAIN | change)
    assert answer.status_code == 400 and why in answer.json()["message"] and not toolkit.calls


def test_a_name_in_the_path_can_not_lead_to_other_parts_of_rps(api, acme, toolkit):
    api.get(f"{api.base}/dm/amt/admin/domains/..%2Fprofiles")
    assert all(" /api/v1/admin/domains" in request for _, request in toolkit.calls)


# Consoles -------------------------------------------------------------------------------------------------------------


def console(host: Host, kind: str) -> tuple[str, str, str]:
    host.refresh_from_db()
    state = getattr(host, f"current_{kind}_state").removeprefix(f"{kind.upper()}_").removeprefix("STATE_")
    return state, getattr(host, f"{kind}_session_status"), getattr(host, f"{kind}_status").rpartition("_")[2]


def ask_for(host: Host, kind: str, name: str) -> None:
    states = {"kvm": "inventory.models.compute.KvmState", "sol": "inventory.models.compute.SolState"}
    from django.utils.module_loading import import_string

    host.ask(**{f"{kind}_state": import_string(states[kind])[name]})
    settle()


@pytest.mark.parametrize("kind", ["kvm", "sol"])
@pytest.mark.parametrize("mode", ["CCM", "ACM"])
def test_a_session_goes_by_turns_of_client_and_server(acme, toolkit, kind, mode):
    host = activated(toolkit, amt_control_mode=f"AMT_CONTROL_MODE_{mode}")
    ask_for(host, kind, "START")
    assert console(host, kind)[0] == "AWAITING_CONSENT" and "relay token" in console(host, kind)[1]
    asked = [request for _, request in toolkit.calls if "userConsentCode" in request]
    assert len(asked) == (1 if mode == "CCM" else 0)
    ask_for(host, kind, "CONSENT_RECEIVED")
    assert console(host, kind)[0] == "AWAITING_CONSENT"
    ask_for(host, kind, "REDIRECTION_RECEIVED")
    assert console(host, kind) == ("START", f"{kind.upper()} session active", "ACTIVATED")
    ask_for(host, kind, "STOP")
    assert console(host, kind) == ("STOP", f"{kind.upper()} session stopped", "DEACTIVATED")
    assert not Work.objects.exists()


def test_a_session_that_can_not_be_is_an_error_with_its_reason_until_it_is_wished_for_again(acme, toolkit):
    host = Host(uuid=uuid4(), serial_number="SN00001")
    host.ask()
    ask_for(host, "kvm", "START")
    assert console(host, "kvm")[:2] == ("ERROR", "AMT is not provisioned")
    host.observe(amt_state=PROVISIONED)
    toolkit.provision(host.uuid)
    ask_for(host, "kvm", "START")
    assert console(host, "kvm")[0] == "AWAITING_CONSENT"
    toolkit.features = {"KVM": True, "SOL": False}
    ask_for(host, "sol", "START")
    assert console(host, "sol")[:2] == ("ERROR", "SOL is not enabled in the machine's AMT")
    ask_for(host, "sol", "REDIRECTION_RECEIVED")
    assert console(host, "sol")[0] == "ERROR"
    ask_for(host, "sol", "STOP")
    assert console(host, "sol")[0] == "STOP"


def test_a_client_that_never_comes_back_is_not_waited_for_for_ever(acme, toolkit, monkeypatch):
    host = activated(toolkit)
    ask_for(host, "kvm", "START")
    really = time.time
    monkeypatch.setattr(time, "time", lambda: really() + 301)
    pass_time()
    settle()
    assert console(host, "kvm")[0] == "ERROR" and "within 5 minutes" in console(host, "kvm")[1]


@pytest.mark.django_db
def test_a_host_that_is_registered_for_vpro_is_to_be_activated(api, acme, toolkit):
    body = {"serialNumber": "SN00001", "uuid": str(uuid4()), "enableVpro": True}
    made = api.post(f"{api.base}/compute/hosts/register", body).json()
    settle()
    assert made["desiredAmtState"] == PROVISIONED and activation.is_ready()
    assert Host.objects.get().desired_state == HostState.REGISTERED
