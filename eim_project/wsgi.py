"""The web server's way in. What was loaded at start is frozen: full collections over it set the p99 of a request."""

import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eim_project.settings")

application = get_wsgi_application()
get_resolver().url_patterns  # noqa: B018  load the views before the first request, and before the freeze
gc.collect()
gc.freeze()
gc.set_threshold(10_000, 20, 50)
