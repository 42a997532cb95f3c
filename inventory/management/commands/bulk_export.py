"""`manage.py bulk_export FILE --project demo`: hosts, as bulk_import reads them; importing them changes nothing."""

from collections.abc import Iterator
from pathlib import Path

from django.core.management.base import CommandError
from django.db import transaction

from inventory.bulk.lookup import Catalog
from inventory.bulk.options import BulkCommand, add_project, ready_project
from inventory.bulk.rows import SERIAL
from inventory.bulk.sheet import LONG, Report, SheetError
from inventory.bulk.wanted import SECURE
from inventory.models import Host, HostState, Instance, InstanceState, OperatingSystem, Site
from tenants.schema import in_schema

AT_ONCE = 1000  # hosts in memory


class Command(BulkCommand):
    help = "Write the hosts that have an operating system, or shall have one, into a CSV file for bulk_import."

    def add_arguments(self, parser):
        parser.add_argument("file", type=Path, help="must not be there yet")
        add_project(parser)

    def handle(self, *, file: Path, project: str | None, **_):
        written = 0
        try:
            with in_schema(ready_project(project)), Report(file, LONG) as report:
                for cells in exported():
                    report.write(cells)
                    written += 1
                left_out = Host.objects.count() - written
        except SheetError as wrong:
            raise CommandError(str(wrong)) from wrong
        without = f"; {left_out} hosts without an instance, or on their way out, were left out" if left_out else ""
        self.stdout.write(f"{written} hosts are in {file}{without}" if written else f"No hosts to export{without}")


@transaction.atomic  # for the cursor that reads along
def exported() -> Iterator[dict[str, str]]:
    """The rows of the project whose schema the connection is in."""
    systems, sites = Catalog.of(OperatingSystem, "profile_name", "name"), Catalog.of(Site, "name")
    instances = Instance.objects.filter(desired_state=InstanceState.RUNNING)
    instances = instances.exclude(host__desired_state__in=[HostState.UNTRUSTED, HostState.DELETED])
    instances = instances.select_related("host__site", "os", "local_account").prefetch_related("custom_config")
    for instance in instances.iterator(AT_ONCE):
        host = instance.host
        # A serial number that a machine made up, and no importer would take, isn't needed beside the UUID.
        serial = host.serial_number if SERIAL.fullmatch(host.serial_number) or not host.uuid else ""
        yield {
            "Serial": serial,
            "UUID": str(host.uuid or ""),
            "OSProfile": systems.name_of(instance.os),
            "Site": sites.name_of(host.site) if host.site else "",
            "Secure": str(instance.security_feature == SECURE).lower(),
            "RemoteUser": instance.local_account.username if instance.local_account else "",
            "Metadata": "&".join(f"{pair['key']}={pair['value']}" for pair in host.metadata),
            "LVMSize": str(host.user_lvm_size or ""),
            "CloudInitMeta": "&".join(config.name for config in instance.custom_config.all()),
        }
