"""The secrets of edge nodes, out of an export of the Keycloak that gave them: no REST API ever shows one."""

import json
from pathlib import Path
from typing import Any

from tenants.models.token import NODE_CLIENT

MASK = "**********"  # what a partial export has instead of a secret


class NotAnExport(Exception):
    """str() is the sentence that the operator reads."""


def secrets_in(file: Path) -> dict[str, str]:
    """Client id -> secret. Raises NotAnExport."""
    try:
        told = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError) as wrong:
        raise NotAnExport(f"{file} can't be read as JSON: {wrong}") from wrong
    clients = [client for client in _clients(told) if str(client.get("clientId", "")).startswith(NODE_CLIENT)]
    found = {
        client["clientId"].lower(): client["secret"] for client in clients if isinstance(client.get("secret"), str)
    }
    if not clients:
        raise NotAnExport(f"{file} has no client {NODE_CLIENT}*: is it what `kc.sh export --file` wrote?")
    if MASK in found.values() or not found:
        raise NotAnExport(f"{file} has no secrets: a partial export hides them, `kc.sh export --file` doesn't")
    return found


def _clients(told: Any) -> list[dict]:
    """Of a realm, of several, or a list of clients."""
    if isinstance(told, dict):
        told = told.get("clients")
    items = [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    return [client for one in items for client in (_clients(one) if "clients" in one else [one])]
