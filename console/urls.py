"""The pages of the console in a project, below /p/<project>/."""

from console import dashboard, hosts, install
from console.frame import to_read, to_write

app_name = "console"
urlpatterns = [
    to_read("", dashboard.dashboard, "dashboard"),
    to_read("live/", dashboard.live, "dashboard-live"),
    to_read("hosts/<str:resource_id>/", hosts.host, "host"),
    to_read("hosts/<str:resource_id>/live/", hosts.live, "host-live"),
    to_write("hosts/<str:resource_id>/install/", install.install, "install"),
    to_write("hosts/<str:resource_id>/do/<str:verb>/", hosts.do, "host-do"),
]
