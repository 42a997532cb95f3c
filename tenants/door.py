"""The door of the pages: who signs in, where they may go from there, and who is turned away."""

import re
from functools import update_wrapper

from django import forms
from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView, redirect_to_login
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.generic import RedirectView
from unfold.sites import UnfoldAdminSite

from tenants import roles
from tenants.errors import ResourceError, Unserved
from tenants.issuer import log_out
from tenants.models import Project, User
from tenants.models.people import IN_PROJECT
from tenants.permissions import READERS, WRITERS, roles_here
from tenants.tokens import Caller

PER_PAGE = 50  # projects on the start page
_PAGES = re.compile(r"^/p/[^/]+/")
LOOK_AGAIN = 5  # seconds, while a project is being made or deleted


def turned_away(request: HttpRequest) -> HttpResponse:
    """To the sign-in, or, for whoever is signed in, the one answer for what isn't theirs and what isn't there."""
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    return render(request, "403.html", status=403)


class ProjectDoor:
    """Lets nobody pass to the pages below /p/<project>/ who may not read the project. Whatever is behind it, the

    answer to a stranger is the same for somebody else's project, one that isn't there, and every page of theirs.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not _PAGES.match(request.path) or roles_here(request) & READERS:
            return self.get_response(request)
        why = request.unserved
        if isinstance(why, Unserved) and self._is_known(why.project, request.user):
            return self._not_ready(request, why)
        return turned_away(request)

    @staticmethod
    def _is_known(project: Project, user: User | Caller) -> bool:
        return user.is_authenticated and _projects_of(user).filter(pk=project.pk).exists()

    @staticmethod
    def _not_ready(request: HttpRequest, why: Unserved) -> HttpResponse:
        """It is being made, or on its way out: neither its schema nor its pages are there."""
        told = {"project": why.project, "seconds": LOOK_AGAIN}
        answer = render(request, "door/not_ready.html", told, status=why.status)
        if why.retry_after:
            answer["Retry-After"] = str(why.retry_after)
        return answer


class GuardedAdminSite(UnfoldAdminSite):
    """An admin with our sign-in before it, and a page that says so for whoever may not enter."""

    def get_urls(self):
        """Without Unfold's search: it keeps what it found by person, whatever the project."""
        return AdminSite.get_urls(self)

    def each_context(self, request):
        return super().each_context(request) | {"site_header": self.site_header, "site_title": self.site_title}

    def admin_view(self, view, cacheable=False):
        inside = super().admin_view(view, cacheable)

        def guarded(request, *args, **kwargs):
            return inside(request, *args, **kwargs) if self.has_permission(request) else turned_away(request)

        return update_wrapper(guarded, inside)

    def login(self, request, extra_context=None):
        if self.has_permission(request):
            return HttpResponseRedirect("../")
        return turned_away(request)

    def logout(self, request, extra_context=None):
        return sign_out(request)

    def password_change(self, request, extra_context=None):
        return HttpResponseRedirect("/password/")


class PublicAdminSite(GuardedAdminSite):
    """Organizations, projects and people: for superusers alone. Others have no business with all of them."""

    def has_permission(self, request):
        return request.user.is_active and request.user.is_superuser

    def each_context(self, request):
        return super().each_context(request) | {"site_subheader": "Administration"}


class SignInForm(AuthenticationForm):
    """Shows a refusal of the authentication, such as after too many tries, as a form's error."""

    refusal: ResourceError | None = None

    def clean(self):
        try:
            return super().clean()
        except ResourceError as why:
            self.refusal = why
            raise forms.ValidationError(str(why)) from why


class SignIn(LoginView):
    """?next= leads only to pages of this server: Django sees to that."""

    template_name = "door/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs):
        external = bool(getattr(settings, "EIM_OIDC_CLIENT_ID", ""))
        return super().get_context_data(external=external, **kwargs)

    def form_invalid(self, form):
        answer = super().form_invalid(form)
        if form.refusal:
            answer.status_code = form.refusal.status
            if form.refusal.retry_after:
                answer["Retry-After"] = str(form.refusal.retry_after)
        return answer


class SignOut(LogoutView):
    """Ends what clients were given on the strength of this session, too."""

    def post(self, request, *args, **kwargs):
        log_out(request)
        return super().post(request, *args, **kwargs)


sign_out = SignOut.as_view(next_page="/login/")


class Password(PasswordChangeView):
    """One's own. Who signed in elsewhere has one there."""

    template_name, success_url = "door/password.html", "/"

    def dispatch(self, request, *args, **kwargs):
        return turned_away(request) if isinstance(request.user, Caller) else super().dispatch(request, *args, **kwargs)


def _projects_of(user: User | Caller) -> QuerySet[Project]:
    """Those that this person, or somebody whom only an external issuer knows, has to do with."""
    if isinstance(user, Caller):
        return Project.objects.filter(uuid__in=user.projects_with(*IN_PROJECT))
    return roles.projects_of(user)


@never_cache
@login_required
def start(request: HttpRequest) -> HttpResponse:
    """The projects that this person knows of, and what else there is for them."""
    looked_for = request.GET.get("q", "").replace("\0", "").strip()
    mine = _projects_of(request.user)
    if looked_for:
        mine = mine.filter(name__icontains=looked_for)
    page = Paginator(mine.select_related("organization").order_by("name"), PER_PAGE).get_page(request.GET.get("page"))
    projects = [*page]
    if isinstance(request.user, Caller):
        held = {project.pk: request.user.roles_in(project) for project in projects}
    else:
        held = roles.roles_by_project(request.user, projects)
    rows = [
        {
            "project": project,
            "may": "read and write" if held[project.pk] & WRITERS else "read" if held[project.pk] & READERS else "",
            "roles": sorted(held[project.pk]),
        }
        for project in projects
    ]
    return render(request, "door/start.html", {
        "page": page, "rows": rows, "looked_for": looked_for, "flower": settings.EIM_FLOWER_URL,
    })  # fmt: skip


urlpatterns = [
    path("", start),
    path("login/", SignIn.as_view()),
    path("logout/", sign_out),
    path("password/", Password.as_view()),
    path("favicon.ico", RedirectView.as_view(url="/static/door/mark.svg")),
    path("p/<str:project>", RedirectView.as_view(url="/p/%(project)s/")),
]
