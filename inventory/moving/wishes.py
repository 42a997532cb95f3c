"""Which wishes come over with the facts: no machine is installed, switched or wiped because its project has moved.

A wish that has come true stands. One that hadn't yet is taken over only if it waits for the machine; any other is left
to whoever made it, to be made again here.
"""

from typing import Any

from inventory.models import AmtState, Host, HostState, Instance, InstanceState, PowerState, Resource, WorkloadState
from inventory.models.workload import Workload


def stays_there(columns: dict[str, Any]) -> str:
    """Why it doesn't come at all, or ""."""
    states = {columns.get("desired_state", ""), columns.get("current_state", "")}
    return "it is being deleted there" if any(state.endswith("_DELETED") for state in states) else ""


def held(model: type[Resource], columns: dict[str, Any], host_state: str) -> list[str]:
    """Change the columns to those that are taken over; tell what was wished and isn't any more."""
    if model is Host:
        return _of_host(columns)
    if model is Instance:
        return _of_instance(columns, host_state)
    if model is Workload:  # the API shows no more of it than that it is there
        columns |= {"desired_state": WorkloadState.PROVISIONED, "current_state": WorkloadState.PROVISIONED}
    return []


def _of_host(columns: dict[str, Any]) -> list[str]:
    told = []
    wanted, current = (columns.get(f"{which}_power_state", PowerState.UNSPECIFIED) for which in ("desired", "current"))
    if wanted == current:
        columns["power_command"] = wanted  # so that a reset, which no state shows, counts as done
    elif wanted not in (PowerState.UNSPECIFIED, PowerState.ON):
        columns["desired_power_state"] = PowerState.UNSPECIFIED
        told.append(f"{wanted} was wished there, and not done yet: ask for it here")
    leaving = columns.get("desired_amt_state") == AmtState.UNPROVISIONED
    if leaving and columns.get("current_amt_state") in (AmtState.PROVISIONED, AmtState.DISCONNECTED):
        columns["desired_amt_state"] = AmtState.UNSPECIFIED
        told.append("AMT was to be deactivated there, and isn't yet: ask for it here")
    return told


def _of_instance(columns: dict[str, Any], host_state: str) -> list[str]:
    """Installing begins when the machine shows up, for one that never did; what is onboarded would begin at once."""
    wanted, current = columns.get("desired_state"), columns.get("current_state", InstanceState.UNSPECIFIED)
    waits = host_state in (HostState.UNSPECIFIED, HostState.REGISTERED)
    if wanted != InstanceState.RUNNING or current == InstanceState.RUNNING or waits:
        return []
    columns["desired_state"] = InstanceState.UNSPECIFIED
    return ["it was not installed there yet: PATCH it here, and its machine will be installed"]
