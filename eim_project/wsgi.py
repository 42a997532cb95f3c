"""The web server's way in. What was loaded at start is frozen: full collections over it set the p99 of a request."""

import gc
import os
from weakref import WeakKeyDictionary

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eim_project.settings")

_django = get_wsgi_application()
_clients: WeakKeyDictionary = WeakKeyDictionary()  # connection -> what our https port has said of its client


def application(environ: dict, start_response):
    """Who comes by our https port (tls.serve) has come by TLS, from the address that the port has told.

    gunicorn knows that with the first request of a connection alone.
    """
    if connection := environ.get("gunicorn.socket"):
        if "PROXY_PROTOCOL" in environ:
            _clients[connection] = (environ["REMOTE_ADDR"], environ["PROXY_PORT"])
        if connection in _clients:
            environ["REMOTE_ADDR"], port = _clients[connection]
            if port == str(settings.EIM_HTTPS_PORT):
                environ["wsgi.url_scheme"] = "https"
    return _django(environ, start_response)


get_resolver().url_patterns  # noqa: B018  load the views before the first request, and before the freeze
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 50)  # a page of 100 hosts has 2,000 objects, and each thread may make one
