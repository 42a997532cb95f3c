"""Ports: the usual ones, then any, then always the same."""

import json
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from eim_project.ports import USUAL, Ports
from eim_project.processes import StackError

LOOPBACK = "127.0.0.1"
ROOT = Path(__file__).parent.parent.parent


@contextmanager
def taken(port: int):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((LOOPBACK, port))
        other.listen()
        yield other.getsockname()[1]


@pytest.fixture(autouse=True)
def _no_ports_in_the_environment(monkeypatch):
    for name in USUAL:
        monkeypatch.delenv(f"EIM_{name.upper()}_PORT", raising=False)


def test_the_second_start_listens_where_the_first_did(tmp_path):
    assert Ports.choose(tmp_path, LOOPBACK) == Ports.choose(tmp_path, LOOPBACK)


def test_another_stack_gets_other_ports(tmp_path):
    first = Ports.choose(tmp_path, LOOPBACK)
    with taken(first.https), taken(first.http):
        (tmp_path / "other").mkdir()
        other = Ports.choose(tmp_path / "other", LOOPBACK)
    assert other.https != first.https
    assert other.http != first.http


def test_a_stack_that_is_starting_and_listens_nowhere_yet_keeps_its_ports_to_itself(tmp_path):
    choose = "import sys; from pathlib import Path; from eim_project.ports import Ports; at = Path(sys.argv[1]); "
    choose += f"Ports.choose(at, {LOOPBACK!r}); print((at / 'ports.json').read_text(), flush=True); sys.stdin.read()"
    (tmp_path / "other").mkdir()
    command = [sys.executable, "-c", choose, str(tmp_path / "other")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as other:
        theirs = Ports(**json.loads(other.stdout.readline()))
        (tmp_path / "ports.json").write_text(json.dumps(asdict(theirs)))
        with pytest.raises(StackError, match=f"port {theirs.https}, which installed machines know, is taken"):
            Ports.choose(tmp_path, LOOPBACK)
        other.communicate()
    assert Ports.choose(tmp_path, LOOPBACK) == theirs


def test_a_port_that_machines_know_is_not_exchanged_silently(tmp_path):
    first = Ports.choose(tmp_path, LOOPBACK)
    known = f"port {first.grpc}, which installed machines know, is taken: end what has it, or set EIM_GRPC_PORT"
    with taken(first.grpc), pytest.raises(StackError, match=known):
        Ports.choose(tmp_path, LOOPBACK)


def test_the_environment_wins_and_is_taken_at_its_word(tmp_path, monkeypatch):
    with taken(0) as port:
        monkeypatch.setenv("EIM_HTTP_PORT", str(port))
        with pytest.raises(StackError, match=f"EIM_HTTP_PORT={port} is taken: set another, or none to get a free one"):
            Ports.choose(tmp_path, LOOPBACK)
    assert Ports.choose(tmp_path, LOOPBACK).http == port
