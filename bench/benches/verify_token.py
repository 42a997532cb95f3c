"""Who holds this token, and what may they do? Asked again and again, as each request and each heartbeat does."""

import time
from collections.abc import Callable
from statistics import quantiles
from uuid import uuid4

from bench.declare import Bench, Figures, Side, Unfair, Unit
from bench.rig import Rig
from tenants import api_tokens, credentials, tokens
from tenants.models import User

TIMES = 20_000
FIGURES = {"p50, person": Unit.US, "p99, person": Unit.US, "p50, node": Unit.US, "p50, API token": Unit.US}


def tokens_of(rig: Rig) -> list[str]:
    """A person's, a node's, and an API token of the person's."""
    person = User.objects.get(username="bench")
    _, for_scripts = api_tokens.create(person, "bench", days=1)
    return [rig.token, tokens.for_node(credentials.client_id_of(uuid4()), rig.project.uuid), for_scripts]


def by_us(rig: Rig) -> Figures:
    return _timed(tokens_of(rig), lambda token: tokens.verify)


def by_a_dictionary(rig: Rig) -> Figures:
    """Who it was last time, if the token hasn't expired: no role, person or key that went meanwhile is noticed."""

    def known(token: str) -> Callable[[str], tokens.Caller]:
        callers = {token: (tokens.verify(token), time.time() + 3600)}

        def verify(shown: str) -> tokens.Caller:
            caller, expires = callers[shown]
            if expires <= time.time():
                raise Unfair("an hour has gone by")
            return caller

        return verify

    return _timed(tokens_of(rig), known)


def _timed(shown: list[str], verifier: Callable[[str], Callable[[str], tokens.Caller]]) -> Figures:
    figures = []
    for token in shown:
        verify = verifier(token)
        verify(token)
        took = []
        for _ in range(TIMES):
            began = time.perf_counter()
            verify(token)
            took.append(time.perf_counter() - began)
        figures.append(quantiles(took, n=100))
    person, node, script = figures
    return dict(zip(FIGURES, [person[49] * 1e6, person[98] * 1e6, node[49] * 1e6, script[49] * 1e6], strict=True))


bench = Bench(
    name="verify-token",
    ours=Side("tokens.verify() of a token that was seen before", by_us),
    floor=Side("a dictionary that never forgets", by_a_dictionary),
    figures=FIGURES,
)
