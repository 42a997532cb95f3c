"""A local network for a virtual machine: a network namespace with a bridge, from which a cable leads to this machine.

Needs root. Nothing of it reaches the networks that this machine is in.
"""

import os
import secrets
import subprocess
from contextlib import suppress
from pathlib import Path

from provisioning.dkam.errors import BuildFailed
from provisioning.dkam.tools import SEARCH_PATH, require, run

NETWORK = "198.18"  # 198.18.0.0/15 is for tests of networks: nobody has it at home


class Lan:
    """Made when the `with` block begins and taken down when it ends. `server` is this machine's address in it."""

    tap = "tap0"

    def __init__(self, folder: Path) -> None:
        require("ip", "dnsmasq")
        if os.geteuid() != 0:
            raise BuildFailed("a network of its own needs root: boot the machine in another way")
        self.name = f"eim-{secrets.token_hex(3)}"
        self.third = secrets.randbelow(254) + 1
        self.folder, self.server = folder, f"{NETWORK}.{self.third}.1"
        self._programs: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Lan":
        self.folder.mkdir(parents=True, exist_ok=True)
        cable = f"v{self.name}"
        run("ip", "netns", "add", self.name)
        try:
            run("ip", "link", "add", cable, "type", "veth", "peer", "name", "cable", "netns", self.name)
            run("ip", "address", "add", f"{self.server}/24", "dev", cable)
            run("ip", "link", "set", cable, "up")
            for words in (
                "link set lo up", "link add bridge type bridge", "link set cable master bridge up",
                f"tuntap add {self.tap} mode tap", f"link set {self.tap} master bridge up",
                f"address add {self._address(2)}/24 dev bridge", "link set bridge up",
            ):  # fmt: skip
                run("ip", "-n", self.name, *words.split())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        for program in self._programs:
            program.kill()
            program.wait()
        for name in (self.name, self._helper):
            with suppress(BuildFailed):  # it may not have been made
                run("ip", "netns", "delete", name)

    def give_addresses(self, more: str) -> None:
        """Run a DHCP server, with these lines of dnsmasq's configuration added."""
        addresses = f"dhcp-range={self._address(50)},{self._address(99)},255.255.255.0,10m"
        self._run_dnsmasq(self.name, "bridge", f"port=0\n{addresses}\n{more}")

    def run_helper(self, configuration: str) -> None:
        """Run dnsmasq with just this configuration, on another machine of the LAN: a namespace with an address."""
        run("ip", "netns", "add", self._helper)
        peer = ("type", "veth", "peer", "name", "eth0", "netns", self._helper)
        run("ip", "-n", self.name, "link", "add", "helper", *peer)
        run("ip", "-n", self.name, *["link", "set", "helper", "master", "bridge", "up"])
        run("ip", "-n", self._helper, "address", "add", f"{self._address(3)}/24", "dev", "eth0")
        run("ip", "-n", self._helper, *["link", "set", "eth0", "up"])
        self._run_dnsmasq(self._helper, "eth0", configuration)

    def said(self) -> list[str]:
        """What the DHCP servers have said."""
        logs = sorted([*self.folder.glob("*.log"), *self.folder.glob("*.out")])
        return [line for log in logs for line in log.read_text(errors="replace").splitlines()]

    def _run_dnsmasq(self, namespace: str, card: str, configuration: str) -> None:
        file = self.folder / f"{namespace}.conf"
        leases, log = f"dhcp-leasefile={file.with_suffix('.leases')}", f"log-facility={file.with_suffix('.log')}"
        ours = [f"interface={card}", "bind-dynamic", "log-dhcp", "user=root", leases, log]
        file.write_text("\n".join([*ours, configuration]))
        command = ["ip", "netns", "exec", namespace, "dnsmasq", "--keep-in-foreground", f"--conf-file={file}"]
        with file.with_suffix(".out").open("wb") as out:
            self._programs.append(
                subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", *command],
                    stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={"PATH": SEARCH_PATH},
                )
            )  # fmt: skip

    @property
    def _helper(self) -> str:
        return f"{self.name}h"

    def _address(self, last: int) -> str:
        return f"{NETWORK}.{self.third}.{last}"
