"""`manage.py boot_from DEVICE HOST`: from where a machine starts the next time, as its controller is told."""

from contextlib import closing

from django.core.management.base import BaseCommand, CommandError
from django_tenants.utils import schema_context

from inventory.models import Host
from tenants.management.people import find_ready_project
from workers import power
from workers.drivers.base import Fault, Unable
from workers.drivers.redfish import BOOT, Redfish


class Command(BaseCommand):
    help = "Have a machine's controller start it once from the network, its disk, or an image inserted as a CD."

    def add_arguments(self, parser):
        parser.add_argument("device", choices=BOOT)
        parser.add_argument("host", help="host-1a2b3c4d")
        parser.add_argument("--image", default="", help="the URL of an image, as the controller reaches it; for media")
        parser.add_argument("--project", default="demo")

    def handle(self, *, device, host, image, project, **_):
        if (device == "media") != bool(image):
            raise CommandError("--image is for media, and media needs it")
        tenant = find_ready_project(project)
        with schema_context(tenant.schema_name):
            found = Host.objects.filter(resource_id=host).select_related("power_provider", "provider").first()
            if found is None:
                raise CommandError(f"there is no host {host!r} in project {project}")
            try:
                kind, machine = power.driver_for(found, tenant.uuid)
                if not issubclass(kind, Redfish):
                    raise Unable(f"{host} isn't managed by Redfish, and nothing else chooses boot devices")
                with closing(kind(machine)) as driver:
                    driver.boot_from(device, image=image)
            except (Fault, Unable) as why:
                raise CommandError(str(why)) from why
        self.stdout.write(f"{host} starts from {image or device} the next time")
