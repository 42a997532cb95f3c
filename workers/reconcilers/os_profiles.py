"""Has each tenant's operating systems follow the catalogue of OS profiles (workers/catalogue.py)."""

from django.db import transaction
from django_tenants.utils import schema_context

from inventory import profiles
from tenants.models import Project
from workers import catalogue
from workers.engine import Done, Reconciler, register
from workers.models import Follows, OsCatalogue


@register
class OsProfiles(Reconciler):
    """Nobody wishes for it, and each tenant by itself: one that fails is tried again, and keeps no other waiting."""

    model, pair = Project, ""

    def outstanding(self):
        made = OsCatalogue.objects.all()
        follow = Follows.objects.filter(digest__in=made.values("digest")).values("schema")
        return Project.objects.ready().exclude(schema_name__in=follow) if made.exists() else Project.objects.none()

    @transaction.atomic
    def reconcile(self, project):
        digest = OsCatalogue.objects.get().digest  # of what is wanted now, or of what it was before: then once more
        systems = catalogue.wanted()
        with schema_context(project.schema_name):
            profiles.follow(systems)
        Follows.objects.update_or_create(schema=project.schema_name, defaults={"digest": digest})
        return Done()
