"""What of all that the processes write reaches the operator's eyes."""

import pytest

from eim_project.terminal import Terminal


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.delenv("VERBOSE", raising=False)
    terminal = Terminal()
    terminal.shown = []
    terminal.show = terminal.shown.append
    return terminal


def test_only_warnings_and_worse_are_shown(terminal):
    terminal.heard("web", "12:00:00 INFO all is well")
    terminal.heard("web", "12:00:00 WARNING the disk is nearly full")
    assert terminal.shown == ["        web | 12:00:00 WARNING the disk is nearly full"]


def test_everything_is_shown_when_asked_for(terminal):
    terminal.verbose = True
    terminal.heard("web", "12:00:00 INFO all is well")
    assert len(terminal.shown) == 1


def test_of_a_traceback_only_what_was_raised_is_shown(terminal):
    for line in (
        "Traceback (most recent call last):",
        '  File "x.py", line 1, in f',
        "    f()",
        "KeyError: 'x'",
        "later",
    ):
        terminal.heard("web", line)
    assert terminal.shown == ["        web | KeyError: 'x'"]


def test_the_same_complaint_is_shown_once_a_minute_whatever_its_numbers(terminal):
    for second in range(10):
        terminal.heard("web", f"12:00:0{second} ERROR task 5fb2-{second} failed after {second}.5 s")
    terminal.heard("web", "12:00:10 ERROR something else")
    assert len(terminal.shown) == 2


def test_what_the_servers_grumble_their_clients_tell_better(terminal):
    terminal.heard("postgres", "ERROR:  duplicate key value")
    assert terminal.shown == []
