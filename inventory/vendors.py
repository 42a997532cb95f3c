"""What kinds of providers there are, each by its own declaration: its config, its credentials, and what it can do.

A declaration is registered by whoever serves it (workers/drivers/ has one file for each), so the next is one file more.
A vendor that nobody here serves can be written down all the same, as old clients do; nothing asks anything of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError


class Can(StrEnum):
    """What a provider may be able to do. It is asked, never assumed."""

    PROVISION = "install operating systems"
    POWER = "switch power"
    BOOT_DEVICE = "choose the boot device"
    VIRTUAL_MEDIA = "insert virtual media"
    CONSOLE = "open remote consoles"
    ACTIVATE = "activate and deactivate management"


@dataclass(frozen=True)
class Declaration:
    """config: the JSON schema of what a provider's `config` may hold. credentials: what each of them is, in order.

    has_endpoint: whether its endpoint is a URL that we call; `<bmcIp>`, `<uuid>` and `<serialNumber>` in it are the
    host's.
    """

    kind: str
    vendor: str
    can: frozenset[Can]
    config: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({"type": "object"}))
    credentials: tuple[str, ...] = ()
    has_endpoint: bool = True

    def check(self, endpoint: str, config: str) -> None:
        """Raises ValidationError, which says what is wrong and what is right."""
        read = self.settings(config)
        if self.has_endpoint:
            check_endpoint(endpoint)
        if "<bmcIp>" in endpoint and "network" not in read:
            raise ValidationError(
                "config.network says which addresses <bmcIp> may be, like 10.1.0.0/16: machines report theirs, and are "
                "not to have the credentials sent where they like"
            )

    def settings(self, config: str) -> dict[str, Any]:
        """The config, read. Raises ValidationError."""
        import jsonschema  # most processes never need it, and where its formats are installed it takes seconds

        try:
            read = json.loads(config or "{}")
            jsonschema.validate(read, dict(self.config))
        except (ValueError, RecursionError) as wrong:
            raise ValidationError(f"config is a JSON object, like {_example(self.config)}: {wrong}") from wrong
        except jsonschema.ValidationError as wrong:
            where = ".".join(map(str, wrong.absolute_path))
            known = ", ".join(self.config.get("properties", ()))
            said = f"config{'.' * bool(where)}{where}: {wrong.message[:200]}"
            raise ValidationError(f"{said}. It may have {known}" if known else said) from wrong
        return read

    def check_credentials(self, credentials: list[str]) -> None:
        """Raises ValidationError if there are any, and not one for each."""
        if credentials and self.credentials and len(credentials) != len(self.credentials):
            raise ValidationError(f"apiCredentials are {' and '.join(self.credentials)}, in this order")


def check_endpoint(endpoint: str) -> None:
    """Raises ValidationError unless it is a URL that a machine's management may have. Where its name leads to, is seen

    when it is called: names change.
    """
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError as wrong:
        raise ValidationError(f"apiEndpoint {endpoint!r} is no URL: {wrong}") from wrong
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValidationError(f"apiEndpoint {endpoint!r} is no URL: one like https://10.0.0.7 or https://<bmcIp> is")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValidationError("apiEndpoint is scheme, host and port; who logs in is said by apiCredentials")


declared: dict[tuple[str, str], Declaration] = {}


def declare(declaration: Declaration) -> Declaration:
    declared[declaration.kind, declaration.vendor] = declaration
    return declaration


def of(kind: str, vendor: str) -> Declaration | None:
    """None if nobody here serves such providers."""
    return declared.get((kind, vendor))


def that(can: Can) -> list[str]:
    """The vendors whose providers can do this."""
    return [declaration.vendor for declaration in declared.values() if can in declaration.can]


def _example(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema.get("examples", [{}])[0], separators=(",", ":"))
