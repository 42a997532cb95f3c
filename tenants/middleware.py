"""The project named in the URL becomes the schema that the request runs in."""

import re

from django.http import HttpRequest, HttpResponse
from django.urls import set_script_prefix
from django_tenants.utils import schema_context

from tenants.models import Project

_API = re.compile(r"^/v\d+/projects/([^/\0]+)/")
_PAGES = re.compile(r"^(/p/([^/\0]+))(/.*)$")


class TenantMiddleware:
    """Sets request.project, and enters its schema, for /v1/projects/<name>/... and /p/<name>/...

    Rights are not its business: whoever isn't allowed is turned away inside, in a schema where they have seen nothing.
    An unknown project is None, which every permission, and the door of the pages (tenants/door.py), refuses as it
    refuses a project of somebody else's.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.project = None
        if found := _API.match(request.path_info):
            request.project = self.ready_project(found[1])
        elif (found := _PAGES.match(request.path_info)) and (project := self.ready_project(found[2])):
            request.project = project
            # The project stays in the URL as the script's name: a switch kept in the session would let two tabs
            # write into the wrong tenant.
            request.path_info = found[3]
            request.META["SCRIPT_NAME"] = found[1]
            set_script_prefix(f"{found[1]}/")
            request.urlconf = "eim_project.urls_project"
        if request.project is None:
            return self.get_response(request)
        with schema_context(request.project.schema_name):
            return self.get_response(request)

    @staticmethod
    def ready_project(name: str) -> Project | None:
        return Project.objects.ready().filter(name=name).first()
