"""The device manager's door: agents that have their machine's Intel AMT activated."""

import grpc

from inventory.models import AmtControlMode, AmtSku, AmtState, Host, Indicator, Status
from wire import device_pb2 as wire
from wire import device_pb2_grpc
from workers import activation
from workers.reporting import INVALID, guid, reporting_host
from workers.southbound import Node, Refusal, for_nodes

NOT_NOW = grpc.StatusCode.FAILED_PRECONDITION
SKUS = {"AMT": AmtSku.AMT, "ISM": AmtSku.ISM}
RESULTS = {
    wire.ACTIVATING: Status("AMT Activation In Progress", Indicator.IN_PROGRESS),
    wire.ACTIVATED: Status("AMT Activation Done", Indicator.IDLE),
    wire.ACTIVATION_FAILED: Status("AMT Activation Failed", Indicator.ERROR),
}
_LOOKED_AT = ("amt_sku", "amt_status", "amt_status_indicator", "desired_amt_state", "current_amt_state")


class DeviceManagement(device_pb2_grpc.DeviceManagementServicer):
    """What is refused with FAILED_PRECONDITION, agents take for: there is nothing to do."""

    @for_nodes
    def ReportAMTStatus(self, node: Node, request):
        host = self._host(node, request)
        match request.status:
            case wire.ENABLED if request.feature in SKUS:
                sku, status = SKUS[request.feature], Status("AMT Status Enabled", Indicator.IDLE)
            case wire.ENABLED:
                raise Refusal(INVALID, f"feature is AMT or ISM, not {request.feature[:50]!r}")
            case wire.DISABLED:
                sku, status = AmtSku.UNSPECIFIED, Status("AMT Status Disabled", Indicator.IDLE)
            case _:
                raise Refusal(INVALID, "status is ENABLED or DISABLED")
        known = host.amt_status_indicator != Indicator.UNSPECIFIED  # somebody has said something before
        if host.amt_sku == sku and known:
            raise Refusal(NOT_NOW, "That is known already")
        host.observe(amt_sku=sku, amt_status=status)
        return wire.AMTStatusResponse()

    @for_nodes
    def RetrieveActivationDetails(self, node: Node, request):
        host = self._host(node, request, "amt_control_mode")
        waits = host.current_amt_state in (AmtState.UNSPECIFIED, AmtState.UNPROVISIONED)
        if host.desired_amt_state != AmtState.PROVISIONED or not waits:
            raise Refusal(NOT_NOW, "There is nothing to activate")
        password = activation.password()
        if not password:
            raise Refusal(NOT_NOW, "The activation profiles of this project aren't made yet")
        mode = "acm" if host.amt_control_mode == AmtControlMode.ACM else "ccm"
        return wire.ActivationDetailsResponse(
            host_id=request.host_id, operation=wire.ACTIVATE, profile_name=f"{node.project_uuid}_{mode}",
            action_password=password,
        )  # fmt: skip

    @for_nodes
    def ReportActivationResults(self, node: Node, request):
        host = self._host(node, request)
        if host.desired_amt_state == host.current_amt_state:
            raise Refusal(NOT_NOW, "The host's AMT is as it was asked for")
        status = RESULTS.get(request.activation_status)
        if status is None:
            raise Refusal(INVALID, "activation_status is ACTIVATING, ACTIVATED or ACTIVATION_FAILED")
        if (host.amt_status, host.amt_status_indicator) == status:
            raise Refusal(NOT_NOW, "That is known already")
        activated = request.activation_status == wire.ACTIVATED
        host.observe(amt_status=status, **({"amt_state": AmtState.PROVISIONED} if activated else {}))
        return wire.ActivationResultResponse()

    def _host(self, node: Node, request, *columns: str) -> Host:
        return reporting_host(node, guid(request.host_id), *_LOOKED_AT, *columns)


def add_to(server) -> None:
    device_pb2_grpc.add_DeviceManagementServicer_to_server(DeviceManagement(), server)
