"""`manage.py create_project NAME --org ORG`: a tenant, brought up here and now. Does nothing if it is there."""

from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from tenants.models import Organization, Project
from workers import attending


class Command(BaseCommand):
    help = "Make a project (a tenant) with its schema and all that projects begin with; needs no worker."

    def add_arguments(self, parser):
        parser.add_argument("name")
        parser.add_argument("--org", required=True, help="its organization, made if it isn't there")
        parser.add_argument("--description", default="")
        parser.add_argument("--uuid", type=UUID, help="of a project that moves here, which tokens elsewhere name")

    def handle(self, *, name, org, description, uuid, **_):
        owner = Organization.objects.filter(projects__name=name).first()
        if owner and owner.name != org:
            raise CommandError(f"Project {name} belongs to organization {owner}; names are unique")
        organization = attending.make(Organization, org)
        told = {"uuid": uuid} if uuid else {}
        project = attending.make(Project, name, organization=organization, description=description, **told)
        if uuid and project.uuid != uuid:
            raise CommandError(f"Project {name} is here already, as {project.uuid}; a project's UUID never changes")
        self.stdout.write(f"Project {name} ({project.uuid}) is {project.current_state}")
