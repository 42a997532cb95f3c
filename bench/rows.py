"""Rows to measure upon: hosts with which all went well, one made by ask() and observe(), the others its copies."""

from uuid import UUID

from django.db import connection

from inventory.models import (
    Host,
    HostState,
    Instance,
    InstanceState,
    OperatingSystem,
    PowerState,
    Region,
    Resource,
    Site,
    Status,
)  # fmt: skip
from inventory.models.base import Indicator
from tenants.models import Claim

PROFILE = "debian-12-bench"
SITES = 10  # that have hosts
SPARE = "spare"  # the name of onboarded hosts without an instance

HARDWARE = {
    "storages": [
        {"wwid": f"eui.0000000{n}", "serial": f"S6ESNX0T{n}", "vendor": "SAMSUNG", "model": "MZQL2960HCJR",
         "capacityBytes": "960197124096", "deviceName": f"nvme{n}n1"}
        for n in range(2)
    ],
    "nics": [
        {"deviceName": f"eth{n}", "pciIdentifier": f"0000:3b:00.{n}", "macAddr": f"52:54:00:00:00:0{n}",
         "sriovEnabled": False, "sriovVfsNum": 0, "sriovVfsTotal": 64, "features": "", "mtu": 1500,
         "linkState": "NETWORK_INTERFACE_LINK_STATE_UP", "bmcInterface": False,
         "ipaddresses": [{"address": f"10.0.{n}.5/24", "configMethod": "IP_ADDRESS_CONFIG_METHOD_DYNAMIC",
                          "status": "IP_ADDRESS_STATUS_CONFIGURED", "statusDetail": "IPAddress is configured"}]}
        for n in range(2)
    ],
    "usbs": [{"idVendor": "1d6b", "idProduct": "0002", "bus": 1, "addr": 1, "class": "Hub", "serial": "",
              "deviceName": "root hub"}],
    "gpus": [],
}  # fmt: skip

# With addresses and a disk of its own for the n-th host: else all would be twins of each other, and marked as such one
# by one, and whoever looks for a disk's serial number found all or none.
UNLIKE = """replace(replace(replace(hardware::text,
                    '"S6ESNX0T', '"S6ESNX0T' || n),
                    '"10.0.0.5/', '"' || host('12.0.0.0'::inet + n) || '/'),
                    '"10.0.1.5/', '"' || host('14.0.0.0'::inet + n) || '/')::jsonb"""


def uuid_of(number: int) -> UUID:
    """Of the host made as the number-th, from 0."""
    return UUID(int=number + 1)


def fill(hosts: int, first: int = 0) -> None:
    """Put so many running hosts, in 10 sites of one region, into the current schema, and a site without hosts for

    every 100 of them. `first` is the first one's number: a machine is in one tenant only.
    """
    region = Region(name="Europe")
    region.ask()
    sites = [Site(name=f"Store {n}", region=region, site_lat=525000000, site_lng=133000000) for n in range(SITES)]
    for site in sites:
        site.ask()
    _copy(sites[0], hosts // 100, name="'Depot ' || n")
    os = OperatingSystem(
        name=PROFILE, sha256="a" * 64, image_url="tink-stack/images/debian-12.raw.gz", profile_name=PROFILE,
        os_type="OS_TYPE_MUTABLE", os_provider="OS_PROVIDER_KIND_INFRA",
    )  # fmt: skip
    os.ask()
    running = Status("Running", Indicator.IDLE)
    host = Host(
        name="first",
        uuid=uuid_of(first),
        serial_number=f"SN{first}",
        site=sites[0],
        metadata=[{"key": "env", "value": "prod"}],
    )
    host.ask(state=HostState.ONBOARDED)
    host.observe(
        state=HostState.ONBOARDED, host_status=running, onboarding_status=Status("Onboarded", Indicator.IDLE),
        registration_status=Status("Host Registered", Indicator.IDLE), hardware=HARDWARE, hostname="first",
        product_name="PowerEdge R650", memory_bytes=64 * 2**30, cpu_model="Xeon Gold 6338", cpu_sockets=2,
        cpu_cores=64, cpu_threads=128, cpu_architecture="x86_64", cpu_capabilities="vmx,avx512f,sha_ni",
        bios_vendor="Dell Inc.", bios_version="1.9.2", bios_release_date="11/17/2024", pxe_mac="52:54:00:00:00:00",
    )  # fmt: skip
    instance = Instance(host=host, os=os, name="first")
    instance.ask(state=InstanceState.RUNNING)
    instance.observe(
        state=InstanceState.RUNNING, provisioning_status=Status("Provisioned", Indicator.IDLE),
        instance_status=running, instance_status_detail="5 of 5 components running",
    )  # fmt: skip
    site_ids = ", ".join(f"'{site}'" for site in sites)
    _copy(host, hosts - 1, first + 1, name="'edge-' || n", site_id=f"(ARRAY[{site_ids}])[1 + mod(n, {len(sites)})]")
    _copy(instance, hosts - 1, first + 1, host_id=f"{_id('host')}")


def first_id() -> str:
    """The id of the current schema's host that was made by ask()."""
    return Host.objects.order_by("pk").values_list("resource_id", flat=True)[0]


def add_spare(first: int, count: int) -> list[str]:
    """Onboarded hosts without an instance, copied from the first one; their ids. `first` is the first one's number."""
    _copy(Host.objects.get(uuid=uuid_of(0)), count, first=first, name=f"'{SPARE}'", site_id="NULL")
    return [f"host-{number:08x}" for number in range(first, first + count)]


def add_registered(first: int, count: int) -> list[str]:
    """Hosts that were registered and whose machines nobody has seen; their ids."""
    host = Host(name="registered", uuid=uuid_of(first), serial_number=f"SN{first}")
    host.ask(state=HostState.REGISTERED, power_state=PowerState.ON)
    _copy(host, count, first=first + 1)
    return [f"host-{number:08x}" for number in range(first + 1, first + 1 + count)]


def _id(prefix: str) -> str:
    return f"'{prefix}-' || lpad(to_hex(n), 8, '0')"


def _copy(row: Resource, count: int, first: int = 1, **different: str) -> None:
    """Insert `count` copies of this row; what differs are SQL expressions of n, their number from `first` on."""
    uuid, serial = "lpad(to_hex(n + 1), 32, '0')::uuid", "'SN' || n"
    different["resource_id"] = _id(row.prefix)
    if isinstance(row, Host):
        different |= {"uuid": uuid, "serial_number": serial, "hardware": UNLIKE}
    columns = [field.column for field in row._meta.concrete_fields if not field.primary_key]
    values = [different.get(column, column) for column in columns]
    table, last = row._meta.db_table, first + count - 1
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} "
            f"FROM {table}, generate_series(%s, %s) AS n WHERE {table}.id = %s",
            [first, last, row.pk],
        )
        if isinstance(row, Host):
            cursor.execute(
                f"INSERT INTO {Claim._meta.db_table} (schema, resource_id, uuid, serial) "
                f"SELECT %s, {_id('host')}, {uuid}, {serial} FROM generate_series(%s, %s) AS n",
                [connection.schema_name, first, last],
            )
