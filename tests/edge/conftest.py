"""What the tests of edge nodes share: a scripted server with both its doors open."""

import pytest

from edge import link
from tests.edge.orchestrator import Orchestrator


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="session")
def tls_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tls")


@pytest.fixture
async def orchestrator(tls_folder, anyio_backend):
    made = Orchestrator(tls_folder)
    await made.start()
    made.start_http()
    yield made
    await made.stop()
    made.stop_http()


@pytest.fixture
def token(orchestrator):
    return link.Token(orchestrator.server, "edgenode-1", "s3cret")
