"""Intel AMT, through the two servers that speak to it: MPS, which machines' AMT calls home to, and RPS, which sets it

up.

Both are the administrator's (EIM_MPS_URL, EIM_RPS_URL) and serve all projects; which one is meant a header says.
"""

from functools import lru_cache
from typing import Any
from urllib.parse import quote
from uuid import UUID

import requests
from django.conf import settings

from inventory.models import PowerState
from workers.drivers import web
from workers.drivers.base import Fault, Machine, Unable

# DMTF's numbers of what is so -> the state; what isn't here is in between.
STATES = {
    2: PowerState.ON, 3: PowerState.SLEEP, 4: PowerState.SLEEP, 6: PowerState.OFF, 7: PowerState.HIBERNATE,
    8: PowerState.OFF, 9: PowerState.POWER_CYCLE, 12: PowerState.OFF, 13: PowerState.OFF, 14: PowerState.RESET,
}  # fmt: skip
ACTIONS = {
    PowerState.ON: 2, PowerState.OFF: 8, PowerState.SLEEP: 4, PowerState.HIBERNATE: 7, PowerState.RESET: 10,
    PowerState.RESET_REPEAT: 10, PowerState.POWER_CYCLE: 5,
}  # fmt: skip
GRACEFUL = {PowerState.OFF: 12, PowerState.RESET: 14, PowerState.RESET_REPEAT: 14}

NOT_CONNECTED = "Device not found/connected"
NOT_READY = "Device must be powered on first"
CIRA_PORT = 4433


@lru_cache(maxsize=4)
def _session(url: str) -> web.Session:
    """One a server, with its connections, for all threads."""
    return web.Session(url, guarded=False)


class Server:
    """One of the two, as a project sees it."""

    name: str
    setting: str

    def __init__(self, tenant: UUID) -> None:
        self.tenant = tenant

    @property
    def url(self) -> str:
        """Raises Unable if there is none."""
        if url := getattr(settings, self.setting):
            return url
        raise Unable(f"There is no {self.name} here: an administrator names one by EIM_{self.setting}")

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """The answer, whatever its status. Raises Fault, Unable."""
        headers = {"ActiveProjectId": str(self.tenant)}
        return _session(self.url).request(method, f"{self.url}/api/v1/{path}", headers=headers, **options)

    def read(self, answer: requests.Response) -> dict[str, Any]:
        """The JSON object in an answer. Raises Fault if it is none, or of no success."""
        if answer.status_code == 404:
            raise Fault(NOT_CONNECTED)
        try:
            read = answer.json()
        except (ValueError, RecursionError):
            read = None
        if answer.status_code >= 300:
            told = read.get("message") or read.get("error") if isinstance(read, dict) else None
            raise Fault(f"{self.name} answered {answer.status_code}{f': {told}'[:200] if told else ''}")
        if not isinstance(read, dict):
            raise Fault(f"{self.name} answers what is no JSON object")
        return read


class Mps(Server):
    name, setting = "management presence server (MPS)", "MPS_URL"

    def power_state(self, guid: UUID) -> int:
        said = self.read(self.call("GET", f"amt/power/state/{guid}")).get("powerstate")
        if not isinstance(said, int):
            raise Fault(f"{self.name} says that the power is {str(said)[:50]!r}, which is no state")
        return said

    def power(self, guid: UUID, action: int) -> str:
        """What the machine's AMT says to it: SUCCESS, NOT_READY or something else."""
        return self._told(self.call("POST", f"amt/power/action/{guid}", json={"action": action, "useSOL": False}))

    def deactivate(self, guid: UUID) -> None:
        answer = self.call("DELETE", f"amt/deactivate/{guid}")
        if answer.status_code >= 300:
            self.read(answer)

    def features(self, guid: UUID) -> dict[str, Any]:
        return self.read(self.call("GET", f"amt/features/{guid}"))

    def ask_consent(self, guid: UUID) -> str:
        """Shows a code on the machine's screen, which whoever stands there tells. Returns what its AMT says to it."""
        return self._told(self.call("GET", f"amt/userConsentCode/{guid}"))

    def root_certificate(self) -> str:
        """Of MPS, as base64 without the lines around it, as RPS wants it."""
        answer = self.call("GET", "ciracert")
        if answer.status_code >= 300:
            self.read(answer)
        lines = (line.strip() for line in answer.text.splitlines())
        return "".join(line for line in lines if line and not line.startswith("-----"))

    def _told(self, answer: requests.Response) -> str:
        body = self.read(answer).get("Body")
        return str(body.get("ReturnValueStr", "")) if isinstance(body, dict) else ""


class Rps(Server):
    name, setting = "remote provisioning server (RPS)", "RPS_URL"

    def make_profiles(self, password: str) -> None:
        """What machines of this project are set up by, if it isn't there yet: how they call home, and two profiles,

        for client control mode, where whoever stands before the machine must consent to a session, and admin control.
        """
        name = str(self.tenant)
        self._make("ciraconfigs", name, lambda: {
            "configName": name, "authMethod": 2, "username": "admin", "password": password,
            "commonName": settings.MPS_HOST, "mpsServerAddress": settings.MPS_HOST, "mpsPort": CIRA_PORT,
            "serverAddressFormat": 201, "mpsRootCertificate": Mps(self.tenant).root_certificate(), "proxyDetails": "",
        })  # fmt: skip
        if settings.AMT_RANDOM_PASSWORDS:
            passwords = {"generateRandomPassword": True, "generateRandomMEBxPassword": True}
        else:
            passwords = {
                "generateRandomPassword": False, "generateRandomMEBxPassword": False,
                "amtPassword": password, "mebxPassword": password,
            }  # fmt: skip
        for mode, activation, consent in (("ccm", "ccmactivate", "All"), ("acm", "acmactivate", "None")):
            self._make("profiles", f"{name}_{mode}", lambda activation=activation, consent=consent, mode=mode: {
                "profileName": f"{name}_{mode}", "activation": activation, "userConsent": consent,
                "dhcpEnabled": True, "kvmEnabled": True, "solEnabled": True, "tlsSigningAuthority": "SelfSigned",
                "ciraConfigName": name, **passwords,
            })  # fmt: skip

    def remove_profiles(self) -> None:
        name = str(self.tenant)
        for path in (f"profiles/{name}_ccm", f"profiles/{name}_acm", f"ciraconfigs/{name}"):
            answer = self.call("DELETE", f"admin/{path}")
            if answer.status_code >= 300 and answer.status_code != 404:
                self.read(answer)

    def _make(self, kind: str, name: str, body: Any) -> None:
        there = self.call("GET", f"admin/{kind}/{quote(name, safe='')}")
        if there.status_code == 404:
            self.read(self.call("POST", f"admin/{kind}", json=body()))
        else:
            self.read(there)


class Amt:
    """The power of one machine whose AMT is activated."""

    def __init__(self, machine: Machine) -> None:
        if machine.uuid is None:
            raise Unable("AMT knows machines by their UUID, and this host's isn't known yet")
        self.guid, self.mps = machine.uuid, Mps(machine.tenant)

    def validate(self) -> None:
        self.mps.power_state(self.guid)

    def can(self) -> frozenset[PowerState]:
        return frozenset(ACTIONS)

    def get(self) -> PowerState:
        return STATES.get(self.mps.power_state(self.guid), PowerState.UNSPECIFIED)

    def set(self, state: PowerState, *, ordered: bool) -> None:
        if ordered and state in GRACEFUL and self.mps.power(self.guid, GRACEFUL[state]) == "SUCCESS":
            return
        said = self.mps.power(self.guid, ACTIONS[state])
        if said == "NOT_READY":
            raise Fault(NOT_READY)
        if said != "SUCCESS":
            raise Fault(f"The machine's AMT refused: {said[:100] or 'no reason given'}")

    def close(self) -> None:
        """Its connections are all machines'."""
