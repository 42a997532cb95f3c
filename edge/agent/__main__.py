"""`python -m edge.agent`: the agent of this machine, as its systemd service runs it."""

import asyncio
import logging
import sys
from pathlib import Path

from edge.agent import slots
from edge.agent.memory import Memory
from edge.agent.node import AGENT_VARIABLES, CA_FILE, CLIENT_ID, CLIENT_SECRET, Agent, Told, variables
from edge.agent.packages import Packages
from edge.agent.updates import System, Updates
from edge.hardware import Machine
from edge.link import Server, Token

log = logging.getLogger("edge.agent")

MEMORY = Path("/var/lib/edge-node/agent.json")
LOOK_EVERY_SECONDS = 10.0


class Diary:
    """Tells the journal of a report when it goes otherwise than the last time, not each time."""

    def __init__(self) -> None:
        self.last: dict[Told, str] = {}

    def note(self, told: Told, trouble: str) -> None:
        if self.last.get(told) != trouble:
            log.info("%s %s", told, f"not accepted: {trouble}" if trouble else "accepted")
        self.last[told] = trouble


def identity() -> list[str]:
    """What it is told about its server and about itself."""
    return [Path(name).read_text() for name in (AGENT_VARIABLES, CLIENT_ID, CLIENT_SECRET)]


async def live() -> None:
    """Until what it was told about its server, or its own name, changes: systemd starts it again then."""
    began_with = identity()
    machine = Machine()
    known = variables(began_with[0])
    server = Server(known["EIM_URL"], CA_FILE, known["GRPC_AUTHORITY"])
    token = Token(server, began_with[1].strip(), began_with[2].strip())
    guid = known.get("GUID") or machine.dmi("product_uuid").lower()
    memory = Memory(MEMORY)
    system: System = slots.Slots(memory, token, known) if slots.are_here() else Packages(memory)
    updates = Updates(system, memory, token, guid)
    agent = Agent(server, token, guid, machine.system_info, updates=updates, watch=Diary().note)
    running = asyncio.create_task(agent.run())
    try:
        while not running.done():
            await asyncio.wait([running], timeout=LOOK_EVERY_SECONDS)
            if identity() != began_with and not updates.is_busy:
                log.info("what this machine was told about its server has changed: starting again")
                return
        running.result()
    finally:
        running.cancel()


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    asyncio.run(live())


if __name__ == "__main__":
    main()
