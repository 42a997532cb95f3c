"""Enrolments in the project's admin: made by an action on hosts, read here, and ended."""

from django.contrib import admin, messages
from django.db import transaction

from inventory.admin import HostAdmin, ResourceAdmin, site
from inventory.models import Host
from tenants import enrolment
from tenants.models import Enrolment
from tenants.permissions import name_of


def letting_in(description: str, *, with_token: bool):
    @admin.action(description=description)
    def act(model_admin, request, hosts):
        for host in hosts:
            with transaction.atomic():
                made, token = enrolment.make(host, hours=24, with_token=with_token, by=name_of(request.user))
            told = f"its enrolment token, shown only now, is {token}" if token else "its machine may call once more"
            model_admin.message_user(request, f"{host}: {told}; until {made.expires_at:%F %H:%M} UTC")

    act.__name__ = "enrolment_token" if with_token else "open_enrolment"
    return act


HostAdmin.actions += [
    letting_in("Enrolment: make a token that its machine has to show", with_token=True),
    letting_in("Enrolment: let its machine have new credentials, though it is installed", with_token=False),
]


@admin.register(Enrolment, site=site)
class EnrolmentAdmin(ResourceAdmin):
    come_from = "One is made for a host by manage.py enrol, or by the API, and its token is shown once."
    list_display = ["id", "resource_id", "made_by", "expires_at", "used_at", "used_by", "revoked_at"]
    search_fields = ["resource_id"]
    ordering = ["-id"]
    actions = ["end"]

    def get_readonly_fields(self, request, obj=None):
        return [field.name for field in Enrolment._meta.concrete_fields if field.name != "token_hash"]

    def has_add_permission(self, request):
        return False

    def has_delete_permission(self, request, obj=None):
        return False

    @admin.action(description="End: let nobody in by it any more")
    def end(self, request, rows):
        for row in rows:
            host = Host.objects.filter(resource_id=row.resource_id).first()
            if host is None:
                self.message_user(request, f"{row}: there is no such host any more", messages.ERROR)
                continue
            with transaction.atomic():
                enrolment.revoke(host, row)
