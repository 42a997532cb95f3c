"""`manage.py create_admin`: the first person, with a password that is generated and shown once."""

from django.db import transaction

from tenants.issuer import make_signing_key
from tenants.management.people import PeopleCommand, new_password
from tenants.models import Project, Role, SigningKey, User
from tenants.roles import grant


class Command(PeopleCommand):
    help = "Make the signing key and the user admin, if they aren't there; print the password once."

    def add_arguments(self, parser):
        parser.add_argument("--project", default="demo", help="where admin may onboard machines, too")

    @transaction.atomic
    def handle(self, *, project, **_):
        if not SigningKey.objects.exists():
            make_signing_key()
        admin, made = User.objects.get_or_create(username="admin", defaults={"is_superuser": True, "is_staff": True})
        if made:
            password, _ = new_password("EIM_ADMIN_PASSWORD")
            admin.change_password(password)
            self.stdout.write(f"admin {password}")
        for found in Project.objects.filter(name=project):
            for role in (Role.WRITE, Role.ONBOARD):
                grant(role, admin, found)
