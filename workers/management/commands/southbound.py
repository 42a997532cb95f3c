"""`manage.py southbound`: the gRPC server for machines and their agents."""

import asyncio
import logging
import signal
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules

import grpc
from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

log = logging.getLogger(__name__)

GRACE = 10  # seconds in which calls in flight may finish when the server stops


class Command(BaseCommand):
    help = "Serve machines and their agents over gRPC."

    def add_arguments(self, parser):
        parser.add_argument("--address", default=f"127.0.0.1:{settings.EIM_GRPC_PORT}", help="host:port to listen on")
        parser.add_argument("--plaintext", action="store_true", help="no TLS: behind a proxy that ends it")

    def handle(self, *, address, plaintext, **_):
        asyncio.run(serve(address, None if plaintext else tls_credentials()))


def tls_credentials() -> grpc.ServerCredentials:
    try:
        pair = settings.EIM_TLS_KEY.read_bytes(), settings.EIM_TLS_CERT.read_bytes()
    except OSError as missing:
        raise CommandError(
            f"{missing}: `manage.py up` makes a certificate; or set EIM_TLS_CERT and EIM_TLS_KEY"
        ) from None
    return grpc.ssl_server_credentials([pair])


async def serve(address: str, tls: grpc.ServerCredentials | None) -> None:
    """Until SIGTERM or Ctrl-C; then calls in flight may finish."""
    server = grpc.aio.server(options=[
        ("grpc.so_reuseport", 1),
        ("grpc.max_receive_message_length", 4 * 2**20),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ])  # fmt: skip
    for add_to in doors():
        add_to(server)
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    reflection.enable_server_reflection([health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    try:
        port = server.add_secure_port(address, tls) if tls else server.add_insecure_port(address)
    except RuntimeError as taken:
        raise CommandError(f"can't listen on {address}: {taken}. Name a free one with --address") from taken
    await server.start()
    for name in ("", "InfraOAMgRPC"):
        await healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
    log.info("southbound listens", extra={"address": address, "port": port, "tls": tls is not None})
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await server.stop(GRACE)


def doors():
    """`add_to(server)` of every servicers module: an app's servicers.py, or the files in its servicers/."""
    for app in apps.get_app_configs():
        if find_spec(f"{app.name}.servicers") is None:
            continue
        package = import_module(f"{app.name}.servicers")
        if hasattr(package, "add_to"):
            yield package.add_to
        for module in iter_modules(getattr(package, "__path__", [])):
            yield import_module(f"{package.__name__}.{module.name}").add_to
