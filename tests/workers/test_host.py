"""The host manager's door: what agents report becomes facts, and only what changed is written."""

import json

import grpc
import pytest

from inventory.models import HostState, Indicator, InstanceState, Status
from tenants.models import Event, Ring
from tests.conftest import settle
from tests.southbound import Node, registered, wanted
from wire import attestmgr_pb2 as attest
from wire import hostmgr_pb2 as hm
from workers import answers, southbound


@pytest.fixture
def node(southbound_address, there):
    """An installed machine."""
    node = Node(southbound_address)
    node.instance = wanted(registered(node))
    node.onboard()
    settle()
    node.work_through()
    settle()
    node.instance.refresh_from_db()
    node.host = node.instance.host
    return node


def refused(call, *args, **kwargs) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as refusal:
        call(*args, **kwargs)
    return refusal.value.code()


def test_a_heartbeat_makes_host_and_instance_running(node):
    node.heartbeat()
    node.host.refresh_from_db()
    node.instance.refresh_from_db()
    assert node.host.host_status == node.instance.instance_status == "Running"
    assert node.instance.instance_status_detail == "5 of 5 components running"
    assert node.instance.current_state == InstanceState.RUNNING


def test_a_heartbeat_that_says_nothing_new_never_touches_the_tables(node):
    node.heartbeat()
    node.host.refresh_from_db()
    before = node.host.updated_at, Event.objects.count()
    for _ in range(3):
        node.heartbeat()
    node.host.refresh_from_db()
    assert (node.host.updated_at, Event.objects.count()) == before


def test_a_new_detail_is_written_down_and_wakes_nobody(node):
    node.heartbeat()
    settle()
    node.heartbeat(detail="4 of 5 components running")
    node.instance.refresh_from_db()
    assert node.instance.instance_status_detail == "4 of 5 components running"
    assert not Ring.objects.exists()


@pytest.mark.parametrize(
    ("status", "host", "instance"),
    [
        (hm.INSTANCE_STATUS_INITIALIZING, "Running", "Initializing"),
        (hm.INSTANCE_STATUS_ERROR, "Error", "Error"),
        (hm.INSTANCE_STATUS_UPDATING, "Unknown", "Unknown"),
        (hm.INSTANCE_STATUS_UNSPECIFIED, "Unknown", ""),
    ],
)
def test_the_texts_are_those_that_clients_know(node, status, host, instance):
    node.heartbeat(status)
    node.host.refresh_from_db()
    node.instance.refresh_from_db()
    assert (node.host.host_status, node.instance.instance_status) == (host, instance)


def test_agents_of_a_host_that_is_not_installed_are_told_to_come_back(southbound_address, there):
    node = Node(southbound_address)
    wanted(registered(node))
    node.onboard()
    assert refused(node.heartbeat) == grpc.StatusCode.FAILED_PRECONDITION
    assert refused(node.heartbeat) == grpc.StatusCode.FAILED_PRECONDITION  # and not taken for heard


def test_agents_who_come_again_are_refused_without_a_question_until_something_changes(
    southbound_address, there, monkeypatch
):
    node = Node(southbound_address)
    wanted(registered(node))
    node.onboard()
    settle()
    for _ in range(2):  # the first asks what has changed since it was known last
        assert refused(node.heartbeat) == grpc.StatusCode.FAILED_PRECONDITION
    monkeypatch.setattr(answers, "LOOK_EVERY", 3600)
    worked, in_database = [], southbound._enter
    monkeypatch.setattr(southbound, "_enter", lambda *args: worked.append(args) or in_database(*args))
    for tell in (node.heartbeat, node.report_hardware):
        assert refused(tell) == grpc.StatusCode.FAILED_PRECONDITION
    assert not worked
    monkeypatch.setattr(answers, "LOOK_EVERY", 0)
    node.work_through()
    assert refused(node.heartbeat) == grpc.StatusCode.FAILED_PRECONDITION  # the loop has yet to see it
    settle()
    node.heartbeat()


def test_a_host_that_is_not_trusted_any_more_is_refused_at_its_next_heartbeat(node):
    node.heartbeat()
    node.host.refresh_from_db()
    node.host.ask(state=HostState.UNTRUSTED)
    settle()
    assert refused(node.heartbeat) == grpc.StatusCode.UNAUTHENTICATED


def test_a_node_speaks_for_itself_alone(node, southbound_address):
    other = Node(southbound_address, serial="SN0000002")
    registered(other)
    assert refused(node.heartbeat, uuid=other.uuid) == grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("header", [[], [("authorization", "Bearer")], [("authorization", "Bearer x.y.z")]])
def test_without_a_good_token_a_heartbeat_is_unauthenticated(node, header):
    request = hm.UpdateInstanceStateStatusByHostGUIDRequest(host_guid=str(node.uuid))
    code = refused(node.manager.UpdateInstanceStateStatusByHostGUID, request, metadata=header, timeout=5)
    assert code == grpc.StatusCode.UNAUTHENTICATED


def test_what_is_malformed_is_invalid(node):
    assert refused(node.heartbeat, uuid="x") == grpc.StatusCode.INVALID_ARGUMENT
    assert refused(node.heartbeat, detail="100%") == grpc.StatusCode.INVALID_ARGUMENT


def test_old_agents_states_of_an_instance_change_nothing_and_are_written_once(node):
    def beat(state):
        request = hm.UpdateInstanceStateStatusByHostGUIDRequest(
            host_guid=str(node.uuid), instance_state=state, instance_status=hm.INSTANCE_STATUS_RUNNING
        )
        node.manager.UpdateInstanceStateStatusByHostGUID(request, **node.auth)

    beat(hm.INSTANCE_STATE_RUNNING)
    count = Event.objects.count()
    for state in (hm.INSTANCE_STATE_INSTALLED, hm.INSTANCE_STATE_STOPPED, hm.INSTANCE_STATE_DELETED, 77):
        beat(state)
    node.instance.refresh_from_db()
    assert (node.instance.current_state, Event.objects.count()) == (InstanceState.RUNNING, count)


def test_the_legacy_call_sets_the_host_s_status_alone(node):
    for status, shown in ((hm.HostStatus.ERROR, "Error"), (hm.HostStatus.UPDATING, "Unknown"), (99, "Unknown")):
        node.manager.UpdateHostStatusByHostGuid(
            hm.UpdateHostStatusByHostGuidRequest(
                host_guid=str(node.uuid), host_status=hm.HostStatus(host_status=status, details="x")
            ), **node.auth,
        )  # fmt: skip
        node.host.refresh_from_db()
        assert node.host.host_status == shown
    missing = hm.UpdateHostStatusByHostGuidRequest(host_guid=str(node.uuid))
    assert refused(node.manager.UpdateHostStatusByHostGuid, missing, **node.auth) == grpc.StatusCode.INVALID_ARGUMENT


def test_a_machine_that_is_being_updated_keeps_its_host_status_until_the_update_is_over(node):
    node.heartbeat()
    node.instance.observe(update_status=Status("Updating", Indicator.IN_PROGRESS))
    node.heartbeat(hm.INSTANCE_STATUS_ERROR)
    node.host.refresh_from_db()
    node.instance.refresh_from_db()
    assert (node.host.host_status, node.instance.instance_status) == ("Running", "Error")
    node.instance.observe(update_status=Status("Update completed", Indicator.IDLE))
    node.heartbeat(hm.INSTANCE_STATUS_ERROR)
    node.host.refresh_from_db()
    assert node.host.host_status == "Error"


WRONG = {
    "a name that is too long": {"hw_info": hm.HWInfo(product_name="x" * 129)},
    "a vendor that is too long": {"bios_info": hm.BiosInfo(vendor="x" * 41)},
    "no date": {"bios_info": hm.BiosInfo(release_date="13/45/2024")},
    "a disk without a name": {"hw_info": hm.HWInfo(storage=hm.Storage(disk=[hm.SystemDisk(size=1)]))},
    "no address": {"hw_info": hm.HWInfo(network=[hm.SystemNetwork(
        name="eth0", ip_addresses=[hm.IPAddress(ip_address="10.0.0.256", network_prefix_bits=24)])])},
    "too many bits": {"hw_info": hm.HWInfo(network=[hm.SystemNetwork(
        name="eth0", ip_addresses=[hm.IPAddress(ip_address="10.0.0.5", network_prefix_bits=33)])])},
    "a GPU without its id": {"hw_info": hm.HWInfo(gpu=[hm.SystemGPU(vendor="Matrox")])},
    "a NUL": {"hw_info": hm.HWInfo(product_name="a\0b")},
    "too many cores": {"hw_info": hm.HWInfo(cpu=hm.SystemCPU(sockets=1, cores=2**32 - 1, threads=1))},
    "cores without threads": {"hw_info": hm.HWInfo(cpu=hm.SystemCPU(sockets=1, cores=4))},
    "too much memory": {"hw_info": hm.HWInfo(memory=hm.SystemMemory(size=2**64 - 1))},
    "too many devices": {"hw_info": hm.HWInfo(usb=[hm.SystemUSB(addr=number) for number in range(1025)])},
}  # fmt: skip


def test_a_report_that_breaks_a_rule_is_refused_and_nothing_of_it_is_kept(node):
    node.report_hardware(hw_info=hm.HWInfo(cpu=hm.SystemCPU(**CPU)))
    count = Event.objects.count()
    for what, info in WRONG.items():
        for _ in range(2):  # and it is not taken for told
            assert refused(node.report_hardware, **info) == grpc.StatusCode.INVALID_ARGUMENT, what
    assert Event.objects.count() == count


@pytest.mark.parametrize("release", ["9/5/2024", "2024-02-03", "02/03/2024", "02-03-2024", "2024/02/03", ""])
def test_dates_of_a_bios_come_in_these_forms(node, release):
    if release == "9/5/2024":
        assert refused(node.report_hardware, bios_info=hm.BiosInfo(release_date=release))
    else:
        node.report_hardware(bios_info=hm.BiosInfo(release_date=release))


def test_an_ipv6_address_and_an_empty_entry_of_an_old_agent_are_taken(node):
    address = hm.IPAddress(ip_address="fd00::5", network_prefix_bits=128, config_mode=9)
    node.report_hardware(hw_info=hm.HWInfo(
        network=[hm.SystemNetwork(name="eth0", ip_addresses=[address])], gpu=[hm.SystemGPU()]
    ))  # fmt: skip
    node.host.refresh_from_db()
    assert node.host.hardware["nics"][0]["ipaddresses"][0]["address"] == "fd00::5/128"
    assert node.host.hardware["gpus"] == []


@pytest.mark.parametrize(
    ("told", "detail", "shown"),
    [
        (attest.ATTESTATION_STATUS_VERIFIED, "", ("Verified", Indicator.IDLE)),
        (attest.ATTESTATION_STATUS_FAILED, "PCR 7 differs", ("PCR 7 differs", Indicator.ERROR)),
        (9, "later", ("later", Indicator.UNSPECIFIED)),
    ],
)
def test_an_attestation_is_shown(node, told, detail, shown):
    attested(node, told, detail)
    node.instance.refresh_from_db()
    now = node.instance.trusted_attestation_status, node.instance.trusted_attestation_status_indicator
    assert now == shown
    count = Event.objects.count()
    attested(node, told, detail)
    assert Event.objects.count() == count


def test_an_attestation_that_cannot_be_is_refused(node, southbound_address):
    def code(*told):
        return refused(attested, *told)

    assert code(node, attest.ATTESTATION_STATUS_UNSPECIFIED) == grpc.StatusCode.INVALID_ARGUMENT
    bare = Node(southbound_address, serial="SN0000002")
    bare.token = node.token
    assert code(bare, attest.ATTESTATION_STATUS_VERIFIED) == grpc.StatusCode.PERMISSION_DENIED
    registered(bare)
    bare.onboard()
    assert code(bare, attest.ATTESTATION_STATUS_VERIFIED) == grpc.StatusCode.NOT_FOUND  # it has no instance
    node.host.refresh_from_db()
    node.host.ask(state=HostState.UNTRUSTED)
    assert code(node, attest.ATTESTATION_STATUS_VERIFIED) == grpc.StatusCode.UNAUTHENTICATED


def attested(node, told, detail=""):
    node.attestation.UpdateInstanceAttestationStatusByHostGuid(
        attest.UpdateInstanceAttestationStatusByHostGuidRequest(
            host_guid=str(node.uuid), attestation_status=told, attestation_status_detail=detail
        ), **node.auth,
    )  # fmt: skip


CPU = {"arch": "x86_64", "model": "Xeon", "sockets": 1, "cores": 8, "threads": 16, "features": ["sse", "avx"]}


def test_hardware_is_written_as_the_api_shows_it(node):
    node.report_hardware(hw_info=hm.HWInfo(
        product_name="ThinkEdge", cpu=hm.SystemCPU(**CPU), memory=hm.SystemMemory(size=2**34),
        storage=hm.Storage(disk=[hm.SystemDisk(name="nvme0n1", size=2**40, model="980")]),
        network=[hm.SystemNetwork(name="eth0", mac="52:54:00:00:00:01", link_state=True, mtu=1500, ip_addresses=[
            hm.IPAddress(ip_address="10.0.0.5", network_prefix_bits=24, config_mode=2)])],
    ))  # fmt: skip
    node.host.refresh_from_db()
    assert (node.host.cpu_cores, node.host.cpu_capabilities, node.host.memory_bytes) == (8, "sse,avx", 2**34)
    assert node.host.hardware["storages"][0]["capacityBytes"] == str(2**40)
    [nic] = node.host.hardware["nics"]
    assert nic["linkState"] == "NETWORK_INTERFACE_LINK_STATE_UP"
    assert nic["ipaddresses"][0]["address"] == "10.0.0.5/24"


def test_a_message_that_a_report_leaves_out_is_no_statement_about_its_part(node):
    node.report_hardware(hw_info=hm.HWInfo(
        cpu=hm.SystemCPU(**CPU), gpu=[hm.SystemGPU(pci_id="0:1")], storage=hm.Storage(disk=[hm.SystemDisk(name="sda")]),
    ))  # fmt: skip
    node.report_hardware(kc_info=hm.ClusterInfo(kubeconfig="x"))
    node.report_hardware(bios_info=hm.BiosInfo(version="1.2"))
    node.host.refresh_from_db()
    assert (node.host.cpu_cores, node.host.bios_version) == (8, "1.2")
    assert [len(node.host.hardware[part]) for part in ("gpus", "storages")] == [1, 1]
    node.report_hardware(hw_info=hm.HWInfo(cpu=hm.SystemCPU(cores=0), memory=hm.SystemMemory(size=0)))
    node.host.refresh_from_db()
    assert node.host.cpu_cores == 8  # an agent whose tools are missing sends these empty
    assert [len(node.host.hardware[part]) for part in ("gpus", "storages")] == [0, 1]


def test_a_part_that_is_told_replaces_what_was_known_of_it_whole(node):
    def usb(*addresses):
        return hm.HWInfo(usb=[hm.SystemUSB(bus=1, addr=addr, description=f"stick {addr}") for addr in addresses])

    node.report_hardware(hw_info=usb(1, 2))
    node.report_hardware(hw_info=usb(2, 3, 3))
    node.host.refresh_from_db()
    assert [device["deviceName"] for device in node.host.hardware["usbs"]] == ["stick 2", "stick 3"]


def test_the_same_hardware_again_writes_nothing(node):
    node.report_hardware(hw_info=hm.HWInfo(cpu=hm.SystemCPU(**CPU)))
    count = Event.objects.count()
    node.report_hardware(hw_info=hm.HWInfo(cpu=hm.SystemCPU(**CPU)))
    assert Event.objects.count() == count


def test_the_operators_metadata_survives_every_report(node):
    node.host.refresh_from_db()
    node.host.metadata = [{"key": "city", "value": "berlin"}]
    node.host.save()
    node.report_hardware(hw_info=hm.HWInfo(cpu=hm.SystemCPU(**CPU)), kc_info=hm.ClusterInfo(kubeconfig="x"))
    node.host.refresh_from_db()
    assert node.host.metadata == [{"key": "city", "value": "berlin"}]


def test_a_topology_that_contradicts_the_sockets_is_refused(node):
    group = hm.CoreGroup(core_type="P", core_list=[0, 1])
    topology = hm.CPUTopology(sockets=[hm.Socket(socket_id=0, core_groups=[group])])
    two = CPU | {"sockets": 2, "cpu_topology": topology}
    code = refused(node.report_hardware, hw_info=hm.HWInfo(cpu=hm.SystemCPU(**two)))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    node.report_hardware(hw_info=hm.HWInfo(cpu=hm.SystemCPU(**CPU | {"cpu_topology": topology})))
    node.host.refresh_from_db()
    assert json.loads(node.host.cpu_topology)["sockets"][0]["core_groups"][0]["core_list"] == [0, 1]
