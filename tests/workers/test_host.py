"""The host manager's door: what agents report becomes facts, and only what changed is written."""

import json

import grpc
import pytest

from inventory.models import HostState, InstanceState
from tenants.models import Event, Ring
from tests.conftest import settle
from tests.southbound import Node, registered, wanted
from wire import hostmgr_pb2 as hm


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


def test_a_part_that_a_report_leaves_out_is_no_statement_about_it(node):
    node.report_hardware(hw_info=hm.HWInfo(cpu=hm.SystemCPU(**CPU), gpu=[hm.SystemGPU(pci_id="0:1")]))
    node.report_hardware(kc_info=hm.ClusterInfo(kubeconfig="x"))
    node.report_hardware(bios_info=hm.BiosInfo(version="1.2"))
    node.report_hardware(hw_info=hm.HWInfo(cpu=hm.SystemCPU(cores=0), memory=hm.SystemMemory(size=0)))
    node.host.refresh_from_db()
    assert (node.host.cpu_cores, node.host.bios_version) == (8, "1.2") and len(node.host.hardware["gpus"]) == 1


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
