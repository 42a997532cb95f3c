"""A heartbeat that says something new, which is written down."""

import asyncio
from functools import cache, partial

from bench import nodes
from bench.declare import Bench, Side
from bench.rest import bare_connection
from bench.rig import PROJECT
from tenants.models import Project
from workers import southbound

_WRITE = """
WITH host AS (
    UPDATE {schema}.inventory_host SET host_status = 'Running', host_status_indicator = 'STATUS_INDICATION_IDLE',
        host_status_timestamp = extract(epoch FROM now()), updated_at = now()
    WHERE uuid = %s RETURNING resource_id
)
UPDATE {schema}.inventory_instance SET instance_status_detail = %s, instance_status = 'Running',
    instance_status_indicator = 'STATUS_INDICATION_IDLE', instance_status_timestamp = extract(epoch FROM now()),
    updated_at = now()
WHERE host_id = (SELECT resource_id FROM host)
"""


@cache
def _sql() -> str:
    return _WRITE.format(schema=Project.objects.get(name=PROJECT).schema_name)


def _write(uuid: str, detail: str) -> None:
    bare_connection().execute(_sql(), [uuid, detail])


@nodes.with_token
async def write_down(request) -> None:
    """On the threads, and the connections, of ours."""
    work = (_write, request.host_guid, request.provider_status_detail)
    await asyncio.get_running_loop().run_in_executor(southbound._pool, *work)


bench = Bench(
    name="heartbeat-changed",
    ours=Side("a heartbeat with a new detail", partial(nodes.heartbeats, method=nodes.OURS, changing=True)),
    floor=Side(
        "a method of the same server that verifies the token and updates both rows by one statement",
        partial(nodes.heartbeats, method=nodes.floor("WriteDown"), changing=True),
    ),
    figures=nodes.FIGURES,
    calls={"WriteDown": write_down},
)
