"""`python -m eim_project.run ROLE`: become one process of the manager, as units, containers and pods start it.

What is said after the role is added to its command line: `run reconcilers -c 8`, `run southbound --plaintext`.
"""

import argparse
import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eim_project.settings")

from django.conf import settings
from django.utils.crypto import salted_hmac

# One web process with threads, because another process costs 100 MB and has metrics of its own: for more, start more.
_WEB = "-m gunicorn eim_project.wsgi --workers=1 --threads=16 --worker-class=gthread --preload --timeout=60"
_CELERY = "-m celery -A eim_project.celery:app"
_WORKER = f"{_CELERY} worker --loglevel=INFO --without-mingle --without-gossip"
ROLES = {
    "web": f"{_WEB} --graceful-timeout=5 --no-control-socket --log-level=warning --bind={{host}}:{{port}}",
    "southbound": "manage.py southbound --address {host}:{port}",
    "reconcilers": f"{_WORKER} -n reconcilers@%h -c 2 -Q wake,reconcile,tenant",
    "builders": f"{_WORKER} -n builders@%h -c 1 -Q build",
    "bmc": "manage.py bmc",
    "beat": f"{_CELERY} beat --loglevel=INFO --pidfile= --schedule={{data}}/beat-schedule",
    "flower": f"{_CELERY} flower --address={{host}} --port={{port}} --logging=warning",
    "exporter": "manage.py exporter --address {host}:{port}",
    "tinkerbell": "manage.py watch_tinkerbell",
}
PORTS = {
    "web": settings.EIM_HTTP_PORT,
    "southbound": settings.EIM_GRPC_PORT,
    "flower": settings.EIM_FLOWER_PORT,
    "exporter": settings.EIM_EXPORTER_PORT,
}


def command(role: str, address: str = "") -> list[str]:
    """What Python is started with, in our folder. `address` is host:port, for roles that listen."""
    host, _, port = (address or f"{settings.EIM_BIND}:{PORTS.get(role)}").rpartition(":")
    return [word.format(host=host, port=port, data=settings.EIM_DATA) for word in ROLES[role].split()]


def environment() -> dict[str, str]:
    """What the libraries that we stand on read from it."""
    return {
        "FLOWER_AUTH": ".*@eim",  # somebody must sign in; who, its door knows (eim_project/flower.py)
        "FLOWER_AUTH_PROVIDER": "eim_project.flower.Login",
        "FLOWER_TASKS_COLUMNS": "name,args,state,result,received,runtime,worker",
        "FLOWER_COOKIE_SECRET": salted_hmac("flower", "cookies that tell who").hexdigest(),
        "MALLOC_ARENA_MAX": "2",  # threads otherwise keep an arena each, and with it what they once needed
        "PYTHONUNBUFFERED": "1",
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m eim_project.run", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("--address", default="", metavar="HOST:PORT", help=f"for {', '.join(PORTS)}")
    options, more = parser.parse_known_args()
    if options.address and options.role not in PORTS:
        parser.error(f"{options.role} listens nowhere, so it takes no --address")
    os.chdir(settings.BASE_DIR)
    arguments = [sys.executable, *command(options.role, options.address), *more]
    os.execve(sys.executable, arguments, os.environ | environment())  # noqa: S606


if __name__ == "__main__":
    main()
