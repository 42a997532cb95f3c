"""`manage.py create_project NAME --org ORG`: a tenant with its schema. Does nothing if it is there."""

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from tenants import schema
from tenants.models import Organization, Project, TenantState


class Command(BaseCommand):
    help = "Make a project (a tenant) and its schema."

    def add_arguments(self, parser):
        parser.add_argument("name")
        parser.add_argument("--org", required=True, help="its organization, made if it isn't there")
        parser.add_argument("--description", default="")

    def handle(self, *, name, org, description, **_):
        organization = Organization.objects.filter(name=org).first()
        if organization is None:
            organization = Organization(name=org)
            self.ask(organization)
        project = Project.objects.filter(name=name).first()
        if project is None:
            project = Project(name=name, organization=organization, description=description)
            self.ask(project)
        elif project.organization != organization:
            raise CommandError(f"Project {name} belongs to organization {project.organization}; names are unique")
        schema.make_ready(project)
        self.stdout.write(f"Project {name} ({project.uuid}) is {project.current_state}")

    @staticmethod
    def ask(resource):
        try:
            resource.ask(state=TenantState.CREATED)
        except ValidationError as wrong:
            raise CommandError("; ".join(wrong.messages)) from wrong
