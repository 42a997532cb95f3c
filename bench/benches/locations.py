"""Sites and regions by a part of their name, with what they lie in: 50 of each at most."""

from functools import partial

from django.db import connection
from django.urls import path

from bench import rest
from bench.declare import Bench, Side

LOCATIONS = """
WITH found AS (SELECT resource_id, name, region_id FROM {schema}.inventory_site
               WHERE name ILIKE '%depot%' ORDER BY name, resource_id LIMIT 50)
SELECT json_build_object(
    'nodes', (SELECT json_agg(node) FROM (
        (SELECT resource_id AS "resourceId", name, region_id AS "parentId", 'RESOURCE_KIND_SITE' AS type
         FROM found ORDER BY resource_id)
        UNION ALL
        (SELECT resource_id, name, coalesce(parent_region_id, ''), 'RESOURCE_KIND_REGION'
         FROM {schema}.inventory_region WHERE resource_id IN (SELECT region_id FROM found))) node),
    'totalElements', (SELECT count(*) FROM {schema}.inventory_site WHERE name ILIKE '%depot%')
                     + (SELECT count(*) FROM {schema}.inventory_region WHERE name ILIKE '%depot%'),
    'outputElements', (SELECT count(*) FROM found))::text
"""


@rest.behind_the_door
def locations_by_sql(request, database) -> str:
    return database.execute(LOCATIONS.format(schema=connection.schema_name)).fetchone()[0]


OURS, _FLOOR = "locations?name=depot&showSites=true&showRegions=true", "floor/locations"

bench = Bench(
    name="locations",
    ours=Side(f"GET {OURS}", partial(rest.get, path=OURS)),
    floor=Side("the same JSON made by one SQL statement, from a bare view", partial(rest.get, path=_FLOOR)),
    figures=rest.FIGURES,
    check=partial(rest.must_equal, ours=OURS, floor=_FLOOR),
    urls=[path(_FLOOR, locations_by_sql)],
)
