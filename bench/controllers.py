"""`python -m bench.controllers`: emulated management controllers, one at each loopback address, that answer in 200 ms.

It says on its standard output at which port it listens. POST /hang?addresses=a,b makes those hang for the next 30 s of
each call, and begins to count anew; GET /late says how much later than the period the others were asked at most.
"""

import asyncio
import time

from aiohttp import web

ANSWERS_AFTER, HANGS_FOR = 0.2, 30.0  # seconds
ROOT = {"Id": "Root", "Systems": {"@odata.id": "/redfish/v1/Systems"}}
SYSTEMS = {"Members": [{"@odata.id": "/redfish/v1/Systems/1"}]}
SYSTEM = {
    "@odata.id": "/redfish/v1/Systems/1", "Id": "1", "Name": "System", "PowerState": "On", "SerialNumber": "SN00001",
    "Manufacturer": "Bench", "Model": "One", "SystemType": "Physical", "Status": {"State": "Enabled", "Health": "OK"},
    "Boot": {"BootSourceOverrideTarget": "None", "BootSourceOverrideTarget@Redfish.AllowableValues": ["Pxe", "Hdd"]},
    "ProcessorSummary": {"Count": 2, "Model": "CPU"}, "MemorySummary": {"TotalSystemMemoryGiB": 96},
    "Actions": {"#ComputerSystem.Reset": {
        "target": "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset",
        "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "GracefulShutdown", "ForceRestart"],
    }},
}  # fmt: skip

hanging: set[str] = set()
ever: set[str] = set()  # hung; they are asked less often for a while
asked: dict[str, float] = {}
longest: dict[str, float] = {}


async def answer(request: web.Request, body: dict) -> web.Response:
    address = request.transport.get_extra_info("sockname")[0] if request.transport else ""
    await asyncio.sleep(HANGS_FOR if address in hanging else ANSWERS_AFTER)
    return web.json_response(body)


async def system(request: web.Request) -> web.Response:
    address = request.transport.get_extra_info("sockname")[0] if request.transport else ""
    now = time.monotonic()
    if address in asked:
        longest[address] = max(longest.get(address, 0.0), now - asked[address])
    asked[address] = now
    return await answer(request, SYSTEM)


async def hang(request: web.Request) -> web.Response:
    hanging.clear()
    hanging.update(filter(None, request.query["addresses"].split(",")))
    ever.update(hanging)
    longest.clear()
    return web.json_response({})


async def late(request: web.Request) -> web.Response:
    """Seconds from one look to the next, at most, of those that never hung; and how many were looked at."""
    well = [seconds for address, seconds in longest.items() if address not in ever]
    return web.json_response({"longest": max(well, default=0.0), "looks": len(well)})


async def serve() -> None:
    app = web.Application()
    app.router.add_get("/redfish/v1/", lambda request: answer(request, ROOT))
    app.router.add_get("/redfish/v1/Systems", lambda request: answer(request, SYSTEMS))
    app.router.add_get("/redfish/v1/Systems/1", system)
    app.router.add_post("/hang", hang)
    app.router.add_get("/late", late)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=120)
    await runner.setup()
    site = web.TCPSite(runner, "0.0.0.0", 0, backlog=2048)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
