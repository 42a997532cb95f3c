"""`manage.py exporter`: the Inventory Exporter, a server of /metrics for Prometheus, in a process of its own."""

import logging
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from wsgiref.simple_server import WSGIRequestHandler, make_server

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, close_old_connections
from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from exporter.collectors import registry
from inventory import presence

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Serve the fleet's metrics to Prometheus. Whoever reaches the address reads them: they name projects."

    def add_arguments(self, parser):
        parser.add_argument(
            "--address", default=f"127.0.0.1:{settings.EIM_EXPORTER_PORT}", help="host:port (default: %(default)s)"
        )

    def handle(self, *, address, **_):
        host, _, port = address.rpartition(":")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        asker = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        try:
            server = make_server(host, int(port), served(asker), ThreadingWSGIServer, Quiet)
        except (OSError, ValueError) as taken:
            raise CommandError(f"can't listen on {address}: {taken}. Name a free one with --address") from taken
        log.info("exporter listens", extra={"address": address})
        with server:
            server.serve_forever()


def served(asker: ThreadPoolExecutor) -> Callable:
    """The metrics as a WSGI application.

    All are asked for by `asker`, whose one thread keeps its connection: a new one would have to learn all tenants'
    tables first, which is a third of what a scrape of 300 tenants costs.
    """
    metrics = make_wsgi_app(registry())

    def ask(environ, start_response):
        close_old_connections()
        return metrics(environ, start_response)

    def answer(environ, start_response):
        try:
            return asker.submit(ask, environ, start_response).result()
        except (DatabaseError, presence.Away) as away:
            log.warning("the metrics can't be collected", extra={"because": away})
            start_response("503 Service Unavailable", [("Content-Type", "text/plain")])
            return [b"The database or Redis doesn't answer\n"]

    return answer


class Quiet(WSGIRequestHandler):
    timeout = 30  # seconds that a client may take

    def log_message(self, *_):
        """Prometheus asks often."""
