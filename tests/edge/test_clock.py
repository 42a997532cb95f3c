"""A machine whose clock is years off: set by its server's, and by nobody else's."""

import asyncio
import ssl
import time

import pytest

from edge.errors import EdgeError
from edge.link import Server
from edge.microos import clock
from eim_project import tls

pytestmark = pytest.mark.anyio
YEAR = 365 * 86400


async def told(server, off=0.0):
    return await asyncio.to_thread(clock.told_by, server, time.time() + off)


async def test_a_clock_that_is_about_right_stays(orchestrator):
    assert await told(orchestrator.server) is None


@pytest.mark.parametrize("off", [-YEAR * 20, YEAR * 30])  # before our authority began, after it ends
async def test_a_clock_that_is_years_off_is_told_the_servers_time(orchestrator, off):
    assert abs(await told(orchestrator.server, off) - time.time()) < 60


@pytest.mark.parametrize("ahead", [-YEAR * 20, YEAR * 60])
async def test_a_time_outside_the_life_of_the_servers_certificate_is_not_believed(orchestrator, ahead):
    orchestrator.ahead_seconds = ahead
    with pytest.raises(EdgeError, match="set the server's clock right"):
        await told(orchestrator.server)


async def test_nobody_else_tells_the_time(orchestrator, tmp_path):
    tls.ensure(tmp_path, ["127.0.0.1"])
    with pytest.raises(ssl.SSLCertVerificationError):
        await told(Server(orchestrator.url, str(tmp_path / "ca.crt")), YEAR)
