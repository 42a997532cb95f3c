"""What is outstanding, in the public admin: the whole queue with its reasons, on one page, to read."""

from django.contrib import admin

from workers.models import Watch, Work


class ToRead(admin.ModelAdmin):
    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


@admin.register(Work)
class WorkAdmin(ToRead):
    list_display = ["reconciler", "schema", "target", "wish", "due_at", "leased_until", "attempts", "refused", "why"]
    list_filter = ["queue", "reconciler", "refused"]
    ordering = ["due_at"]


@admin.register(Watch)
class WatchAdmin(ToRead):
    list_display = ["schema", "target", "seen", "failures", "due_at"]
    list_filter = ["failures"]
    ordering = ["due_at"]
