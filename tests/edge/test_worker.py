"""The workflow worker of either generation, against a server that speaks both."""

import asyncio
import time

import grpc
import pytest

from edge.errors import ActionFailed, TokenRefused, WorkflowFailed
from edge.worker import Step, resume_index, run_workflow
from tests.edge.orchestrator import action, until
from wire import tink

pytestmark = pytest.mark.anyio
REBOOT = action("reboot", "registry.example/reboot-action:latest")


class Hands:
    """The actions of a machine that writes down what it was asked to do."""

    def __init__(self) -> None:
        self.done: list[dict[str, str]] = []
        self.go_on = asyncio.Event()
        self.actions = {
            "writefile": self.done.append,
            "waits": self.wait,
            "fails": self.fail,
            "crashes": self.crash,
            "reboot-action": self.done.append,
        }

    async def wait(self, environment: dict[str, str]) -> None:
        await self.go_on.wait()

    def fail(self, environment: dict[str, str]) -> None:
        raise ActionFailed("the disk is gone")

    def crash(self, environment: dict[str, str]) -> None:
        raise KeyError("DEST_DISK")


@pytest.fixture(params=["old", "new"])
def generation(request):
    return request.param


@pytest.fixture
async def hands():
    return Hands()


@pytest.fixture
def work(orchestrator, token, hands, generation):
    return lambda **more: run_workflow(
        orchestrator.server, token, "02:ed:9e:00:00:01", generation, hands.actions, poll_seconds=0.01, **more
    )


async def test_every_action_is_done_in_order_and_reported_running_then_done(orchestrator, work, hands):
    orchestrator.actions = [
        action("first", "x/writefile:v1", PATH="/a", CONTENTS="k=v"),
        action("second", "writefile@sha256:00", PATH="/b"),
        dict(REBOOT),
    ]
    await work()
    assert hands.done == [{"PATH": "/a", "CONTENTS": "k=v"}, {"PATH": "/b"}, {}]
    assert orchestrator.states() == [
        f"{name} {state}" for name in ("first", "second", "reboot") for state in ("RUNNING", "SUCCESS")
    ]


async def test_a_machine_without_a_workflow_asks_until_there_is_one(orchestrator, work):
    working = asyncio.create_task(work())
    await until(lambda: orchestrator.authorizations)
    orchestrator.actions = [dict(REBOOT)]
    await working
    assert orchestrator.states() == ["reboot RUNNING", "reboot SUCCESS"]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("fails", "the disk is gone"),
        ("crashes", "KeyError: 'DEST_DISK'"),
        ("unheard-of", "this machine has no action unheard-of"),
    ],
)
async def test_a_failed_action_ends_the_workflow_and_its_message_reaches_the_server(orchestrator, work, image, message):
    orchestrator.actions = [action("stream", image), dict(REBOOT)]
    with pytest.raises(WorkflowFailed, match=message):
        await work()
    assert orchestrator.reports[-1] == ("stream", "FAILED", message)


async def test_an_action_that_takes_longer_than_its_list_allows_is_a_timeout(orchestrator, work):
    orchestrator.actions = [action("slow", "waits", timeout=1), dict(REBOOT)]
    began = time.monotonic()
    with pytest.raises(WorkflowFailed, match="slow was not done within 1 s"):
        await work()
    assert 1 <= time.monotonic() - began < 3
    assert orchestrator.states() == ["slow RUNNING", "slow TIMEOUT"]


async def test_a_report_is_repeated_until_the_server_has_heard_it(orchestrator, work):
    orchestrator.actions = [dict(REBOOT)]
    orchestrator.troubles["ReportActionStatus"] = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL]
    await work()
    assert orchestrator.states() == ["reboot RUNNING", "reboot SUCCESS"]


async def test_a_report_that_was_heard_but_not_answered_costs_no_second_try_of_the_action(orchestrator, work, hands):
    orchestrator.actions = [action("first", "writefile"), action("second", "writefile"), dict(REBOOT)]
    orchestrator.lose_answers = {"first SUCCESS", "reboot SUCCESS"}
    await work()
    assert len(hands.done) == 3
    assert orchestrator.states().count("first SUCCESS") == 1


async def test_a_server_that_restarts_during_an_action_finds_the_machine_again(orchestrator, work, hands):
    orchestrator.actions = [action("slow", "waits"), dict(REBOOT)]
    working = asyncio.create_task(work())
    await until(lambda: orchestrator.states() == ["slow RUNNING"])
    await orchestrator.stop()
    hands.go_on.set()
    await orchestrator.start()
    await working
    assert orchestrator.states() == ["slow RUNNING", "slow SUCCESS", "reboot RUNNING", "reboot SUCCESS"]


async def test_a_token_that_is_not_accepted_is_replaced_by_a_new_one(orchestrator, work):
    orchestrator.actions = [dict(REBOOT)]
    orchestrator.troubles["ReportActionStatus"] = [grpc.StatusCode.UNAUTHENTICATED]
    await work()
    assert orchestrator.authorizations == {"Bearer token-1", "Bearer token-2"}


async def test_a_machine_whose_secret_was_revoked_is_told_so(orchestrator, work):
    orchestrator.token_status = 401
    with pytest.raises(TokenRefused, match="the token service refused edgenode-1: HTTP Error 401"):
        await work()


async def test_a_worker_that_comes_back_goes_on_where_it_was(orchestrator, work, hands, generation):
    orchestrator.actions = [action("first", "fails"), action("second", "writefile", A="b"), dict(REBOOT)]
    orchestrator.actions[0]["state"] = "SUCCESS"
    orchestrator.actions[1]["state"] = "RUNNING"
    await work()
    assert hands.done == [{"A": "b"}, {}]
    said_again = ["second RUNNING"] if generation == "new" else []  # the old worker doesn't announce it twice
    assert orchestrator.states() == [*said_again, "second SUCCESS", "reboot RUNNING", "reboot SUCCESS"]


async def test_a_failed_workflow_is_left_alone_until_it_is_made_anew(orchestrator, work):
    orchestrator.actions = [action("first", "writefile"), dict(REBOOT)]
    orchestrator.actions[0]["state"] = "FAILED"
    working = asyncio.create_task(work())
    await until(lambda: orchestrator.authorizations)
    assert orchestrator.reports == []
    orchestrator.actions[0]["state"] = "PENDING"
    await working
    assert orchestrator.states()[-1] == "reboot SUCCESS"


@pytest.mark.parametrize(
    ("current", "state", "first"),
    [
        (("", 0), "PENDING", 0),
        (("b", 1), "PENDING", 1),
        (("b", 1), "RUNNING", 1),
        (("b", 1), "SUCCESS", 2),
        (("b", 1), "FAILED", None),
        (("b", 1), "TIMEOUT", None),
    ],
)
async def test_the_old_worker_resumes_by_what_the_context_says(current, state, first):
    name, index = current
    context = tink.old.WorkflowContext(
        current_action=name, current_action_index=index, current_action_state=f"STATE_{state}"
    )
    assert resume_index(context) == first


@pytest.mark.parametrize(
    "image",
    ["image2disk", "host:5000/tools/image2disk:1.0", "quay.io/image2disk:1.0@sha256:ab", "x/image2disk@sha256:ab"],
)
async def test_an_action_is_known_by_the_base_name_of_its_image(image):
    assert Step("w", "t", "a", "n", image, 1, {}).image_name == "image2disk"


async def test_a_worker_says_running_again_and_again_while_an_action_takes_long(orchestrator, work, hands, monkeypatch):
    monkeypatch.setattr("edge.worker.BEAT_SECONDS", 0.02)
    orchestrator.actions = [action("waits", "x/waits:v1"), dict(REBOOT)]
    working = asyncio.create_task(work())
    await until(lambda: orchestrator.states().count("waits RUNNING") >= 3)
    hands.go_on.set()
    await working
    assert orchestrator.states()[-3:] == ["waits SUCCESS", "reboot RUNNING", "reboot SUCCESS"]


def refuses(image):
    def foresee(steps):
        if image in (names := [step.image_name for step in steps]):
            raise ActionFailed(f"can't do {image} of {names}")

    return foresee


async def test_what_a_machine_cannot_do_fails_its_first_action_before_that_is_done(orchestrator, work, hands):
    orchestrator.actions = [action("first", "writefile"), action("later", "x/unheard-of:v1", A="b"), dict(REBOOT)]
    with pytest.raises(WorkflowFailed, match="first: can't do unheard-of"):
        await work(foresee=refuses("unheard-of"))
    told = "can't do unheard-of of ['writefile', 'unheard-of', 'reboot-action']"
    assert orchestrator.reports[-1] == ("first", "FAILED", told)
    assert hands.done == []


async def test_what_is_to_come_is_looked_at_once_and_not_what_is_over(orchestrator, work, hands):
    orchestrator.actions = [action("first", "fails"), action("second", "writefile"), dict(REBOOT)]
    orchestrator.actions[0]["state"] = "SUCCESS"
    looked_at = []
    await work(foresee=looked_at.append)
    assert [[step.name for step in steps] for steps in looked_at] == [["second", "reboot"]]


async def test_a_server_without_the_old_words_is_served_without_foresight(orchestrator, token, hands):
    orchestrator.actions = [action("first", "writefile"), dict(REBOOT)]
    orchestrator.troubles["GetWorkflowContexts"] = [grpc.StatusCode.UNIMPLEMENTED]
    await run_workflow(
        orchestrator.server, token, "02:ed:9e:00:00:01", "new", hands.actions, foresee=refuses("writefile"),
        poll_seconds=0.01,
    )  # fmt: skip
    assert orchestrator.states()[-1] == "reboot SUCCESS"


async def test_a_server_that_fails_when_asked_what_is_to_come_is_asked_again(orchestrator, token, hands):
    orchestrator.actions = [action("first", "writefile"), dict(REBOOT)]
    orchestrator.troubles["GetWorkflowContexts"] = [grpc.StatusCode.UNAVAILABLE]
    with pytest.raises(WorkflowFailed, match="first: can't do writefile"):
        await run_workflow(
            orchestrator.server, token, "02:ed:9e:00:00:01", "new", hands.actions, foresee=refuses("writefile"),
            poll_seconds=0.01,
        )  # fmt: skip
    assert hands.done == []
