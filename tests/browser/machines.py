"""Machines for stories that need one that is installed: a simulated one of the fleet, in a process of its own, and what

its agents say beyond what simulated ones do, said in its name with the credentials that lie on its disk.
"""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import grpc
from django.conf import settings

from edge import factory, fleet, link
from edge.agent.node import CLIENT_ID, CLIENT_SECRET
from edge.disk import Disk
from tests.browser.conftest import Stack
from wire import (
    device_pb2,
    device_pb2_grpc,
    maintmgr_pb2,
    maintmgr_pb2_grpc,
    telemetrymgr_pb2,
    telemetrymgr_pb2_grpc,
)

FASTER = 30  # its agents than real ones: it asks for updates every 10 seconds


class Machine:
    """Nobody has registered it yet, and it is off."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.number = random.randrange(1000, 60000)  # its like was never seen by a stack that runs for long
        self.identity = factory.identity(self.number)
        self.serial, self.uuid = self.identity.serial, self.identity.uuid
        self.disks = stack.data / "fleet/disks"
        self._process: subprocess.Popen | None = None

    def register(self) -> None:
        """With an operating system, and to be onboarded, by the import at the terminal."""
        rows = self.stack.data / f"{self.serial}.csv"
        with rows.open("w") as file:
            fleet.write_csv([self.number], file)
        self.stack.manage("bulk_import", str(rows), "--project", "demo", "--onboard")

    def switch_on(self) -> None:
        """It boots from the network, as a new machine does, and as one does whose firmware was told to."""
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "edge.fleet", "--url", self.stack.https, "--ca", self.stack.ca, "--no-images",
                "--agents", "--nodes", "1", "--first", str(self.number), "--faster", str(FASTER),
                "--disks", str(self.disks),
            ], cwd=settings.BASE_DIR, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def switch_off(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    @contextmanager
    def said_by_hand(self) -> Iterator[None]:
        """What its update agent says is said by the test alone: it is off, too shortly to be missed."""
        self.switch_off()
        yield
        self.switch_on()

    # What its agents say -----------------------------------------------------------------------------------------

    @cached_property
    def _channel(self) -> grpc.Channel:
        return grpc.secure_channel(self.stack.grpc, grpc.ssl_channel_credentials(Path(self.stack.ca).read_bytes()))

    def _called(self) -> dict[str, Any]:
        disk = Disk(self.disks / self.serial)
        server = link.Server(self.stack.https, self.stack.ca)
        token = link.Token(server, disk.read(CLIENT_ID), disk.read(CLIENT_SECRET))
        with server.opener.open(self.stack.https + link.TOKEN_PATH, urlencode(token.form).encode(), 20) as answer:
            said = json.load(answer)["access_token"]
        return {"metadata": [("authorization", f"Bearer {said}")], "timeout": 20}

    def updates(self, status: int, detail: Any = "", available: Any = "") -> None:
        """The update agent: how far it is, and what there is."""
        told = maintmgr_pb2.UpdateStatus(
            status_type=status, status_detail=detail if isinstance(detail, str) else json.dumps(detail),
            os_update_available=json.dumps(available) if available else "",
        )  # fmt: skip
        maintmgr_pb2_grpc.MaintmgrServiceStub(self._channel).PlatformUpdateStatus(
            maintmgr_pb2.PlatformUpdateStatusRequest(host_guid=self.uuid, update_status=told), **self._called()
        )

    def telemetry(self) -> dict[str, int]:
        """What it is told to measure: {input: seconds}, and to log: {input: level}."""
        asked = telemetrymgr_pb2.GetTelemetryConfigByGuidRequest(guid=self.uuid)
        answer = telemetrymgr_pb2_grpc.TelemetryMgrStub(self._channel).GetTelemetryConfigByGUID(asked, **self._called())
        return {one.input: one.interval or one.level for one in answer.cfg}

    def has_amt(self, feature: str = "AMT") -> None:
        """The agent of its management has found it."""
        told = device_pb2.AMTStatusRequest(host_id=self.uuid, status=device_pb2.ENABLED, feature=feature)
        device_pb2_grpc.DeviceManagementStub(self._channel).ReportAMTStatus(told, **self._called())

    def is_to_activate(self) -> str:
        """The profile by which it is asked to have its AMT activated; none if it isn't."""
        asked = device_pb2.ActivationRequest(host_id=self.uuid)
        try:
            agent = device_pb2_grpc.DeviceManagementStub(self._channel)
            return agent.RetrieveActivationDetails(asked, **self._called()).profile_name
        except grpc.RpcError as nothing:
            if nothing.code() != grpc.StatusCode.FAILED_PRECONDITION:  # by which agents know that there is nothing
                raise
            return ""

    def has_activated(self) -> None:
        told = device_pb2.ActivationResultRequest(host_id=self.uuid, activation_status=device_pb2.ACTIVATED)
        device_pb2_grpc.DeviceManagementStub(self._channel).ReportActivationResults(told, **self._called())
