"""Machines in the current schema that are onboarded and wanted, without a wire."""

from itertools import count
from uuid import uuid4

from inventory.models import Host, HostState, Instance, InstanceState, OperatingSystem
from tenants import credentials

_numbers = count(1)


def system(profile: str, **columns) -> OperatingSystem:
    """The operating system of this profile, made as `columns` say if there is none."""
    os = OperatingSystem.objects.filter(profile_name=profile).first()
    if os is None:
        given = {
            "sha256": "a" * 64, "image_url": f"tink-stack/images/{profile}.raw.gz", "os_type": "OS_TYPE_MUTABLE",
            "os_provider": "OS_PROVIDER_KIND_INFRA",
        }  # fmt: skip
        os = OperatingSystem(name=profile, profile_name=profile, **given | columns)
        os.ask()
    return os


def machine(profile: str = "debian-12", *, os: OperatingSystem | None = None, **columns) -> Instance:
    """An instance, of this profile, on a host of its own that is onboarded."""
    number = next(_numbers)
    host = Host(uuid=uuid4(), serial_number=f"MACHINE{number:05d}")
    host.ask(state=HostState.ONBOARDED)
    mac = f"52:54:00:00:{number // 256 % 256:02x}:{number % 256:02x}"
    host.observe(state=HostState.ONBOARDED, pxe_mac=mac, bmc_ip="10.0.0.5")
    credentials.issue(host.uuid)
    instance = Instance(host=host, os=os or system(profile), **columns)
    instance.ask(state=InstanceState.RUNNING)
    return instance
