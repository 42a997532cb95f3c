"""The pages of the console in a project, below /p/<project>/."""

from console import dashboard
from console.frame import to_read

app_name = "console"
urlpatterns = [
    to_read("", dashboard.dashboard, "dashboard"),
]
