"""`manage.py create_project NAME --org ORG`: a tenant with its schema. Does nothing if it is there."""

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from tenants import schema
from tenants.models import Organization, Project


class Command(BaseCommand):
    help = "Make a project (a tenant) and its schema."

    def add_arguments(self, parser):
        parser.add_argument("name")
        parser.add_argument("--org", required=True, help="its organization, made if it isn't there")
        parser.add_argument("--description", default="")

    def handle(self, *, name, org, description, **_):
        organization, _ = Organization.objects.get_or_create(name=org)
        project = Project.objects.filter(name=name).first()
        if project is None:
            project = Project(name=name, organization=organization, description=description)
            try:
                project.full_clean(exclude=["schema_name"])
            except ValidationError as wrong:
                raise CommandError("; ".join(wrong.messages)) from wrong
            project.save()
        elif project.organization != organization:
            raise CommandError(f"Project {name} belongs to organization {project.organization}; names are unique")
        schema.make_ready(project)
        self.stdout.write(f"Project {name} ({project.uuid}) is {project.state}")
