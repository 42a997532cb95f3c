"""Somebody logs in on one of several consoles; pseudo-terminals stand for them, and a scripted server lets them in."""

import asyncio
import itertools
import os
from pathlib import Path

import grpc
import pytest

from edge import factory
from edge.errors import EdgeError, Refused
from edge.link import PersonalToken
from edge.microos import __main__ as microos
from edge.microos import consoles
from edge.onboard import let_in
from tests.edge.orchestrator import ONBOARDED, refusal

pytestmark = pytest.mark.anyio
MACHINE = factory.identity(1)


class Screen:
    """A console as the person before it has it: reads what is shown, types."""

    def __init__(self):
        self.hand, console = os.openpty()
        self.path = Path(os.ttyname(console))
        self.shown = ""

    async def until(self, words):
        """Wait for these, and forget what was shown up to them."""
        async with asyncio.timeout(30):
            while words not in self.shown:
                await consoles._readable(self.hand)
                self.shown += os.read(self.hand, 4096).decode()
        before, _, self.shown = self.shown.partition(words)
        return before

    async def type(self, question, answer):
        shown = await self.until(question)
        os.write(self.hand, f"{answer}\r".encode())
        return shown


@pytest.fixture
def screen():
    return Screen()


@pytest.fixture
def serial():
    return Screen()


async def test_a_login_on_any_console_counts_and_the_other_is_left_alone(screen, serial):
    accepted = []

    async def accept(login):
        accepted.append(login)

    waiting = asyncio.create_task(consoles.log_in([screen.path, serial.path], accept))
    await screen.until("username: ")
    await serial.type("username: ", "ann")
    await serial.type("password: ", "s3cret")
    async with asyncio.timeout(30):
        await waiting
    assert accepted == [consoles.Login("ann", "s3cret")]
    assert "s3cret" not in await serial.until("\n") and "s3cret" not in repr(accepted)


async def test_a_refusal_is_shown_where_it_was_typed_and_the_prompt_comes_again(screen, monkeypatch):
    monkeypatch.setattr(consoles, "PAUSE_AFTER_REFUSAL_SECONDS", 0)
    answers = [Refused("wrong password"), Refused("The token is for 2 projects: name one by activeprojectid"), None]
    accepted = []

    async def accept(login):
        accepted.append(login)
        if (answer := answers.pop(0)) is not None:
            raise answer

    waiting = asyncio.create_task(consoles.log_in([screen.path], accept))
    for password in ("one", "two", "three"):
        await screen.type("username: ", "")  # an empty line is no answer
        await screen.type("username: ", "ann")
        await screen.type("password: ", password)
        if password == "one":
            await screen.until("wrong password")
        if password == "three":
            await screen.type("project (its UUID): ", "abc")
    async with asyncio.timeout(30):
        await waiting
    assert [(login.password, login.project) for login in accepted] == [("one", ""), ("two", ""), ("three", "abc")]


async def test_a_machine_whose_consoles_cannot_be_read_says_so(tmp_path):
    (tmp_path / "no-terminal").touch()
    with pytest.raises(EdgeError, match="no console of this machine can be read"):
        await consoles.log_in([tmp_path / "no-terminal", tmp_path / "none"], None)


def test_the_consoles_are_those_that_the_kernel_writes_to(tmp_path):
    (tmp_path / "active").write_text("tty0 ttyS0 ttyS1\n")
    for name in ("tty0", "ttyS0"):
        (tmp_path / name).touch()
    assert consoles.active(tmp_path / "active", tmp_path) == [tmp_path / "tty0", tmp_path / "ttyS0"]
    assert consoles.active(tmp_path / "none", tmp_path) == []


async def test_who_logs_in_lets_the_machine_in_and_it_works_with_their_token(orchestrator):
    orchestrator.people = {"ann": "s3cret"}
    token = PersonalToken(orchestrator.server, "ann", "s3cret", "their-project")
    assert await let_in(orchestrator.server, MACHINE, token) == "project"
    assert orchestrator.let_in == [MACHINE.uuid]
    [asked] = orchestrator.tokens
    assert (asked["grant_type"], asked["client_id"], asked["scope"]) == ("password", "system-client", "openid")
    assert await token.metadata() == (("authorization", "Bearer token-1"), ("activeprojectid", "their-project"))


async def test_who_is_not_known_or_may_not_onboard_is_told_why(orchestrator):
    orchestrator.people = {"ann": "s3cret"}
    with pytest.raises(EdgeError, match="the token service refused ann: HTTP Error 401"):
        await let_in(orchestrator.server, MACHINE, PersonalToken(orchestrator.server, "ann", "wrong"))
    orchestrator.troubles["CreateNodes"] = [grpc.StatusCode.PERMISSION_DENIED]
    with pytest.raises(Refused, match=r"didn't onboard .*: PERMISSION_DENIED"):
        await let_in(orchestrator.server, MACHINE, PersonalToken(orchestrator.server, "ann", "s3cret"))


@pytest.fixture
def unknown(orchestrator, screen, monkeypatch):
    """Nobody has registered the machine, whose one console this is."""
    orchestrator.onboarding = [refusal(grpc.StatusCode.NOT_FOUND, "Device not found")]
    monkeypatch.setattr(consoles, "active", lambda: [screen.path])
    monkeypatch.setattr(microos, "pauses", lambda *_, **__: itertools.repeat(0.05))
    return orchestrator


async def test_a_machine_that_nobody_registered_works_in_the_name_of_who_logs_in(unknown, screen):
    unknown.people = {"ann": "s3cret"}
    waiting = asyncio.create_task(microos.admitted(unknown.server, MACHINE))
    assert f"no host is registered with UUID {MACHINE.uuid}" in await screen.type("username: ", "ann")
    await screen.type("password: ", "s3cret")
    async with asyncio.timeout(30):
        token = await waiting
    assert token.who == "ann" and unknown.let_in == [MACHINE.uuid]


async def test_a_machine_that_is_registered_while_it_prompts_goes_on_by_itself(unknown, screen):
    waiting = asyncio.create_task(microos.admitted(unknown.server, MACHINE))
    await screen.until("username: ")
    unknown.onboarding = [ONBOARDED]
    async with asyncio.timeout(30):
        assert (await waiting).who == "edgenode-1"


async def test_a_machine_without_a_console_to_log_in_at_waits_to_be_registered(unknown, monkeypatch):
    monkeypatch.setattr(consoles, "active", list)
    waiting = asyncio.create_task(microos.admitted(unknown.server, MACHINE))
    await asyncio.sleep(0.1)
    unknown.onboarding = [ONBOARDED]
    async with asyncio.timeout(30):
        assert (await waiting).who == "edgenode-1"
