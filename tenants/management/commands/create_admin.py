"""`manage.py create_admin`: the first person, with a password that is generated and shown once."""

import os
import secrets

from django.core.management.base import BaseCommand

from tenants.issuer import make_signing_key
from tenants.models import Grant, Project, Role, SigningKey, User


class Command(BaseCommand):
    help = "Make the signing key and the user admin, if they aren't there; print the password once."

    def add_arguments(self, parser):
        parser.add_argument("--project", default="demo", help="where admin may onboard machines, too")

    def handle(self, *, project, **_):
        if not SigningKey.objects.exists():
            make_signing_key()
        admin, made = User.objects.get_or_create(username="admin", defaults={"is_superuser": True, "is_staff": True})
        if made:
            password = os.environ.get("EIM_ADMIN_PASSWORD") or secrets.token_urlsafe(12)
            admin.set_password(password)
            admin.save()
            self.stdout.write(f"admin {password}")
        for found in Project.objects.filter(name=project):
            for role in (Role.WRITE, Role.ONBOARD):
                Grant.objects.get_or_create(user=admin, project=found, role=role)
