"""The fleet as the demo starts it: a process of its own, in another folder, with a URL and a CA file."""

import asyncio
import csv
import io
import json
import os
import sys
from pathlib import Path

import pytest

from edge import factory, fleet
from tests.edge.orchestrator import until
from tests.edge.test_simulated import offer_installation

pytestmark = pytest.mark.anyio
CHECKOUT = Path(__file__).parents[2]


async def start(orchestrator, folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge.fleet", "--url", orchestrator.url, "--ca", str(orchestrator.folder / "ca.crt")),
        *("--disks", "disks", "--json-status", "status.json", "--nodes", "1", *arguments),
        cwd=folder,
        env={"PYTHONPATH": str(CHECKOUT), "PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_once_all_run_it_ends_with_code_0_and_a_summary(orchestrator, tmp_path):
    offer_installation(orchestrator, 1)
    process = await start(orchestrator, tmp_path, "--once")
    told, complained = await process.communicate()
    assert (process.returncode, complained) == (0, b"")
    assert b"fleet: 1/1 Running in " in told.splitlines()[-1]
    status = json.loads((tmp_path / "status.json").read_text())
    assert (status["total"], status["running"], status["failed"]) == (1, 1, 0)
    assert status["nodes"][0]["phase"] == "Running"


async def test_a_machine_that_fails_makes_it_end_with_code_1_and_its_reason(orchestrator, tmp_path):
    offer_installation(orchestrator, 1, sha256="ab" * 32)
    process = await start(orchestrator, tmp_path, "--once")
    told, complained = await process.communicate()
    assert process.returncode == 1
    assert b"FLEET00001 Failed: stream: the image's SHA-256 is" in complained
    assert b"fleet: 0/1 Running" in told


async def test_it_ends_when_its_time_is_up(orchestrator, tmp_path):
    process = await start(orchestrator, tmp_path, "--once", "--timeout", "0.3")
    _, complained = await process.communicate()
    assert process.returncode == 1
    assert b"not done within 0.3 s" in complained


async def test_without_once_it_reports_until_it_is_told_to_stop(orchestrator, tmp_path):
    offer_installation(orchestrator, 1)
    process = await start(orchestrator, tmp_path, "--heartbeat", "0.05")
    await until(lambda: len(orchestrator.heartbeats) > 3)
    process.terminate()
    told, _ = await process.communicate()
    assert process.returncode == 0
    assert b"1/1 Running" in told


async def test_a_fleet_without_a_ca_file_is_refused_in_one_line(capsys):
    with pytest.raises(SystemExit):
        fleet.main(["--ca", "/nowhere/ca.crt"])
    assert capsys.readouterr().err.splitlines()[-1].endswith("error: --ca must name the file with the server's CA")


async def test_the_example_file_registers_the_first_twenty_machines():
    printed = io.StringIO()
    fleet.write_csv(range(1, 21), printed)
    assert printed.getvalue() == (CHECKOUT / "examples" / "hosts.csv").read_text()


async def test_a_thousand_machines_are_a_thousand_different_ones():
    machines = [factory.identity(number) for number in range(1, 1001)]
    for name in ("uuid", "serial", "mac", "ip"):
        assert len({getattr(machine, name) for machine in machines}) == 1000


async def test_the_csv_has_the_header_old_tools_know():
    printed = io.StringIO()
    fleet.write_csv(range(1, 2), printed)
    header, row = csv.reader(io.StringIO(printed.getvalue()))
    assert header == ["Serial", "UUID", "OSProfile", "Site", "Secure", "RemoteUser", "Metadata", "Error - do not fill"]
    assert len(row) == len(header)
