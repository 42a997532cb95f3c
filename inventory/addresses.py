"""Which IP addresses two hosts of one site have: neither can use it then, and both show it.

They are parts of the hosts' hardware documents; an index of them (migration 0009) finds who else has one.
"""

from collections.abc import Iterable
from typing import Any

from django.db import connection, models

CONFIGURED = {"status": "IP_ADDRESS_STATUS_CONFIGURED", "statusDetail": "IPAddress is configured"}
DUPLICATE = {
    "status": "IP_ADDRESS_STATUS_CONFIGURATION_ERROR", "statusDetail": "IPAddress duplication is unsupported",
}  # fmt: skip

# All addresses of a document, without their prefix lengths, as the index has them.
BARE = (
    "(regexp_replace(jsonb_path_query_array({}hardware, '$.nics[*].ipaddresses[*].address')::text, '/[0-9]+', '', 'g')"
    "::jsonb)"
)
OF_EVERYBODY = r"^(127\.|169\.254\.|fe[89ab].:|::1$|0\.0\.0\.0$|::$)"  # loopback, link-local and none
_MARKED_WRONGLY = f"""
    EXISTS (
        SELECT FROM jsonb_path_query(inventory_host.hardware, '$.nics[*].ipaddresses[*]') AS told
        WHERE (told->>'status' = '{DUPLICATE["status"]}') IS DISTINCT FROM (
            told->>'address' !~* '{OF_EVERYBODY}' AND EXISTS (
                SELECT FROM inventory_host AS other
                WHERE other.site_id = inventory_host.site_id AND other.id <> inventory_host.id
                  AND {BARE.format("other.")} ? split_part(told->>'address', '/', 1)
            )
        )
    )
"""
_OTHERS = f"""
    SELECT address, other.id FROM unnest(%s::text[]) AS address, LATERAL (
        SELECT id FROM inventory_host
        WHERE site_id = %s AND id <> %s AND {BARE.format("")} ? address AND address !~* '{OF_EVERYBODY}' LIMIT %s
    ) AS other
"""


def of(hardware: dict[str, Any]) -> set[str]:
    """Of all network cards together, without prefix lengths."""
    return {told["address"].partition("/")[0] for card in hardware["nics"] for told in card["ipaddresses"]}


def others(addresses: Iterable[str], site_id: str | None, but: int, each: int = 2) -> dict[str, list[int]]:
    """Who else at the site has one of these: each address that somebody has, with the pks of a few of them.

    Of any number of hosts that have an address, a change of one concerns no other if two or more are left.
    """
    with connection.cursor() as cursor:
        cursor.execute(_OTHERS, [[*addresses], site_id, but, each])
        found: dict[str, list[int]] = {}
        for address, pk in cursor.fetchall():
            found.setdefault(address, []).append(pk)
    return found


def marked_wrongly() -> models.Func:
    """Of a host: whether what its document says of an address isn't so."""
    return models.Func(template=_MARKED_WRONGLY, output_field=models.BooleanField())


def marked(hardware: dict[str, Any], duplicates: Iterable[str]) -> dict[str, Any]:
    """The same document, in which these addresses are duplicates, and no others are."""
    def mark(told: dict[str, str]) -> dict[str, str]:
        return told | (DUPLICATE if told["address"].partition("/")[0] in duplicates else CONFIGURED)

    cards = [card | {"ipaddresses": [mark(told) for told in card["ipaddresses"]]} for card in hardware["nics"]]
    return hardware | {"nics": cards}


def duplicates_in(hardware: dict[str, Any]) -> set[str]:
    """Those that the document says are duplicates."""
    told = (told for card in hardware["nics"] for told in card["ipaddresses"])
    return {one["address"].partition("/")[0] for one in told if one["status"] == DUPLICATE["status"]}
