"""A node that asks what it is to install, and says and gets what it said and got before: every 20 s, each node."""

from functools import partial

from bench import nodes
from bench.declare import Bench, Side


@nodes.with_token
async def told(request) -> None:
    """Nothing but who asks is looked at."""


bench = Bench(
    name="update-poll",
    ours=Side("a poll of the update agent, nothing having changed", nodes.polls),
    floor=Side(
        "a method of the same server that verifies the token and answers",
        partial(nodes.heartbeats, method=nodes.floor("Told"), changing=False),
    ),
    figures=nodes.FIGURES,
    calls={"Told": told},
)
