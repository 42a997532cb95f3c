"""Moving a project here: from a server of ours, and from one that answers as the archived system does."""

import csv
import json
import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
import redis
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django_tenants.utils import schema_context

from inventory import defaults
from inventory.bulk.server import FixedToken, Server
from inventory.models import (
    AmtState,
    CustomConfig,
    Host,
    HostState,
    Indicator,
    Instance,
    InstanceState,
    OperatingSystem,
    OsUpdateRun,
    Ou,
    PowerState,
    Provider,
    Region,
    RemoteAccess,
    SingleSchedule,
    Site,
    Status,
    TelemetryGroup,
)
from inventory.models.compute import Customization
from inventory.moving.kinds import KINDS
from inventory.moving.mover import Mover
from provisioning.models import Workflow
from tenants import claims, tokens
from tenants.models import Event, Project
from tests.conftest import client_of, settle
from tests.inventory.nouns import made
from tests.tenants.everything import one_of_everything


class Archive:
    """A project on a server that answers as the archived one: pages, limits and spellings of its REST API.

    resources: by path. ones: what GET of a single one adds to what its list shows.
    """

    def __init__(self, resources: dict[str, list[dict]], uuid: str = "") -> None:
        self.resources, self.uuid, self.ones = resources, uuid, {}
        self.collections = {kind.path: kind.collection for kind in KINDS}
        self.calls, self.fails_at = [], ""

    def answer(self, target: str) -> tuple[int, dict]:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        path = parts.path.removeprefix("/v1/projects/old").strip("/")
        self.calls.append(path)
        if not path:
            return 200, {"name": "old", "status": {"projectStatus": {"uID": self.uuid}}}
        if path == self.fails_at and "offset" in query:
            return 500, {"code": "Internal", "message": "context deadline exceeded"}
        if path in self.resources:
            return self.page(path, query)
        above, _, resource_id = path.rpartition("/")
        for one in self.resources.get(above, []):
            if one["resourceId"] == resource_id:
                return 200, {**one, **self.ones.get(resource_id, {})}
        return 404, {"code": "NotFound", "message": "Not Found"}

    def page(self, path: str, query: dict[str, str]) -> tuple[int, dict]:
        size, offset = int(query.get("pageSize", 0)), int(query.get("offset", 0))
        if "" in query.values() or not 1 <= size <= 100 or offset > 10_000:
            return 400, {"code": "InvalidArgument", "message": "bad query"}
        rows = self.resources[path]
        if condition := query.get("filter"):
            [part] = re.fullmatch(r'resourceId="([^"]*)"', condition).groups()
            rows = [row for row in rows if part in row["resourceId"]]
        shown = rows[offset : offset + size]
        return 200, {
            self.collections[path]: shown, "totalElements": len(rows), "hasNext": offset + len(shown) < len(rows),
        }  # fmt: skip


@contextmanager
def served(archive: Archive):
    """Yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            status, body = archive.answer(self.path)
            text = json.dumps(body, separators=(",", ":")).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEORCH_TOKEN", "whatever")


def move(archive: Archive, project: Project, *options: str) -> str:
    """What the command says when all came over."""
    with served(archive) as url, schema_context("public"):
        out = StringIO()
        call_command(
            "move_over", "--from", url, "--from-project", "old", "--project", project.name, *options, stdout=out,
            stderr=out,
        )  # fmt: skip
        return out.getvalue()


def reported() -> dict[str, str]:
    """Why what didn't come over, by id or kind."""
    with Path("move_over_report.csv").open(newline="") as file:
        return {row["id"] or row["kind"]: row["why"] for row in csv.DictReader(file)}


# From a server of ours ------------------------------------------------------------------------------------------------


def shown_by(project: Project) -> dict[str, list[dict]]:
    """All that its REST API shows, by path."""
    client = client_of(project, "im-r")
    return {
        kind.path: client.get(f"{client.base}/{kind.path}", {"pageSize": 100}).json()[kind.collection]
        for kind in KINDS
    }  # fmt: skip


def fill() -> None:
    """The current schema with one of everything, in the states that a project has after a while."""
    everything = one_of_everything()
    host, instance = everything[Host], everything[Instance]
    host.observe(
        state=HostState.ONBOARDED, uuid=UUID(int=7), host_status=Status("Running", Indicator.IDLE), cpu_cores=8,
        memory_bytes=2**40, hardware={
            "storages": [{"wwid": "w", "serial": "s", "vendor": "v", "model": "m", "deviceName": "sda",
                          "capacityBytes": "18446744073709551615"}],
            "nics": [{"deviceName": "eth0", "pciIdentifier": "", "macAddr": "aa:bb", "sriovEnabled": True,
                      "sriovVfsNum": 1, "sriovVfsTotal": 2, "features": "", "mtu": 1500,
                      "linkState": "NETWORK_INTERFACE_LINK_STATE_UP", "bmcInterface": False,
                      "ipaddresses": [{"address": "10.0.0.5/24", "configMethod": "IP_ADDRESS_CONFIG_METHOD_DYNAMIC",
                                       "status": "IP_ADDRESS_STATUS_CONFIGURED", "statusDetail": ""}]}],
            "usbs": [], "gpus": [],
        },
    )  # fmt: skip
    instance.observe(
        state=InstanceState.RUNNING, instance_status=Status("Running", Indicator.IDLE),
        provisioning_status=Status("Provisioned", Indicator.IDLE), existing_cves='[{"cve_id":"CVE-1"}]',
    )  # fmt: skip
    everything[OsUpdateRun].observe(status=Status("Succeeded", Indicator.IDLE), end_time=99)
    Customization.objects.create(instance=instance, custom_config=everything[CustomConfig])
    made(Region(name="below", parent_region=everything[Region]))


@pytest.fixture
def old(acme):
    """What a project of ours showed before its server was switched off."""
    fill()
    settle()
    shown = shown_by(acme)
    assert all(shown.values()), "the server has some of each kind"
    for model in (RemoteAccess, Ou):  # which no REST API shows
        model.objects.all()._raw_delete("default")
    uuid = str(acme.uuid)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM tenants_claim WHERE schema = %s", [acme.schema_name])
    return Archive(shown, uuid)


def without_times(shown: dict[str, list[dict]]) -> dict[str, list[dict]]:
    """But for when it was changed last, which is now, and for sessions, which end with their server."""

    def bare(value):
        if isinstance(value, list):
            return [bare(one) for one in value]
        if isinstance(value, dict):
            kept = {name: bare(one) for name, one in value.items() if not re.search("(?i)kvm|sol[A-Z]", name)}
            if "createdAt" in kept:
                kept.pop("updatedAt")
            return kept
        return value

    return bare(shown)


def test_a_project_of_ours_is_the_same_afterwards_and_nothing_happens_to_its_machines(old, beta):
    told = move(old, beta)
    assert "hosts: 1 moved" in told and "telemetry profiles of logs: 1 moved" in told
    with schema_context(beta.schema_name):
        assert without_times(shown_by(beta)) == without_times(old.resources)
        before = shown_by(beta)
        settle()
        assert shown_by(beta) == before, "nobody has changed anything"
        assert Workflow.objects.filter(schema=beta.schema_name).count() == 0
        assert Customization.objects.get().custom_config == CustomConfig.objects.get()
        assert {event.who for event in Event.objects.filter(schema=beta.schema_name)} == {"move_over"}


def test_a_second_run_changes_nothing_and_does_not_bring_back_what_was_changed_here(old, beta):
    move(old, beta)
    with schema_context(beta.schema_name):
        host = Host.objects.get()
        host.name = "renamed"
        host.save()
    assert "hosts: 1 here already" in move(old, beta)
    with schema_context(beta.schema_name):
        assert Host.objects.get().name == "renamed"
        assert Event.objects.filter(schema=beta.schema_name, who="move_over", resource_id=host).count() == 1


def test_a_dry_run_tells_the_same_and_leaves_nothing(old, beta):
    assert "nothing was changed, this was a dry run" in (told := move(old, beta, "--dry-run"))
    assert "hosts: 1 moved" in told
    with schema_context(beta.schema_name):
        assert not any(kind.model.objects.exists() for kind in KINDS)


def test_an_interrupted_move_is_completed_by_the_next(old, beta):
    old.fails_at = "compute/instances"
    with pytest.raises(CommandError, match="context deadline exceeded; what was moved is here, run it again to go on"):
        move(old, beta)
    with schema_context(beta.schema_name):
        assert Host.objects.exists() and not Instance.objects.exists()
    old.fails_at = ""
    told = move(old, beta)
    assert "hosts: 1 here already" in told and "instances: 1 moved" in told


def test_a_machine_of_another_project_does_not_come_and_neither_does_what_needs_it(old, acme, beta):
    with schema_context(acme.schema_name):
        claims.claim("host-0badcafe", UUID(int=7), "")
    with pytest.raises(CommandError, match="Moved, but for "):
        move(old, beta)
    [host], [instance] = old.resources["compute/hosts"], old.resources["compute/instances"]
    why = reported()
    assert why[host["resourceId"]] == f"A host with UUID {UUID(int=7)} is already registered"
    assert why[instance["resourceId"]] == f"its {host['resourceId']} isn't here"
    with schema_context(beta.schema_name):
        assert Site.objects.exists() and not Host.objects.exists() and not Instance.objects.exists()


# From the archived system ---------------------------------------------------------------------------------------------

TIMES = {"timestamps": {"createdAt": "2025-03-01T08:00:00.5Z", "updatedAt": "2025-03-02T08:00:00Z"}}
NOTHING = {"resourceId": "", "name": "", "regionID": "", "metadata": [], "totalSites": 0}  # its root regions' parent
UUIDS = [str(UUID(int=number)) for number in range(1, 9)]


def a_host(number: int, **told) -> dict:
    """As the archived server shows one, with all that is empty in it."""
    return {
        "resourceId": f"host-0000000{number}", "name": f"rack-{number}", "uuid": UUIDS[number],
        "serialNumber": f"SN{number}", "desiredState": "HOST_STATE_ONBOARDED", "currentState": "HOST_STATE_ONBOARDED",
        "site": None, "provider": None, "siteId": "", "instance": None, "note": "", "memoryBytes": "68719476736",
        "cpuCores": 16, "bmcKind": "BAREMETAL_CONTROLLER_KIND_NONE", "hostStatus": "Running",
        "hostStatusIndicator": "STATUS_INDICATION_IDLE", "hostStatusTimestamp": 1740000000,
        "desiredPowerState": "POWER_STATE_ON", "currentPowerState": "POWER_STATE_UNSPECIFIED",
        "desiredAmtState": "AMT_STATE_UNPROVISIONED", "currentAmtState": "AMT_STATE_UNSPECIFIED",
        "hostStorages": [{"capacityBytes": "1000204886016", "deviceName": "nvme0n1", **TIMES}],
        "hostNics": [{"deviceName": "eth0", "mtu": 1500, "linkState": {"type": "NETWORK_INTERFACE_LINK_STATE_UP"},
                      "ipaddresses": [{"resourceId": "ipaddr-1", "address": "10.0.0.5/24"}]}],
        "hostUsbs": [], "hostGpus": [{"product": "Iris", "capabilities": [""]}], "metadata": [], "userLvmSize": 0,
        "inheritedMetadata": [{"key": "city", "value": "berlin"}], **TIMES, **told,
    }  # fmt: skip


def an_instance(number: int, **told) -> dict:
    return {
        "resourceId": f"inst-0000000{number}", "instanceID": f"inst-0000000{number}", "kind": "INSTANCE_KIND_METAL",
        "name": f"rack-{number}-instance", "desiredState": "INSTANCE_STATE_RUNNING",
        "currentState": "INSTANCE_STATE_RUNNING", "host": {"resourceId": f"host-0000000{number}"},
        "os": {"resourceId": "os-0000000a", "name": "Ubuntu"}, "localaccount": None, "customConfig": [],
        "securityFeature": "SECURITY_FEATURE_NONE", "provisioningStatus": "Provisioned",
        "provisioningStatusIndicator": "STATUS_INDICATION_IDLE", "provisioningStatusTimestamp": "1740000001",
        "hostID": "", "osID": "", **TIMES, **told,
    }  # fmt: skip


@pytest.fixture
def archive():
    """A small project there: with what a new project of ours begins with under other ids, and with what is odd."""
    resources = {kind.path: [] for kind in KINDS}
    resources["regions"] = [
        {"resourceId": "region-0000000b", "name": "Berlin", "parentRegion": {"resourceId": "region-0000000c"}, **TIMES},
        {"resourceId": "region-0000000c", "name": "Germany", "parentRegion": NOTHING, "parentId": "",
         "metadata": [{"key": "country", "value": "germany"}], "totalSites": 1, **TIMES},
    ]  # fmt: skip
    resources["regions/region/sites"] = [
        {"resourceId": "site-0000000a", "name": "Mitte", "region": {"resourceId": "region-0000000b"},
         "siteLat": 525200000, "siteLng": 134050000, "provider": None},
    ]  # fmt: skip
    resources["providers"] = [
        {"resourceId": "provider-0000000a", "name": "infra_onboarding", "providerKind": "PROVIDER_KIND_BAREMETAL",
         "providerVendor": "PROVIDER_VENDOR_UNSPECIFIED", "apiEndpoint": "null", "apiCredentials": [],
         "config": '{"autoProvision":true,"defaultOs":"os-0000000a","osSecurityFeatureEnable":false}'},
        {"resourceId": "provider-0000000b", "name": "loca", "providerKind": "PROVIDER_KIND_BAREMETAL",
         "providerVendor": "PROVIDER_VENDOR_LENOVO_LOCA", "apiEndpoint": "https://loca.example.org",
         "apiCredentials": ["loca-secret"], "config": "{}"},
    ]  # fmt: skip
    resources["compute/os"] = [{
        "resourceId": "os-0000000a", "name": "Ubuntu 24.04 LTS", "profileName": "ubuntu-24.04-lts-generic",
        "profileVersion": "3.0.20", "imageId": "3.0.20", "imageUrl": "https://cloud-images.ubuntu.com/noble.img",
        "sha256": "b" * 64, "osType": "OS_TYPE_MUTABLE", "osProvider": "OS_PROVIDER_KIND_INFRA", "repoUrl": "",
        "securityFeature": "SECURITY_FEATURE_NONE", "installedPackages": '[{"name":"bash"}]', **TIMES,
    }]  # fmt: skip
    resources["customConfigs"] = [{"resourceId": "customconfig-0000000a", "name": "motd", "config": "#cloud-config\n"}]
    resources["compute/hosts"] = [a_host(1, siteId="site-0000000a", site={"resourceId": "site-0000000a"}), a_host(2)]
    resources["compute/instances"] = [an_instance(1), an_instance(2)]
    resources["schedules/single"] = [
        {"resourceId": "singlesche-0000000a", "name": "open", "scheduleStatus": "SCHEDULE_STATUS_MAINTENANCE",
         "startSeconds": 1740000000, "endSeconds": 0, "targetHost": {"resourceId": "host-00000001"}},
    ]  # fmt: skip
    resources["telemetry/loggroups"] = [
        {"resourceId": "telemetrygroup-0000000a", "name": "SystemD", "groups": ["systemd"],
         "collectorKind": "TELEMETRY_COLLECTOR_KIND_HOST"},
    ]  # fmt: skip
    archive = Archive(resources)
    archive.ones["inst-00000002"] = {"customConfig": [{"resourceId": "customconfig-0000000a"}]}
    return archive


@pytest.fixture
def new(acme):
    """A project of ours as new ones are, with what they begin with."""
    defaults.make()
    return acme


def test_a_project_of_the_archived_system_keeps_ids_states_and_places(archive, new):
    told = move(archive, new)
    host = Host.objects.get(resource_id="host-00000001")
    assert (host.uuid, host.serial_number, host.site.region.parent_region.name) == (UUID(UUIDS[1]), "SN1", "Germany")
    assert (host.host_status, host.host_status_timestamp, host.memory_bytes) == ("Running", 1740000000, 2**36)
    assert host.hardware["nics"][0]["linkState"] == "NETWORK_INTERFACE_LINK_STATE_UP"
    assert host.hardware["storages"][0]["capacityBytes"] == "1000204886016"
    assert f"{host.created_at:%F}" == "2025-03-01"
    instance = Instance.objects.get(resource_id="inst-00000002")
    assert (instance.current_state, instance.provisioning_status_timestamp) == (InstanceState.RUNNING, 1740000001)
    assert [str(one) for one in instance.custom_config.all()] == ["customconfig-0000000a"]
    assert SingleSchedule.objects.get().target_host == host
    assert "2 onboarded hosts have no credentials here" in told


def test_what_a_new_project_begins_with_makes_room_for_the_same_with_the_old_id(archive, new):
    move(archive, new)
    assert str(Provider.objects.get(name=defaults.PROVIDER)) == "provider-0000000a"
    assert [str(one) for one in TelemetryGroup.objects.filter(name="SystemD")] == ["telemetrygroup-0000000a"]
    assert TelemetryGroup.objects.count() == 14
    defaults.make()  # as whenever the profiles are looked at
    assert [str(one) for one in OperatingSystem.objects.filter(name__startswith="Ubuntu 24")][:1] == ["os-0000000a"]


def test_what_is_a_secret_or_refers_to_nothing_is_told_and_the_rest_comes(archive, new):
    archive.resources["compute/hosts"] += [
        a_host(3, metadata=[{"key": "kubeconfig", "value": "apiVersion: v1"}]),
        a_host(4, provider={"resourceId": "provider-ffffffff"}), a_host(5, uuid="no-uuid"),
        a_host(6, cpuModel="x" * 500, cpuCores="32"), a_host(7, currentState="HOST_STATE_DELETED"),
        {"resourceId": ["host-00000008"]}, a_host(2, resourceId="host-2", uuid=str(uuid4())),
    ]  # fmt: skip
    del archive.resources["telemetry/profiles/logs"]
    with pytest.raises(CommandError, match="Moved, but for 6, "):
        move(archive, new)
    why = reported()
    assert why["host-00000003"] == "the kubeconfig in its metadata is a secret, and stays there"
    assert why["host-00000004"] == "its provider-ffffffff isn't here"
    assert "uuid" in why["host-00000005"].lower()
    assert why["host-00000006"].startswith("cpuModel")
    assert why["host-00000007"] == "it is being deleted there"
    assert why["host-2"] == "'host-2' is not the id of a host"
    assert why["provider-0000000b"].startswith("its credentials are secrets")
    assert why["telemetry profiles of logs"] == "the server doesn't show them: Not Found"
    assert Host.objects.get(resource_id="host-00000003").metadata == []
    six = Host.objects.get(resource_id="host-00000006")
    assert (six.cpu_model, six.cpu_cores) == ("", 32)


def test_wishes_that_had_not_come_true_wait_for_somebody_to_make_them_here(archive, new):
    amt = {"currentAmtState": "AMT_STATE_PROVISIONED"}
    archive.resources["compute/hosts"] = [
        a_host(1, desiredPowerState="POWER_STATE_OFF", currentPowerState="POWER_STATE_ON"),
        a_host(2, desiredPowerState="POWER_STATE_RESET", currentPowerState="POWER_STATE_RESET"),
        a_host(3, **amt, desiredAmtState="AMT_STATE_UNPROVISIONED"),
        a_host(4, desiredState="HOST_STATE_REGISTERED", currentState="HOST_STATE_UNSPECIFIED"),
    ]
    waits = {"currentState": "INSTANCE_STATE_UNSPECIFIED", "provisioningStatus": "Not Provisioned"}
    archive.resources["compute/instances"] = [an_instance(1, **waits), an_instance(4, **waits)]
    move(archive, new)
    settle()
    off, reset, leaving = (Host.objects.get(resource_id=f"host-0000000{number}") for number in (1, 2, 3))
    assert (off.desired_power_state, off.current_power_state) == (PowerState.UNSPECIFIED, PowerState.ON)
    assert reset.desired_power_state == reset.current_power_state == reset.power_command == PowerState.RESET
    assert (leaving.desired_amt_state, leaving.current_amt_state) == (AmtState.UNSPECIFIED, AmtState.PROVISIONED)
    held, waiting = (Instance.objects.get(resource_id=f"inst-0000000{number}") for number in (1, 4))
    assert (held.desired_state, waiting.desired_state) == (InstanceState.UNSPECIFIED, InstanceState.RUNNING)
    assert Workflow.objects.filter(schema=new.schema_name).count() == 0, "no machine is installed"
    assert reported()["inst-00000001"].startswith("it was not installed there yet: PATCH it here")


def test_machines_go_on_with_the_secrets_of_their_keycloak_also_when_these_come_later(archive, new, tmp_path):
    move(archive, new)
    client_id = f"edgenode-{UUIDS[1]}"
    export = {"realm": "master", "clients": [{"clientId": client_id, "secret": "as-installed"}, {"clientId": "admin"}]}
    (tmp_path / "realm.json").write_text(json.dumps(export))
    assert "1 onboarded hosts have no credentials" in move(archive, new, "--node-secrets", "realm.json")
    connection.set_schema_to_public()
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": "as-installed"}
    answer = Client().post("/realms/master/protocol/openid-connect/token", form)
    assert answer.status_code == 200, answer.content
    assert f"{new.uuid}_en-agent-rw" in tokens.verify(answer.json()["access_token"]).roles
    export["clients"][0]["secret"] = "**********"
    (tmp_path / "realm.json").write_text(json.dumps(export))
    with pytest.raises(CommandError, match="has no secrets: a partial export hides them"):
        move(archive, new, "--node-secrets", "realm.json")


def test_a_machine_that_ran_there_counts_as_silent_once_it_has_not_called_here_for_long_enough(archive, new):
    move(archive, new)
    waited_for = redis.Redis.from_url(settings.PRESENCE_URL).zscore("due", f"{new.schema_name} {UUIDS[1]}")
    assert waited_for > time.time(), "and not at once"


def test_more_than_an_offset_reaches_are_asked_for_by_the_beginnings_of_their_ids(archive, new):
    archive.resources["regions"] = [{"resourceId": f"region-{number * 7919 % 2**32:08x}"} for number in range(10_050)]
    with served(archive) as url:
        mover = Mover(Server(url, "old", FixedToken(None), 8))
        [(kind, total)] = [(kind, total) for kind, total in mover.totals().items() if kind.path == "regions"]
        read = [body["resourceId"] for page in mover._pages(kind, total) for body in page]
    assert len(read) == len({*read}) == 10_050


def test_a_keycloak_that_stays_needs_the_projects_uuid_and_the_command_says_so(archive, new):
    archive.uuid = str(uuid4())
    assert f"create_project NAME --org ORG --uuid {archive.uuid}" in move(archive, new)
    archive.uuid = str(new.uuid)
    assert "create_project" not in move(archive, new)
