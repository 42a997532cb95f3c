"""The web server's threads: who asks again at once keeps one, and nobody else has to wait for that."""

import http.client
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
THREADS = 2
APP = """
import threading
def application(environ, start_response):
    body = str(threading.get_ident()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    (folder / "app.py").write_text(APP)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--threads", str(THREADS), "-k", "eim_project.web.Worker", "-b", f"127.0.0.1:{port}", "--no-control-socket"]
    command = [sys.executable, "-m", "gunicorn", "app", *options]
    server = subprocess.Popen(command, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    yield port
    server.terminate()
    assert server.wait(10) == 0


def ask(client: http.client.HTTPConnection) -> bytes:
    client.request("GET", "/")
    return client.getresponse().read()


def clients(port: int, number: int) -> list[http.client.HTTPConnection]:
    return [http.client.HTTPConnection("127.0.0.1", port, timeout=5) for _ in range(number)]


def test_a_client_that_asks_again_at_once_stays_with_its_thread(port):
    """gunicorn's own worker would answer both, in turn, by the same one."""
    [one, other] = clients(port, THREADS)
    by_threads_of_their_own = [ask(one) != ask(other) for _ in range(40)]
    assert sum(by_threads_of_their_own) > 20  # not all: on a busy machine a moment is over soon


def test_more_clients_than_threads_are_answered_in_turn_whether_they_ask_again_or_not(port):
    many = clients(port, 10 * THREADS)
    for _ in range(5):
        assert all(ask(client) for client in many)


def test_who_asks_without_a_pause_does_not_keep_others_waiting(port):
    """Their requests wait in line where those of others do: after each answer, a thread looks there first."""
    greedy, other = clients(port, 2 * THREADS), clients(port, 1)[0]
    for client in greedy:
        client.request("GET", "/")
    answered = 0
    for _ in range(50):
        for client in greedy:
            client.getresponse().read()
            client.request("GET", "/")
        answered += bool(ask(other))
    assert answered == 50


def test_requests_sent_in_one_piece_are_all_answered(port):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3 + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.count(b"200 OK") == 4
