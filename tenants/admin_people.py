"""People and groups in the public admin, with what was granted to them."""

from typing import ClassVar

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import IntegrityError
from django.db.models import Count, Prefetch
from django.forms import BaseInlineFormSet, ModelForm
from django.http import HttpResponseRedirect
from unfold.admin import ModelAdmin, TabularInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from tenants.errors import ResourceError
from tenants.models import Grant, User
from tenants.people.shapes import NAME

admin.site.unregister(Group)


class Rows(TabularInline):
    """Rows that are added and removed, not changed; so a page needs no choice of everybody for each of them."""

    extra = 0

    class Media:
        css: ClassVar = {"all": ["door/admin.css"]}

    def has_change_permission(self, request, obj=None):
        return False


class GrantFormSet(BaseInlineFormSet):
    """Tells what the database would refuse. A form by itself skips what concerns a column that it doesn't show."""

    def clean(self):
        super().clean()
        there_yet = set() if self.instance.pk else {self.fk.name}
        seen = set()
        for form in self.forms:
            if form.errors or not form.has_changed() or self._should_delete_form(form):
                continue
            granted = form.instance
            try:
                granted.validate_constraints(exclude=there_yet)
            except ValidationError as wrong:
                form.add_error(None, wrong.messages)
            same = (granted.user_id, granted.group_id, granted.role, granted.project_id, granted.organization_id)
            if same in seen:
                form.add_error(None, "That role is granted twice here")
            seen.add(same)


class GrantInline(Rows):
    model = Grant
    formset = GrantFormSet
    fields = ["role", "project", "organization"]
    autocomplete_fields = ["project", "organization"]

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("user", "group", "project", "organization").order_by("id")


class ToPerson(GrantInline):
    fk_name = "user"


class ToGroup(GrantInline):
    fk_name = "group"


class MemberInline(Rows):
    model = User.groups.through
    autocomplete_fields = ["user"]
    verbose_name, verbose_name_plural = "member", "members"

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("user").order_by("user__username")


class Told(ModelAdmin):
    """Shows refusals on the page."""

    def changeform_view(self, request, *args, **kwargs):
        return self._told(request, super().changeform_view, *args, **kwargs)

    def delete_view(self, request, *args, **kwargs):
        return self._told(request, super().delete_view, *args, **kwargs)

    def _told(self, request, view, *args, **kwargs):
        try:
            return view(request, *args, **kwargs)
        except ResourceError as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
        except IntegrityError:  # of the same moment; what was there before, the form has found
            self.message_user(request, "Somebody else did the same meanwhile; look again", messages.ERROR)
        return HttpResponseRedirect(request.get_full_path())

    def delete_queryset(self, request, queryset):
        for row in queryset:
            try:
                row.delete()
            except ResourceError as refusal:
                self.message_user(request, str(refusal), messages.ERROR)


@admin.register(User)
class PersonAdmin(Told, UserAdmin):
    form, add_form, change_password_form = UserChangeForm, UserCreationForm, AdminPasswordChangeForm
    list_display = ["username", "first_name", "last_name", "email", "is_active", "is_superuser", "last_login"]
    list_filter = ["is_active", "is_superuser"]
    filter_horizontal = []
    autocomplete_fields = ["groups"]
    readonly_fields = ["last_login", "date_joined"]
    add_fieldsets = UserAdmin.add_fieldsets  # Unfold's own has none, and comes first
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        ("Who it is", {"fields": ["first_name", "last_name", "email"]}),
        ("What they may do", {"fields": ["is_active", "is_superuser", "groups"]}),
        ("Since when", {"fields": ["last_login", "date_joined"]}),
    ]

    def get_inlines(self, request, obj):
        return [ToPerson] if obj else []


class GroupForm(ModelForm):
    class Meta:
        model = Group
        fields = ["name"]

    def clean_name(self):
        name = self.cleaned_data["name"]
        RegexValidator(NAME, "A group's name has letters, digits, single spaces and _ . @ + -")(name)
        return name


@admin.register(Group)
class GroupAdmin(Told):
    form = GroupForm
    list_display = ["name", "members", "may"]
    search_fields = ["name", "grants__project__name", "grants__organization__name"]
    ordering = ["name"]
    inlines = [MemberInline, ToGroup]

    def get_queryset(self, request):
        grants = Grant.objects.select_related("project", "organization").order_by("id")
        return super().get_queryset(request).annotate(number=Count("user", distinct=True)).prefetch_related(
            Prefetch("grants", grants)
        )

    @admin.display(ordering="number")
    def members(self, group):
        return group.number

    @admin.display
    def may(self, group):
        return ", ".join(grant.what for grant in group.grants.all())
