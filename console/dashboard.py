"""The fleet of a project on one page."""

from django.http import HttpRequest, HttpResponse

from console.frame import page


def dashboard(request: HttpRequest) -> HttpResponse:
    return page(request, "console/dashboard.html", title="Overview")
