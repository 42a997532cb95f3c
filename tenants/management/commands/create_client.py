"""`manage.py create_client NAME`: a program that asks for tokens by itself, with an account that has roles."""

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from tenants.models import Client, User


class Command(BaseCommand):
    help = "Make a client with a service account and print its secret, for the only time; or give it a new secret."

    def add_arguments(self, parser):
        parser.add_argument("client_id")
        parser.add_argument("--description", default="")

    @transaction.atomic
    def handle(self, *, client_id, description, **_):
        client = Client.objects.filter(client_id=client_id).first()
        if client is None:
            account, _ = User.objects.get_or_create(username=f"service-account-{client_id}")
            client = Client(
                client_id=client_id, description=description, grants=["client_credentials"], service_account=account
            )
        elif client.service_account is None:
            raise CommandError(f"{client_id} is there and has no service account: it is for people to sign in with")
        secret = client.new_secret()
        try:
            client.full_clean()
        except ValidationError as wrong:
            raise CommandError("; ".join(wrong.messages)) from wrong
        client.save()
        self.stdout.write(f"{client_id} {secret}")
        self.stdout.write(f"Its roles are those that are granted to {client.service_account}")
