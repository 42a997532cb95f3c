"""Answers that are kept: for how long, how many, and which of them go."""

import random
from uuid import UUID

from wire import telemetrymgr_pb2 as wire
from workers import answers
from workers.answers import Answer, Answers

MESSAGE = wire.GetTelemetryConfigResponse(host_guid="x")


def keep(kept: Answers, number: int, lasts: float = answers.KEPT) -> tuple[str, str, UUID]:
    key = ("GetTelemetryConfigByGUID", "t_1", UUID(int=number))
    kept.keep(key, b"said", Answer(MESSAGE, ("host-1", "inst-1"), lasts), as_of=0.0)
    return key


def test_of_too_many_answers_the_oldest_go_and_the_others_stay(monkeypatch):
    """A fleet that has just as many nodes as there is room for would otherwise have none in the end."""
    monkeypatch.setattr(answers, "MOST", 3)
    kept = Answers()
    keys = [keep(kept, number) for number in (1, 2, 3, 1, 4)]
    assert [kept.find(key, b"said") is not None for key in keys] == [True, False, True, True, True]


def test_answers_that_were_made_at_one_time_are_not_all_made_anew_at_one_time(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(answers.time, "monotonic", lambda: now)
    random.seed(1)
    kept = Answers()
    keys = [keep(kept, number) for number in range(100)]
    short = keep(kept, 100, lasts=10)

    def stay() -> int:
        return sum(kept.find(key, b"said") is not None for key in keys)

    now = 1011.0
    assert kept.find(short, b"said") is None and stay() == 100
    now = 1000.0 + answers.KEPT * 3 / 4
    assert 30 < stay() < 70
    now = 1001.0 + answers.KEPT
    assert stay() == 0
