"""Whose power can be switched and by which driver, and what it means what is seen of it.

Two look at a machine's power: the reconciler when something is wished for (reconcilers/power.py), and the watch once a
minute (bmc.py), so that a machine that was switched by somebody else is noticed and switched back.
"""

import ipaddress
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Q

from inventory import vendors
from inventory.models import AmtState, Host, Indicator, PowerState, Provider, Status
from inventory.vendors import Can
from workers.drivers.amt import Amt
from workers.drivers.base import Driver, Machine, Unable, drivers

# What counts as fulfilling a wish: a machine that was put to sleep may wake.
ACCEPTED = {
    PowerState.ON: {PowerState.ON},
    PowerState.OFF: {PowerState.OFF},
    PowerState.SLEEP: {PowerState.SLEEP, PowerState.ON},
    PowerState.HIBERNATE: {PowerState.HIBERNATE, PowerState.ON},
    PowerState.RESET: {PowerState.RESET, PowerState.ON},
    PowerState.RESET_REPEAT: {PowerState.RESET, PowerState.ON},
    PowerState.POWER_CYCLE: {PowerState.POWER_CYCLE, PowerState.ON},
}
# What operators read while it is done, and when it is. The exact words are known to old clients.
TEXTS = {
    PowerState.ON: ("Powering on", "Powered on"),
    PowerState.OFF: ("Powering off", "Powered off"),
    PowerState.SLEEP: ("Sleeping", "Sleep state"),
    PowerState.HIBERNATE: ("Hibernating", "Hibernate state"),
    PowerState.RESET: ("Resetting", "Reset successful"),
    PowerState.RESET_REPEAT: ("Resetting", "Reset successful"),
    PowerState.POWER_CYCLE: ("Power cycling", "Power cycle successful"),
}
MISMATCH = "mismatch between desired and current power state"
ACTS = {PowerState.RESET, PowerState.RESET_REPEAT, PowerState.POWER_CYCLE}  # that no state shows to have been done
TURN_ON = {PowerState.ON} | ACTS
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(minutes=5)  # after a look that failed


def pause(failures: int) -> timedelta:
    """Until a controller that failed so often, one time after the other, is asked again."""
    return min(FIRST_PAUSE * 2 ** min(failures - 1, 10), LONGEST_PAUSE)


def switchable() -> Q:
    """The hosts whose power somebody can switch."""
    return (
        Q(power_provider__isnull=False)
        | Q(provider__provider_vendor__in=vendors.that(Can.POWER))
        | Q(current_amt_state=AmtState.PROVISIONED)
    )


def driver_for(host: Host, tenant: UUID) -> tuple[type[Driver], Machine]:
    """The driver, and what it is to be told. Raises Unable."""
    provider = next((one for one in (host.power_provider, host.provider) if one and one.can(Can.POWER)), None)
    if provider is None:
        return Amt, Machine(host.resource_id, host.uuid, host.serial_number, tenant, settings.MPS_URL)
    machine = Machine(
        host.resource_id, host.uuid, host.serial_number, tenant, _endpoint(provider, host),
        tuple(provider.credentials), provider.config,
    )  # fmt: skip
    return drivers[provider.provider_kind, provider.provider_vendor], machine


def _endpoint(provider: Provider, host: Host) -> str:
    endpoint = provider.api_endpoint
    known = {"<uuid>": str(host.uuid or ""), "<serialNumber>": host.serial_number}
    if "<bmcIp>" in endpoint:
        known["<bmcIp>"] = _address(provider, host)
    for placeholder, value in known.items():
        if placeholder in endpoint and not value:
            raise Unable(f"The endpoint of {provider.name} has {placeholder} in it, and this host's isn't known yet")
        endpoint = endpoint.replace(placeholder, value)
    try:
        vendors.check_endpoint(endpoint)
    except ValidationError as wrong:
        raise Unable("; ".join(wrong.messages)) from wrong
    return endpoint.rstrip("/")


def _address(provider: Provider, host: Host) -> str:
    """The host's, which its machine told us: only within the provider's network."""
    if not host.bmc_ip:
        return ""
    assert provider.declaration
    try:
        network = ipaddress.ip_network(provider.declaration.settings(provider.config).get("network", ""))
        address = ipaddress.ip_address(host.bmc_ip)
    except (ValueError, ValidationError) as wrong:
        raise Unable(f"{provider.name}: {wrong}") from wrong
    if address not in network:
        raise Unable(f"bmcIp {address} is not in {network}, the network of {provider.name}")
    return f"[{address}]" if address.version == 6 else str(address)


# What it means -------------------------------------------------------------------------------------------------------


def is_fulfilled(host: Host, seen: PowerState) -> bool:
    """Whether the machine is as it was wished, without having been told if it was so already."""
    wanted = host.desired_power_state
    was_told = host.power_command == wanted
    return seen in ACCEPTED.get(wanted, ()) and (was_told or (seen == wanted and wanted not in ACTS))


def facts(host: Host, seen: PowerState) -> dict[str, Any]:
    """What becomes of a host of which this was seen: current state, status, and since when it is on."""
    fulfilled = is_fulfilled(host, seen)
    state = PowerState(host.desired_power_state) if fulfilled else seen
    found: dict[str, Any] = {"power_state": state, "power_status": Status(TEXTS[state][1], Indicator.IDLE)}
    if fulfilled:
        found["power_command"] = state  # or a reset that was asked for once more, after this, would look done
    if state in TURN_ON and host.current_power_state != state:
        found["power_on_time"] = int(time.time())
    return found


def is_given_time(host: Host) -> bool:
    """Whether the machine has been told what is wished just now, and may still be about it."""
    told = host.power_command == host.desired_power_state
    return told and time.time() - host.power_commanded_at < settings.POWER_GRACE


def saw(host: Host, seen: PowerState) -> None:
    """Write down what the watch saw. A machine that was switched by somebody else is thereby on the queue."""
    differs = host.desired_power_state != host.current_power_state
    if seen == PowerState.UNSPECIFIED or (differs and is_given_time(host) and not is_fulfilled(host, seen)):
        return  # in between
    host.observe(**facts(host, seen))


def failed(host: Host, why: str) -> None:
    """Tell the operator why nobody knows anything of this machine."""
    host.observe(power_status=Status(why, Indicator.ERROR))
