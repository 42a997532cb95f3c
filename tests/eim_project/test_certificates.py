"""Certificates and authorities change under real servers and real nodes: nobody is locked out, and no call is lost."""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from io import StringIO

import grpc
import pytest
from cryptography import x509
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import CommandError, call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.db import connections
from grpc_health.v1 import health_pb2, health_pb2_grpc

from edge import factory, link
from edge.agent.node import Agent
from eim_project import authority, doctor, tls
from eim_project.health import Level
from provisioning import texts
from tenants import credentials, issuer
from tests.conftest import settle
from tests.edge.orchestrator import until
from tests.provisioning.serving import serve
from tests.southbound import Node, registered, wanted
from workers.management.commands.southbound import tls_credentials
from workers.server import Server

NAMES = ["localhost", "127.0.0.1"]
SOON = timedelta(seconds=0.1)
PATIENCE = 40  # seconds for what other threads do


@pytest.fixture
def folder(settings, tmp_path):
    """Certificates of our own, which the servers of this test show."""
    settings.EIM_DATA, settings.EIM_ARTIFACTS = tmp_path, tmp_path / "artifacts"
    found = tmp_path / "tls"
    settings.EIM_CA_FILE = found / "ca.crt"
    settings.EIM_TLS_CERT, settings.EIM_TLS_KEY = found / "server.crt", found / "server.key"
    tls.ensure(found, NAMES)
    return found


class Upstream(WSGIRequestHandler):
    """The web server behind our https port, which says first who the client is."""

    def setup(self):
        super().setup()
        self.rfile.readline()

    def log_message(self, *_):
        """Tests tell by their assertions."""


@contextmanager
def web():
    served = ThreadedWSGIServer(("127.0.0.1", 0), Upstream)
    served.set_app(WSGIHandler())
    threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield served.server_address
    served.shutdown()
    served.server_close()


@asynccontextmanager
async def both_ports(folder):
    """What an installed machine calls, https and gRPC, with what is in the folder, also when it changes."""
    pairs = tls.chains(folder / "server.crt", folder / "server.key")
    context = tls.context_of(pairs)
    keeper = asyncio.create_task(tls.keep_fresh(context, pairs, lambda: tls.ensure(folder, NAMES), print, 0.05))
    served = Server()
    port = served.listen("127.0.0.1:0", tls_credentials(folder / "server.crt", folder / "server.key"))
    await served.start()
    with web() as upstream:
        https = await tls.serve("127.0.0.1", 0, context, upstream)
        try:
            yield f"https://127.0.0.1:{https.sockets[0].getsockname()[1]}", f"127.0.0.1:{port}"
        finally:
            keeper.cancel()
            https.close()
            await served.stop(1)


async def shown(address: str, trusted) -> x509.Certificate | None:
    """The certificate that a new connection is shown; None if it can't be verified by what is trusted."""
    return await asyncio.to_thread(_shown, *address.removeprefix("https://").split(":"), trusted)


async def is_refused(address: str, trusted) -> bool:
    return await shown(address, trusted) is None


async def is_shown(address: str, trusted, certificates: list[x509.Certificate]) -> bool:
    return await shown(address, trusted) in certificates


def nobody_is_behind() -> bool:
    return not authority.behind()


def _shown(host, port, trusted):
    context = ssl.create_default_context(cafile=trusted)
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        plain = socket.create_connection((host, int(port)), timeout=PATIENCE)
        with plain, context.wrap_socket(plain, server_hostname=host) as secured:
            return x509.load_der_x509_certificate(secured.getpeercert(binary_form=True))
    except ssl.SSLCertVerificationError:
        return None


@pytest.fixture
def machine(southbound_address, there):
    """One that is installed, of a project whose rows are committed."""
    issuer.make_signing_key()
    node = Node(southbound_address, serial="TRUSTS0001")
    node.instance = wanted(registered(node))
    node.onboard()
    settle()
    node.work_through()
    settle()
    return node


def refused(*words: str) -> str:
    with pytest.raises(CommandError) as why:
        call_command("certificates", *words, stdout=StringIO())
    return str(why.value)


def done(*words: str) -> str:
    said = StringIO()
    call_command("certificates", *words, stdout=said)
    return said.getvalue()


async def holds(condition) -> None:
    """Until it does, which others bring about."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110  it happens in other threads
            await asyncio.sleep(0.05)


async def off(function, *arguments):
    """Beside the loop, in a thread whose database connection is ended with it."""

    def run():
        try:
            return function(*arguments)
        finally:
            connections.close_all()

    return await asyncio.to_thread(run)


def test_the_authority_is_exchanged_under_a_node_that_is_never_locked_out(folder, machine, tmp_path):
    trusted, old, heard = tmp_path / "node-ca.crt", tmp_path / "old.crt", []
    for copy in (trusted, old):
        shutil.copyfile(folder / "ca.crt", copy)
    client_id, secret = credentials.client_id_of(machine.uuid), credentials.secret_of(machine.uuid)

    @asynccontextmanager
    async def agent_of(addresses, asks_every):
        server = link.Server(addresses[0], str(trusted), addresses[1])
        agent = Agent(
            server, link.Token(server, client_id, secret), str(machine.uuid), lambda: factory.hardware(1),
            heartbeat=SOON, trust_every=asks_every, watch=lambda told, trouble: heard.append((told, trouble)),
        )  # fmt: skip
        running, before = asyncio.create_task(agent.run()), len(heard)
        try:
            await until(lambda: {("heartbeat", ""), ("trust", "")} <= {*heard[before:]}, PATIENCE)
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def followed():
        await holds(lambda: off(nobody_is_behind))
        assert trusted.read_bytes() == (folder / "ca.crt").read_bytes()

    async def exchange():
        async with both_ports(folder) as addresses:
            async with agent_of(addresses, timedelta(hours=1)):  # it has asked, and won't for now
                await followed()
                await off(done, "begin")
                assert "1 installed machines haven't taken up" in await off(refused, "switch")
                assert "now can be done `manage.py certificates switch`" in await off(refused, "finish")
            async with agent_of(addresses, SOON):
                await followed()
                assert trusted.read_text().count("BEGIN CERTIFICATE") == 2
                await off(done, "switch")
                for address in addresses:
                    await holds(lambda address=address: is_refused(address, old))
                assert await shown(addresses[0], trusted) and await shown(addresses[1], trusted)
                await off(done, "finish")
                await followed()
                assert trusted.read_text().count("BEGIN CERTIFICATE") == 1
            async with agent_of(addresses, SOON):  # all its connections are new ones
                assert "0 installed machines" in await off(done)

    asyncio.run(exchange())
    late = ("DEADLINE_EXCEEDED", "timed out")  # on a machine that has much else to do
    assert {trouble for _, trouble in heard if not any(word in trouble for word in late)} == {""}


def test_renewed_certificates_are_taken_up_and_no_call_is_lost(folder, there):
    """Also when the two files of a pair are replaced one after the other, and somebody comes in between."""
    trusted = folder / "ca.crt"

    async def renew_meanwhile():
        async with both_ports(folder) as (https, grpc_authority):
            before = await shown(grpc_authority, trusted)
            answered, stop = 0, asyncio.Event()

            async def call_without_end():
                nonlocal answered
                root = grpc.ssl_channel_credentials(trusted.read_bytes())
                async with grpc.aio.secure_channel(grpc_authority, root) as channel:
                    while not stop.is_set():
                        await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
                        answered += 1

            calling = asyncio.create_task(call_without_end())
            await until(lambda: answered, PATIENCE)
            key = (folder / "server.key").read_bytes()
            authority.renew()
            renewed = (folder / "server.key").read_bytes()
            (folder / "server.key").write_bytes(key)  # one of the two is an old one for a while
            assert await shown(grpc_authority, trusted) == before
            (folder / "server.key").write_bytes(renewed)
            files = [folder / f"{kind}.crt" for kind in tls.KEYS]
            new = [x509.load_pem_x509_certificate(file.read_bytes()) for file in files]
            await holds(lambda: is_shown(https, trusted, new))
            await holds(lambda: is_shown(grpc_authority, trusted, new))
            so_far = answered
            await until(lambda: answered > so_far, PATIENCE)
            stop.set()
            await calling

    asyncio.run(renew_meanwhile())


def test_a_certificate_that_is_about_to_end_is_renewed_by_whoever_looks(folder, monkeypatch):
    first = (folder / "server.crt").read_bytes()
    tls.ensure(folder, NAMES)
    assert (folder / "server.crt").read_bytes() == first
    monkeypatch.setattr(tls, "RENEW_BEFORE", tls.SERVER_LIFETIME)
    tls.ensure(folder, NAMES)
    assert (folder / "server.crt").read_bytes() != first


@pytest.mark.usefixtures("public")
def test_an_exchange_that_was_killed_on_the_way_goes_on(folder, monkeypatch):
    authority.begin()

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(authority, "_issue", killed)
        authority.switch()
    assert authority.step() == authority.Step.SWITCHED
    authority.finish()
    assert authority.step() == authority.Step.SETTLED
    assert shown_by_files(folder)
    assert {one.level for one in doctor.certificates() if one.name == "certificates"} <= {Level.OK, Level.WARN}


def shown_by_files(folder) -> bool:
    signs = tls.signing_authority(folder).certificate
    return all(tls.is_signed_by(certificate, signs) for certificate in authority._own())


@pytest.mark.usefixtures("public")
def test_machines_boot_what_trusts_the_new_authority_before_it_signs(folder, settings):
    store_folder = serve(settings.EIM_ARTIFACTS, "microos", "older", initramfs=b"x")
    os.utime(folder / "ca.crt", (time.time() - 3600, time.time() - 3600))
    assert not authority._micro_os_is_older(), store_folder
    authority.begin()
    os.utime(folder / "ca.crt", (time.time() + 3600, time.time() + 3600))
    assert "build_artifacts" in refused("switch")
    assert "is switched" in next(line for line in done("switch", "--anyway").splitlines() if "exchange" in line)


@pytest.mark.usefixtures("public")
def test_certificates_of_your_own_are_yours_to_exchange(folder, settings):
    settings.EIM_CA_FILE = folder / "server.crt"
    assert "The certificates are your own" in refused("begin")


def test_the_script_of_other_agents_nodes_follows_and_restarts_the_agents(folder, machine, tmp_path):
    """It calls the real server by curl; what belongs to the machine itself is kept in a folder."""
    stores = [tmp_path / "store", tmp_path / "there-is-none"]
    stores[0].mkdir()
    (stores[0] / "cloud-init-ca-cert-1.crt").write_text("old")
    trusted, called = tmp_path / "node-ca.crt", tmp_path / "called"
    shutil.copyfile(folder / "ca.crt", trusted)
    for name, text in {
        "client_id": credentials.client_id_of(machine.uuid), "client_secret": credentials.secret_of(machine.uuid),
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    programs = tmp_path / "bin"
    programs.mkdir()
    for program in ("systemctl", "update-ca-certificates", "update-ca-trust"):
        (programs / program).write_text(f'#!/bin/sh\necho {program} "$@" >> {called}\n')
        (programs / program).chmod(0o755)

    async def follow():
        async with both_ports(folder) as (https, _):
            script = texts.render("installer/trust.sh", {
                "eim_url": https, "ca_file": str(trusted), "credentials": str(tmp_path),
                "trust_stores": list(map(str, stores)), "agent_services": ["node-agent"],
            })  # fmt: skip

            def run():
                environment = {"PATH": f"{programs}:{os.environ['PATH']}"}
                return subprocess.run(
                    ["sh", "-c", script], env=environment, capture_output=True, text=True, timeout=PATIENCE
                )

            first = await asyncio.to_thread(run)
            assert (first.returncode, first.stderr) == (0, "") and not called.exists()
            assert await off(authority.behind) == []
            await off(done, "begin")
            [late] = await off(authority.behind)
            assert (late.host, late.ever_told) == (str(machine.instance.host), True)
            followed = await asyncio.to_thread(run)
            assert (followed.returncode, followed.stderr) == (0, "")
            assert await off(authority.behind) == []

    asyncio.run(follow())
    assert trusted.read_bytes() == (folder / "ca.crt").read_bytes()
    assert [file.name for file in stores[0].iterdir()] == ["orchestrator.crt"]
    assert called.read_text().splitlines() == [
        "update-ca-certificates", "update-ca-trust", "systemctl try-restart node-agent",
    ]  # fmt: skip
