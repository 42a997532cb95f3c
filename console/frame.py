"""The frame around every page of the console: the project admin's, with its navigation, sign-in and rights."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path

from inventory.admin import site
from tenants.door import turned_away
from tenants.permissions import WRITERS, roles_here

View = Callable[..., HttpResponse]


def page(request: HttpRequest, template: str, status: int = 200, **told) -> HttpResponse:
    """A whole page. `title` is its heading; templates also know `may_write`, and what all admin pages know."""
    request.current_app = site.name
    return render(request, template, {**site.each_context(request), **_rights(request), **told}, status=status)


def part(request: HttpRequest, template: str, **told) -> HttpResponse:
    """A part of a page, for whoever has the page already."""
    return render(request, template, {**_rights(request), **told})


def _rights(request: HttpRequest) -> dict:
    return {"may_write": bool(roles_here(request) & WRITERS)}


def to_read(route: str, view: View, name: str) -> URLPattern:
    """A page for whoever may read the project."""
    return path(route, site.admin_view(view), name=name)


def to_write(route: str, view: View, name: str) -> URLPattern:
    """A page for whoever may write in the project."""

    def guarded(request, *args, **kwargs):
        return view(request, *args, **kwargs) if roles_here(request) & WRITERS else turned_away(request)

    return path(route, site.admin_view(guarded), name=name)
