"""`manage.py southbound`: the gRPC server for machines and their agents."""

import asyncio
import logging
import signal

import grpc
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from workers.server import Server

log = logging.getLogger(__name__)


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
    server = Server()
    try:
        port = server.listen(address, tls)
    except RuntimeError as taken:
        raise CommandError(f"can't listen on {address}: {taken}. Name a free one with --address") from taken
    await server.look_around()
    await server.start()
    watch = asyncio.create_task(server.keep_watch())
    log.info("southbound listens", extra={"address": address, "port": port, "tls": tls is not None})
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    watch.cancel()
    await server.stop()
