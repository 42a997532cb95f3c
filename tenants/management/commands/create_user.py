"""`manage.py create_user NAME`: a person, with a password that is drawn and shown once, or EIM_PASSWORD."""

from django.db import IntegrityError, transaction

from tenants.errors import Duplicate
from tenants.management.people import PeopleCommand, find_group, new_password
from tenants.models import User


class Command(PeopleCommand):
    help = "Make a user. The password is $EIM_PASSWORD, or one that is drawn and shown once."

    def add_arguments(self, parser):
        parser.add_argument("name")
        parser.add_argument("--email", default="")
        parser.add_argument("--superuser", action="store_true", help="may do everything")
        parser.add_argument("--group", action="append", default=[], metavar="NAME", help="may be given several times")

    @transaction.atomic
    def handle(self, *, name, email, superuser, group, **_):
        groups = [find_group(one) for one in group]
        user = User(username=User.normalize_username(name), email=email, is_superuser=superuser)
        user.set_unusable_password()
        user.clean_fields(exclude=["password"])
        try:
            with transaction.atomic():
                user.save()
        except IntegrityError as taken:
            raise Duplicate(f"There is a user {name!r} already: see `manage.py set_password`") from taken
        password, drawn = new_password("EIM_PASSWORD")
        user.change_password(password)
        user.groups.set(groups)
        self.stdout.write(f"{user.username} {password}" if drawn else f"{user.username} has the password given")
