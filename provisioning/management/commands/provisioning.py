"""`manage.py provisioning VERB HOST-ID ... --project NAME`: what operators do to installations, and how they are."""

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from inventory.models import Instance, OperatingSystem
from provisioning import verbs, workflow
from provisioning.models import ACTIVE, Workflow
from tenants import schema
from tenants.events import acting_as
from tenants.management.people import find_ready_project

WHO = "manage.py provisioning"


class Command(BaseCommand):
    help = "Installations: list, retry, reprovision, abort, pause, resume."

    def add_arguments(self, parser):
        parser.add_argument("verb", choices=["list", *verbs.VERBS], help="list: those on their way; of hosts, all")
        parser.add_argument("hosts", nargs="*", metavar="HOST-ID")
        parser.add_argument("--project", required=True)
        parser.add_argument("--from-start", action="store_true", help="retry: repeat what is done")
        parser.add_argument("--os", metavar="OS-ID", help="reprovision: another operating system")

    def handle(self, *, verb, hosts, project, os, from_start, **_):
        found = find_ready_project(project)
        if (os and verb != "reprovision") or (from_start and verb != "retry"):
            raise CommandError(f"{verb} takes neither --os, which is for reprovision, nor --from-start, for retry")
        with schema.in_schema(found), acting_as(WHO):
            if verb == "list":
                return self.list(hosts)
            if not hosts:
                raise CommandError(f"{verb} which hosts?")
            self.do(verb, hosts, ({"os": self.system(os)} if os else {}) | ({"from_start": True} if from_start else {}))

    def list(self, hosts):
        runs = Workflow.objects.filter(schema=connection.schema_name).defer("inputs_sealed").order_by("id")
        for run in runs.filter(host_id__in=hosts) if hosts else runs.filter(state__in=ACTIVE):
            how = workflow.in_words(run) if run.state in ACTIVE else run.reason
            self.stdout.write(f"{run.host_id}  {run.workflow_id}  attempt {run.attempt}  {run.state}  {how}".rstrip())

    def do(self, verb, hosts, told):
        failed = 0
        for host in hosts:
            try:
                self.stdout.write(f"{host}: {verbs.VERBS[verb](Instance.objects.get(host_id=host), WHO, **told)}")
            except (Instance.DoesNotExist, *verbs.REFUSALS) as why:
                self.stderr.write(f"{host}: {why}")
                failed += 1
        if failed:
            raise CommandError(f"{verb} of {failed} of {len(hosts)} hosts is not possible")

    def system(self, resource_id):
        found = OperatingSystem.objects.filter(resource_id=resource_id).first()
        if found is None:
            raise CommandError(f"There is no operating system {resource_id}")
        return found
