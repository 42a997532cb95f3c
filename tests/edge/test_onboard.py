"""How a machine asks to be let in, and what it makes of each answer."""

import grpc
import pytest

from edge import factory, onboard
from edge.errors import NotRegistered, Refused
from tests.edge.orchestrator import ONBOARDED, REGISTERED, Answer, refusal

pytestmark = pytest.mark.anyio
MACHINE = factory.identity(1)


@pytest.fixture(autouse=True)
def impatience(monkeypatch):
    monkeypatch.setattr(onboard, "PAUSES_SECONDS", (0.01,))
    monkeypatch.setattr(onboard, "JITTER_SECONDS", 0.0)


async def test_a_machine_that_is_only_registered_asks_again_until_it_is_let_in(orchestrator):
    orchestrator.onboarding = [REGISTERED, REGISTERED, ONBOARDED]
    waited = []
    credentials = await onboard.discover(orchestrator.server, MACHINE, lambda: waited.append(1))
    assert credentials == onboard.Credentials("edgenode-1", "s3cret", "project")
    assert len(waited) == 2


async def test_a_secret_is_never_part_of_what_is_printed(orchestrator):
    assert "s3cret" not in repr(await onboard.discover(orchestrator.server, MACHINE))


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        (refusal(grpc.StatusCode.NOT_FOUND, "Device not found"), NotRegistered, "no host is registered with UUID d3ea"),
        (refusal(grpc.StatusCode.FAILED_PRECONDITION, "Node is already X"), Refused, r"Node is already X \(code 9\)"),
        (Answer(), Refused, "a state it doesn't know: 0"),
        (Answer(node_state=2, client_id="c", client_secret="s"), Refused, "without giving it all its credentials"),
    ],
)
async def test_an_answer_that_lets_nobody_in_is_told_with_its_reason(orchestrator, answer, error, sentence):
    orchestrator.onboarding = [answer]
    with pytest.raises(error, match=sentence):
        await onboard.discover(orchestrator.server, MACHINE)


async def test_a_stream_that_ends_without_an_answer_is_a_refusal(orchestrator):
    orchestrator.onboarding = []
    with pytest.raises(Refused, match="without an answer"):
        await onboard.discover(orchestrator.server, MACHINE)


async def test_a_server_that_goes_away_ends_the_run_with_its_grpc_status(orchestrator):
    orchestrator.troubles["OnboardNodeStream"] = [grpc.StatusCode.UNAVAILABLE]
    with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
        await onboard.discover(orchestrator.server, MACHINE)
