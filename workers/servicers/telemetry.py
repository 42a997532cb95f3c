"""The telemetry manager's door: what a machine is to measure and to log.

Profiles of its instance, its site and all regions around add up: none takes back what another one says.
"""

import time
from collections.abc import Iterable

import grpc

from inventory.models import SeverityLevel, TelemetryCollectorKind, TelemetryProfile, TelemetryResourceKind
from inventory.models.telemetry import over
from wire import telemetrymgr_pb2 as wire
from wire import telemetrymgr_pb2_grpc
from workers.answers import Answer, kept
from workers.reporting import guid, reporting_host
from workers.southbound import Node, Refusal

LEVELS = {level: wire.SeverityLevel.Value(level) for level in SeverityLevel}
KINDS = {
    TelemetryCollectorKind.HOST: wire.COLLECTOR_KIND_HOST,
    TelemetryCollectorKind.CLUSTER: wire.COLLECTOR_KIND_CLUSTER,
}
METRICS, LOGS = wire.TELEMETRY_RESOURCE_KIND_METRICS, wire.TELEMETRY_RESOURCE_KIND_LOGS

Config = wire.GetTelemetryConfigResponse.TelemetryCfg


def host_in(request: wire.GetTelemetryConfigByGuidRequest):
    return guid(request.guid)


class TelemetryManager(telemetrymgr_pb2_grpc.TelemetryMgrServicer):
    @kept(host_in)
    def GetTelemetryConfigByGUID(self, node: Node, request) -> Answer:
        host = reporting_host(node, host_in(request), "site_id")
        instance = getattr(host, "instance", None)
        if instance is None:
            raise Refusal(grpc.StatusCode.NOT_FOUND, "The host has no instance")
        here = over(instance=instance.resource_id, site=host.site_id or "")
        profiles = TelemetryProfile.objects.filter(here).select_related("group")
        message = wire.GetTelemetryConfigResponse(
            host_guid=request.guid, timestamp=time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
            cfg=merged(profiles),
        )  # fmt: skip
        return Answer(message, (host.resource_id, instance.resource_id))


def merged(profiles: Iterable[TelemetryProfile]) -> list[Config]:
    """An entry for each input of each kind: metrics as often as anybody wants them, logs as verbose.

    The interval is sent as it is stored, in seconds; the archived agent takes it for minutes. A profile that says
    neither how often nor how much, as none can be entered, says nothing.
    """
    found: dict[tuple[str, int, int], Config] = {}
    for profile in profiles:
        for name in profile.group.groups:
            entry = Config(input=name, kind=KINDS.get(profile.group.collector_kind, wire.COLLECTOR_KIND_UNSPECIFIED))
            if profile.kind == TelemetryResourceKind.METRICS and profile.metrics_interval:
                entry.type, entry.interval = METRICS, profile.metrics_interval
            elif profile.kind == TelemetryResourceKind.LOGS and LEVELS.get(profile.log_level):
                entry.type, entry.level = LOGS, LEVELS[profile.log_level]
            else:
                continue
            key = entry.input, entry.type, entry.kind
            before = found.setdefault(key, entry)
            if (entry.level, -entry.interval) > (before.level, -before.interval):
                found[key] = entry
    return [found[key] for key in sorted(found)]


def add_to(server) -> None:
    telemetrymgr_pb2_grpc.add_TelemetryMgrServicer_to_server(TelemetryManager(), server)
