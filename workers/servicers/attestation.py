"""The attestation status manager's door: whether an installed machine has proved to be what it should be."""

import grpc

from inventory.models import Indicator, Status
from wire import attestmgr_pb2 as wire
from wire import attestmgr_pb2_grpc
from workers import rules
from workers.reporting import INVALID, guid, reporting_host
from workers.southbound import Node, Refusal, for_nodes

VERIFIED = Status("Verified", Indicator.IDLE)


class AttestationManager(attestmgr_pb2_grpc.AttestationStatusMgrServiceServicer):
    @for_nodes
    def UpdateInstanceAttestationStatusByHostGuid(self, node: Node, request):
        host_uuid, told = guid(request.host_guid), status_told_by(request)
        rules.check(request)
        host = reporting_host(node, host_uuid)
        instance = getattr(host, "instance", None)
        if instance is None:
            raise Refusal(grpc.StatusCode.NOT_FOUND, "The host has no instance")
        instance.observe(trusted_attestation_status=told)
        return wire.UpdateInstanceAttestationStatusByHostGuidResponse()


def status_told_by(request: wire.UpdateInstanceAttestationStatusByHostGuidRequest) -> Status:
    detail = request.attestation_status_detail
    match request.attestation_status:
        case wire.ATTESTATION_STATUS_UNSPECIFIED:
            raise Refusal(INVALID, "attestation_status is missing")
        case wire.ATTESTATION_STATUS_VERIFIED:
            return VERIFIED
        case wire.ATTESTATION_STATUS_FAILED:
            return Status(detail, Indicator.ERROR)
    return Status(detail)


def add_to(server) -> None:
    attestmgr_pb2_grpc.add_AttestationStatusMgrServiceServicer_to_server(AttestationManager(), server)
