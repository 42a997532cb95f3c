"""Two administrators remove each other at the same moment, in connections of their own: one of them stays."""

import threading
from concurrent.futures import ThreadPoolExecutor

from django.db import connection

from tenants.errors import LastAdministrator
from tenants.models import User


def test_two_administrators_who_remove_each_other_at_once_leave_one(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        connection.set_schema_to_public()
        others = [*User.objects.filter(is_superuser=True).values_list("pk", flat=True)]
        ours = User.objects.filter(username__in=("castor", "pollux"))
        try:
            User.objects.filter(pk__in=others).update(is_superuser=False)
            for _ in range(5):
                pair = [User.objects.create_superuser(name) for name in ("castor", "pollux")]
                assert sorted(_all_at_once(_demote, pair)) == ["", "LastAdministrator"]
                assert User.objects.filter(is_superuser=True).count() == 1
                ours._raw_delete("default")
        finally:
            ours._raw_delete("default")
            User.objects.filter(pk__in=others).update(is_superuser=True)
            connection.close()


def _demote(user: User) -> str:
    """The name of the refusal, if there is one."""
    try:
        user.is_superuser = False
        user.save()
    except LastAdministrator as refusal:
        return type(refusal).__name__
    finally:
        connection.close()
    return ""


def _all_at_once(act, items) -> list:
    together = threading.Barrier(len(items))

    def one(item):
        together.wait(timeout=10)
        return act(item)

    with ThreadPoolExecutor(len(items)) as pool:
        return [*pool.map(one, items)]
