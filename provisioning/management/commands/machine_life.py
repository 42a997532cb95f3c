"""`manage.py machine_life`: a machine (QEMU's) as its operator has it, from the first installation to its end.

It is installed with an SSH key and a custom config, logged in to, installed anew without being deleted, deauthorized,
and deleted; what the API says is compared with what the machine itself shows.
"""

import re
import secrets
import time
import urllib.parse
from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings

from provisioning import qemu
from provisioning.dkam import tools
from provisioning.dkam.errors import CommandFailed
from provisioning.management.commands import machine
from provisioning.management.commands.machine import LOOK_EVERY_SECONDS, Api, Failed, Installation

GREETING = "/etc/greeting"  # a file of the custom config's
CONFIG = f"""#cloud-config
merge_how: [{{name: list, settings: [append]}}, {{name: dict, settings: [no_replace, recurse_list]}}]
write_files:
  - path: {GREETING}
    content: |
      hello from the custom config
"""
LEFT_BEHIND = "/var/lib/of-the-first-installation"
SSH = "-oBatchMode=yes -oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null -oConnectTimeout=20 -oLogLevel=ERROR"


class Command(machine.Command):
    help = "Install a QEMU machine, log in to it, install it anew, deauthorize and delete it."
    patience = 1800

    @property
    def kind(self):
        return Life


class Life(Installation):
    """A machine that lives on once it runs."""

    programs = ("ssh", "ssh-keygen")
    trouble = ""  # that the last command on it that failed told

    def besides(self, api: Api) -> dict[str, Any]:
        """An account and a key made for this run, and a config of the operator's own."""
        self.key = settings.EIM_DATA / "machine" / "ssh-key"
        self.key.parent.mkdir(parents=True, exist_ok=True)
        for old in self.key.parent.glob("ssh-key*"):
            old.unlink()
        tools.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "nobody@example", "-f", self.key)
        public = self.key.with_suffix(".pub").read_text().strip()
        run = secrets.token_hex(4)  # what earlier runs made in the same data folder is still there
        self.user = f"ada-{run}"
        account = api.call("POST", "localAccounts", username=self.user, sshKey=public)
        config = api.call("POST", "customConfigs", name=f"greeting-{run}", config=CONFIG)
        made = {"localAccountID": account["resourceId"], "customConfigID": [config["resourceId"]]}
        return super().besides(api) | made

    def watch(self, api: Api, host_id: str, machine: qemu.Machine) -> dict[str, Any]:
        host = super().watch(api, host_id, machine)
        instance = f"compute/instances/{host['instance']['resourceId']}"
        self.is_logged_in_to(machine, host_id)
        self.is_installed_anew(api, host_id, instance, machine)
        self.is_deauthorized(api, host_id, machine)
        self.is_deleted(api, host_id, instance, machine)
        return host

    def is_logged_in_to(self, machine: qemu.Machine, host_id: str) -> None:
        self.wait_for("its SSH server lets nobody in", machine, lambda: self.on_it("true") is not None)
        told = self.on_it(f"sudo cat {GREETING} && hostname && sudo sshd -T | grep -i ^passwordauthentication")
        expected = f"hello from the custom config\n{host_id}\npasswordauthentication no\n"
        if told != expected:
            raise Failed(f"logged in by SSH, but found {told!r} instead of {expected!r}; {self.trouble}")
        self.mark("logged in by SSH: the custom config was applied, its name is the host's, no passwords are taken")

    def is_installed_anew(self, api: Api, host_id: str, instance: str, machine: qemu.Machine) -> None:
        self.on_it(f"sudo touch {LEFT_BEHIND} && sync")
        api.call("POST", f"{instance}/reprovision")
        self.wait_for("the instance counts as installed", machine,
                   lambda: api.call("GET", instance)["currentState"] != "INSTANCE_STATE_RUNNING")  # fmt: skip
        self.mark("to be installed anew: it is restarted")
        self.told.clear()
        self.restart()
        host = super().watch(api, host_id, machine)
        self.is_logged_in_to(machine, host_id)
        if self.on_it(f"test ! -e {LEFT_BEHIND} && echo gone") != "gone\n":
            raise Failed("what the first installation left behind is still there")
        runs = api.call("GET", f"compute/workflows?hostID={host_id}")["workflows"]
        ends = [(run["attempt"], run["state"]) for run in runs]
        if ends != [(2, "STATE_SUCCESS"), (1, "STATE_SUCCESS")] or host["resourceId"] != host_id:
            raise Failed(f"two attempts were to end well on one host, there are: {ends}")
        self.mark("installed anew: the same host, nothing left of the first installation")

    def is_deauthorized(self, api: Api, host_id: str, machine: qemu.Machine) -> None:
        heard = len(self.console_of(machine))
        api.call("PUT", f"compute/hosts/{host_id}/invalidate?note={urllib.parse.quote('sold')}")
        self.wait_for("it isn't invalidated", machine,
                   lambda: api.call("GET", f"compute/hosts/{host_id}")["hostStatus"] == "Invalidated")  # fmt: skip
        self.wait_for("its agent's reports are still accepted", machine,
                   lambda: "heartbeat not accepted" in self.console_of(machine)[heard:])  # fmt: skip
        self.mark("deauthorized: its agent is refused")

    def is_deleted(self, api: Api, host_id: str, instance: str, machine: qemu.Machine) -> None:
        for path in (instance, f"compute/hosts/{host_id}"):
            api.call("DELETE", path)
            self.wait_for(f"{path} is still there", machine, partial(is_gone, api, path))
        heard = len(self.console_of(machine))
        self.restart()
        unknown = re.compile("no host is registered|username:")
        self.wait_for("the deleted machine isn't told that nobody knows it", machine,
                   lambda: unknown.search(self.console_of(machine), heard))  # fmt: skip
        self.mark("deleted: instance and host are gone, and the machine, started again, is nobody's")

    def restart(self) -> None:
        self.on_it("sudo systemctl reboot")

    def on_it(self, command: str) -> str | None:
        """What a shell command prints there, by SSH; None if it fails, or nobody answers."""
        way = [*SSH.split(), "-i", str(self.key), "-p", str(self.hardware.ssh_port), f"{self.user}@127.0.0.1"]
        try:
            return tools.run("ssh", *way, command)
        except CommandFailed as failure:
            self.trouble = str(failure)
            return None

    @staticmethod
    def console_of(machine: qemu.Machine) -> str:
        return machine.console.read_text(errors="replace")

    def wait_for(self, otherwise: str, machine: qemu.Machine, met: Callable[[], Any]) -> None:
        """Wait for it; raises Failed, which says what was so otherwise."""
        while not met():
            self.listen(machine)
            if not machine.is_on():
                raise Failed("QEMU ended by itself")
            if time.monotonic() > self.deadline:
                raise Failed(f"not in time: {otherwise}")
            time.sleep(LOOK_EVERY_SECONDS)


def is_gone(api: Api, path: str) -> bool:
    try:
        api.call("GET", path)
    except Failed as refusal:
        if ": 404 " in str(refusal):
            return True
        raise
    return False
