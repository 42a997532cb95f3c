"""`manage.py southbound`: the gRPC server for machines and their agents, in one process or several on one port."""

import asyncio
import gc
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from prometheus_client import start_http_server

from workers.server import GRACE, Server

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Serve machines and their agents over gRPC."

    def add_arguments(self, parser):
        parser.add_argument("--address", default=f"127.0.0.1:{settings.EIM_GRPC_PORT}", help="host:port to listen on")
        parser.add_argument("--plaintext", action="store_true", help="no TLS: behind a proxy that ends it")
        parser.add_argument("--processes", type=int, default=1, help="how many share the port (default: %(default)s)")
        parser.add_argument("--metrics", metavar="HOST:PORT", help="serve metrics there; each process on the next port")

    def handle(self, *, address, plaintext, processes, metrics, **_):
        if processes > 1:
            return several(processes, address, plaintext, metrics)
        if metrics:
            host, _, port = metrics.rpartition(":")
            start_http_server(int(port), host)
        asyncio.run(serve(address, None if plaintext else tls_credentials(settings.EIM_TLS_CERT, settings.EIM_TLS_KEY)))


async def serve(address: str, tls: grpc.ServerCredentials | None) -> None:
    """Until SIGTERM or Ctrl-C; then calls in flight may finish."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = Server()
    try:
        port = server.listen(address, tls)
    except RuntimeError as taken:
        raise CommandError(f"can't listen on {address}: {taken}. Name a free one with --address") from taken
    await server.look_around()
    await server.start()
    gc.collect()
    gc.freeze()  # what is there by now stays
    gc.set_threshold(50_000, 20, 50)  # what is kept of tens of thousands of nodes isn't looked through all the time
    watch = asyncio.create_task(server.keep_watch())
    log.info("southbound listens", extra={"address": address, "port": port, "tls": tls is not None})
    await stop.wait()
    watch.cancel()
    await server.stop()


def tls_credentials(certificate: Path, key: Path) -> grpc.ServerCredentials:
    """TLS 1.2 and 1.3 with what is in these files; when they are replaced, new connections get the new ones."""

    def version() -> tuple[int, int]:
        return certificate.stat().st_mtime_ns, key.stat().st_mtime_ns

    def read() -> grpc.ServerCertificateConfiguration:
        pair = key.read_bytes(), certificate.read_bytes()
        if load_pem_private_key(pair[0], password=None).public_key() != load_pem_x509_certificate(pair[1]).public_key():
            raise ValueError(f"{key} isn't the key of {certificate}")
        return grpc.ssl_server_certificate_configuration([pair])

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        """Asked by gRPC for each new connection; None: the same as the last time."""
        nonlocal known
        try:
            if (found := version()) == known:
                return None
            renewal = read()
        except (OSError, ValueError) as fault:  # one of the two may be replaced, and the other about to be
            log.error("the certificate can't be read, the last one stays", extra={"because": fault})
            return None
        known = found
        log.info("new connections get another certificate", extra={"file": certificate})
        return renewal

    try:
        known, first = version(), read()
    except (OSError, ValueError) as wrong:
        raise CommandError(
            f"{wrong}: `manage.py up` makes a certificate; or set EIM_TLS_CERT and EIM_TLS_KEY"
        ) from None
    return grpc.dynamic_ssl_server_credentials(first, renewed)


# Several processes ---------------------------------------------------------------------------------------------------


def several(count: int, address: str, plaintext: bool, metrics: str | None) -> None:
    """Keep so many of this command running until SIGTERM or Ctrl-C. They start one by one: gRPC must not be forked."""
    if address.endswith(":0"):
        raise CommandError("Several processes need a port that they all know: name one with --address")

    def start(number: int) -> subprocess.Popen:
        command = [sys.executable, sys.argv[0], "southbound", "--address", address]
        command += ["--plaintext"] if plaintext else []
        if metrics:
            host, _, port = metrics.rpartition(":")
            command += ["--metrics", f"{host}:{int(port) + number}"]
        return subprocess.Popen(command)

    def end(*_):
        nonlocal ending
        ending = True
        for child in children:
            child.terminate()

    children: list[subprocess.Popen] = []
    ending = False
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    children += [start(number) for number in range(count)]
    while not ending:
        time.sleep(1)  # also the pause before one that ended is started again
        for number, child in enumerate(children):
            if not ending and child.poll() is not None:
                log.warning("a process ended, starting another", extra={"status": child.returncode})
                children[number] = start(number)
    for child in children:
        try:
            child.wait(GRACE + 2)
        except subprocess.TimeoutExpired:
            child.kill()
