"""`manage.py set_password NAME`: a new password, drawn and shown once, or EIM_PASSWORD."""

from tenants.management.people import PeopleCommand, find_user, new_password


class Command(PeopleCommand):
    help = "Give a user a new password: $EIM_PASSWORD, or one that is drawn and shown once. Signs them out everywhere."

    def add_arguments(self, parser):
        parser.add_argument("name")

    def handle(self, *, name, **_):
        user = find_user(name)
        password, drawn = new_password("EIM_PASSWORD")
        user.change_password(password)
        self.stdout.write(f"{user.username} {password}" if drawn else f"{user.username} has the password given")
