"""How many requests are computed at once.

Threads that compute take Python's lock from each other, and pay each time: with 16 at once a page of 100 hosts took
19.6 ms of CPU, with four 13.0 (bench: list-100-hosts, 16 clients). So few compute, and there are more threads for what
takes time without computing: who reads slowly, and what is streamed, isn't counted.
"""

from collections.abc import Callable, Iterable
from threading import BoundedSemaphore
from typing import Any

AT_ONCE = 4
PATIENCE = 0.5  # seconds; who has waited so long goes on: those with a place wait for something themselves


def gated(application: Callable[..., Any], at_once: int = AT_ONCE, patience: float = PATIENCE) -> Callable[..., Any]:
    """The same WSGI application, for as many callers at once; others wait, but never for ever."""
    places = BoundedSemaphore(at_once)

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        has_one = places.acquire(timeout=patience)
        try:
            return application(environ, start_response)
        finally:
            if has_one:
                places.release()

    return answer
