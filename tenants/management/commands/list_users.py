"""`manage.py list_users`: who there is, and what was granted to them."""

from django.db.models import Prefetch

from tenants.management.people import PeopleCommand
from tenants.models import Grant, User


class Command(PeopleCommand):
    help = "List the users with their groups and grants."

    def handle(self, **_):
        grants = Prefetch("grants", Grant.objects.select_related("project", "organization"))
        for user in User.objects.order_by("username").prefetch_related("groups", grants).iterator(chunk_size=1000):
            marks = ", ".join([*["superuser"] * user.is_superuser, *["inactive"] * (not user.is_active)])
            self.stdout.write(user.username + (f" ({marks})" if marks else ""))
            for group in user.groups.all():
                self.stdout.write(f"  member of {group}")
            for granted in user.grants.all():
                self.stdout.write(f"  {granted.what}")
