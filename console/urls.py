"""The pages of the console in a project, below /p/<project>/."""

from console import dashboard, hosts, imports, install, locations, schedules, search
from console.frame import to_read, to_write

app_name = "console"
urlpatterns = [
    to_read("", dashboard.dashboard, "dashboard"),
    to_read("imports/", imports.overview, "imports"),
    to_read("imports/template.<str:kind>", imports.template, "import_template"),
    to_read("imports/<str:resource_id>/", imports.one, "import"),
    to_read("imports/<str:resource_id>/progress/", imports.progress, "import_progress"),
    to_read("imports/<str:resource_id>/errors.csv", imports.errors, "import_errors"),
    to_write("imports/<str:resource_id>/run/", imports.run, "import_run"),
    to_write("imports/<str:resource_id>/stop/", imports.stop, "import_stop"),
    to_read("schedules/", schedules.overview, "schedules"),
    to_write("schedules/new/", schedules.new, "schedule_new"),
    to_read("schedules/<str:resource_id>/", schedules.one, "schedule"),
    to_write("schedules/<str:resource_id>/end/", schedules.end, "schedule_end"),
    to_read("zero-touch/", install.zero_touch, "zero-touch"),
    to_read("search/", search.search, "search"),
    to_read("live/", dashboard.live, "dashboard-live"),
    to_read("locations/", locations.locations, "locations"),
    to_read("locations/<str:region>/", locations.sites_of, "sites-of"),
    to_read("hosts/<str:resource_id>/", hosts.host, "host"),
    to_read("hosts/<str:resource_id>/live/", hosts.live, "host-live"),
    to_write("hosts/<str:resource_id>/install/", install.install, "install"),
    to_write("hosts/<str:resource_id>/do/<str:verb>/", hosts.do, "host-do"),
]
