"""What is outstanding, in the public admin: the whole queue with its reasons, on one page, to read."""

from django.contrib import admin
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from workers import outstanding
from workers.models import OsProfile, Watch, Work


class ToRead(ModelAdmin):
    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


class Page(ChangeList):
    """Its rows know what they are about, which is looked up for all of a page at once."""

    def get_results(self, request):
        super().get_results(request)
        works = list(self.result_list)
        for work, row in zip(works, outstanding.queued(works), strict=True):
            work.row = row
        self.result_list = works


def told(name: str, description: str, ordering: str | None = None):
    @admin.display(description=description, ordering=ordering)
    def column(work):
        return getattr(work.row, name)

    column.__name__ = name
    return column


@admin.register(Work)
class WorkAdmin(ToRead):
    come_from = "Whatever was asked for is done."
    list_display = [
        told("resource", "resource"), told("project", "project", "schema"), "wish", told("since", "since", "made_at"),
        told("tries", "tries", "attempts"), told("next_in_words", "next", "due_at"), told("why", "why", "why"),
        "reconciler",
    ]  # fmt: skip
    list_filter = ["queue", "reconciler", ("refused", admin.EmptyFieldListFilter)]
    search_fields = ["schema", "reconciler", "wish", "why"]
    ordering = ["made_at"]
    list_per_page = 100
    show_full_result_count = False

    def get_changelist(self, request, **kwargs):
        return Page


@admin.register(OsProfile)
class OsProfileAdmin(ToRead):
    list_display = ["origin", "retracted", "seen_at", "problem"]
    list_filter = ["retracted", ("problem", admin.EmptyFieldListFilter)]
    search_fields = ["origin", "problem"]


@admin.register(Watch)
class WatchAdmin(ToRead):
    list_display = ["schema", "target", "seen", "failures", "due_at"]
    list_filter = ["failures"]
    ordering = ["due_at"]
