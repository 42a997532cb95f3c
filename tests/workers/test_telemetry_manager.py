"""The telemetry manager's door: profiles of an instance, its site and all regions around are merged into one list."""

import re
from uuid import uuid4

import grpc
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_tenants.utils import schema_context

from inventory.models import Host, HostState, Region, Site, TelemetryGroup, TelemetryProfile
from tenants import credentials, tokens
from tests.southbound import Node, registered, wanted
from wire import telemetrymgr_pb2 as tm
from workers import answers
from workers.servicers.telemetry import merged

METRICS, LOGS = tm.TELEMETRY_RESOURCE_KIND_METRICS, tm.TELEMETRY_RESOURCE_KIND_LOGS
HOST, CLUSTER = tm.COLLECTOR_KIND_HOST, tm.COLLECTOR_KIND_CLUSTER


@pytest.fixture
def node(southbound_address, there, monkeypatch):
    """A machine with an instance, at a site in a region in a region."""
    monkeypatch.setattr(answers, "LOOK_EVERY", 0)
    outer = Region(name="outer")
    outer.ask()
    inner = Region(name="inner", parent_region=outer)
    inner.ask()
    site = Site(name="here", region=inner)
    site.ask()
    node = Node(southbound_address)
    node.host = registered(node)
    node.host.site = site
    node.host.save()
    node.instance = wanted(node.host)
    node.places = {"region": outer, "site": site, "instance": node.instance}
    with schema_context("public"):
        node.token = tokens.for_node(credentials.client_id_of(node.uuid), there.uuid)
    return node


def group(kind: str, *inputs: str, collector="HOST") -> TelemetryGroup:
    made = TelemetryGroup(
        name=f"{kind} {collector}", kind=f"TELEMETRY_RESOURCE_KIND_{kind}", groups=list(inputs),
        collector_kind=f"TELEMETRY_COLLECTOR_KIND_{collector}",
    )  # fmt: skip
    made.ask()
    return made


def profile(of: TelemetryGroup, interval=0, level="UNSPECIFIED", **place) -> TelemetryProfile:
    made = TelemetryProfile(
        group=of, kind=of.kind, metrics_interval=interval, log_level=f"SEVERITY_LEVEL_{level}", **place
    )
    made.ask()
    return made


def config(node, uuid=None):
    request = tm.GetTelemetryConfigByGuidRequest(guid=str(uuid or node.uuid))
    answer = node.telemetry.GetTelemetryConfigByGUID(request, **node.auth)
    assert answer.host_guid == request.guid
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[-+]\d\d:\d\d", answer.timestamp)
    return [(entry.input, entry.type, entry.kind, entry.level, entry.interval) for entry in answer.cfg]


def refused(call, *args) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as refusal:
        call(*args)
    return refusal.value.code()


def test_profiles_around_a_machine_add_up_the_most_often_and_the_most_verbose_win(node):
    assert config(node) == []
    metrics, logs = group("METRICS", "net", "cpu"), group("LOGS", "boot")
    pods = group("METRICS", "cpu", collector="CLUSTER")
    elsewhere = Region(name="elsewhere")
    elsewhere.ask()
    profile(metrics, 30, region=node.places["region"])
    profile(metrics, 60, instance=node.places["instance"])
    profile(metrics, 5, region=elsewhere)
    profile(pods, 90, site=node.places["site"])
    profile(logs, level="ERROR", instance=node.places["instance"])
    loudest = profile(logs, level="DEBUG", region=node.places["region"])
    profile(logs, level="INFO", site=node.places["site"])
    by_input = [
        ("boot", LOGS, HOST, tm.SEVERITY_LEVEL_DEBUG, 0), ("cpu", METRICS, HOST, 0, 30),
        ("cpu", METRICS, CLUSTER, 0, 90), ("net", METRICS, HOST, 0, 30),
    ]  # fmt: skip
    assert config(node) == by_input
    loudest.delete()
    assert config(node)[0] == ("boot", LOGS, HOST, tm.SEVERITY_LEVEL_INFO, 0)
    node.host.site = None
    node.host.save()
    assert config(node) == [
        ("boot", LOGS, HOST, tm.SEVERITY_LEVEL_ERROR, 0), ("cpu", METRICS, HOST, 0, 60), ("net", METRICS, HOST, 0, 60),
    ]  # fmt: skip


def test_a_profile_that_says_nothing_keeps_no_other_from_being_heard(acme):
    metrics = group("METRICS", "cpu")
    profile(metrics, 30)
    silent = TelemetryProfile(kind=metrics.kind, group=metrics)
    with CaptureQueriesContext(connection) as statements:
        [entry] = merged([silent, *TelemetryProfile.objects.select_related("group")])
    assert (entry.input, entry.interval, len(statements)) == ("cpu", 30, 1)


def test_each_refusal_is_the_right_one(node):
    assert refused(config, node, "x") == grpc.StatusCode.INVALID_ARGUMENT
    assert refused(config, node, uuid4()) == grpc.StatusCode.PERMISSION_DENIED
    assert config(node) == []
    node.instance.delete()
    assert refused(config, node) == grpc.StatusCode.NOT_FOUND
    host = Host.objects.get()
    host.observe(state=HostState.UNTRUSTED)
    assert refused(config, node) == grpc.StatusCode.UNAUTHENTICATED
    host.delete()
    assert refused(config, node) == grpc.StatusCode.NOT_FOUND
    node.token = ""
    assert refused(config, node) == grpc.StatusCode.UNAUTHENTICATED
