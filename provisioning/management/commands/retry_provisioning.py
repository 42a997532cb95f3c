"""`manage.py retry_provisioning HOST-ID ... --project NAME`: install again after a failure."""

from django.core.management.base import BaseCommand, CommandError

from inventory.models import Instance
from provisioning import workflow
from tenants import schema
from tenants.events import acting_as
from tenants.models import Project


class Command(BaseCommand):
    help = "Install the operating system of these hosts again, from the start."

    def add_arguments(self, parser):
        parser.add_argument("hosts", nargs="+", metavar="HOST-ID")
        parser.add_argument("--project", required=True)

    def handle(self, *, hosts, project, **_):
        found = Project.objects.filter(name=project).first()
        if found is None:
            raise CommandError(f"There is no project {project}")
        failed = 0
        with schema.in_schema(found), acting_as("retry_provisioning"):
            for host in hosts:
                try:
                    self.stdout.write(f"{host}: {workflow.retry(Instance.objects.get(host_id=host))}")
                except (Instance.DoesNotExist, workflow.NotToBeInstalled) as why:
                    self.stderr.write(f"{host}: {why}")
                    failed += 1
        if failed:
            raise CommandError(f"{failed} of {len(hosts)} could not be tried again")
