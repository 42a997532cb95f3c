"""Read by gunicorn wherever it is started in this folder: it logs as we do, authentication is off on the loopback only,

and who starts several workers is told what that does to their metrics."""

import sys

from django.conf import settings

from eim_project import cores
from eim_project.settings import is_loopback

logconfig_dict = settings.LOGGING


def on_starting(server) -> None:
    """Unix sockets and sockets that were handed over aren't the network's, or aren't known."""
    if server.cfg.workers > 1:
        server.log.warning("/metrics will tell what one of %s workers has counted: start several web servers instead, "
                           "with one each (docs/operate/deploy.md)", server.cfg.workers)  # fmt: skip
    if settings.AUTHENTICATION:
        return
    hosts = [address[0] for address in server.cfg.address if isinstance(address, tuple)]
    if open_to_others := [host for host in hosts if not is_loopback(host)]:
        server.log.error("EIM_AUTH=off opens everything to whoever reaches %s: bind to 127.0.0.1", open_to_others)
        sys.exit(4)


def post_worker_init(worker) -> None:
    cores.keep_to_one()
