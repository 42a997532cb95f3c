"""What the environment may say: each variable is declared once, with how it is read, its default and what it is for.

A wrong one doesn't end the reading, so that all wrong ones are told at once, and then nothing starts.
"""

import difflib
import ipaddress
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
WRONG = 2  # the exit status, as of a command that was typed wrongly
PREFIX = "EIM_"
# What Kubernetes tells every container about each service, here of those that are called eim-something.
_OF_KUBERNETES = re.compile(r"EIM_(\w+_)?(SERVICE_(HOST|PORT\w*)|PORT_\d+_(TCP|UDP)\w*)$|EIM_(\w+_)?PORT$")


@dataclass(frozen=True)
class Setting:
    name: str
    about: str
    default: Any
    value: Any
    is_secret: bool
    is_set: bool

    def shown(self, value: Any) -> str:
        """A value as the environment would spell it; of a secret only whether there is one."""
        if self.is_secret and value:
            return "[hidden]"
        if isinstance(value, bool):
            return "on" if value else "off"
        if isinstance(value, dict):
            return ",".join(f"{name}={told}" for name, told in value.items())
        return ",".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)


class Environment:
    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.settings: dict[str, Setting] = {}
        self.wrong: list[str] = []  # a sentence each

    def setting(self, name: str, read: Callable[[str], T], default: T, about: str, *, secret: bool = False) -> T:
        """The variable's value, or the default if it isn't set, is empty, or is wrong: then refuse_wrong() says so.

        `read` turns the text into the value, and raises ValueError with what it should be.
        """
        text, value = self._variables.get(name, "").strip(), default
        if text:
            try:
                value = read(text)
            except ValueError as why:
                self.refuse(f"{name}={'[hidden]' if secret else text}: {why}")
        self.settings[name] = Setting(name, about, default, value, secret, bool(text))
        return value

    def refuse(self, why: str) -> None:
        """For what is wrong with several settings at once."""
        self.wrong.append(why)

    def unknown(self) -> list[str]:
        """A sentence for each variable that is called as ours are, and is none."""
        names = sorted(name for name in self._variables if name.startswith(PREFIX) and name not in self.settings)
        return [f"{name} is no setting{self._meant(name)}" for name in names if not _OF_KUBERNETES.match(name)]

    def _meant(self, name: str) -> str:
        near = difflib.get_close_matches(name, self.settings, n=1)
        return f": is {near[0]} meant?" if near else ""

    def refuse_wrong(self) -> None:
        """End the process if a setting is wrong; only warn of what is no setting."""
        for line in self.unknown():
            print(f"eim: warning: {line}", file=sys.stderr)
        if self.wrong:
            leave(self.wrong)


def leave(wrong: list[str]) -> NoReturn:
    for line in wrong:
        print(f"eim: {line}", file=sys.stderr)
    sys.exit(WRONG)


# How a text is read --------------------------------------------------------------------------------------------------


def text(value: str) -> str:
    return value


def number(least: int, most: int | None = None) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not re.fullmatch(r"-?\d{1,15}", value, re.ASCII) or not _is_between(int(value), least, most):
            raise ValueError(f"a whole number {_range(least, most)} is expected")
        return int(value)

    return read


def seconds(least: float, most: float | None = None) -> Callable[[str], float]:
    def read(value: str) -> float:
        if not re.fullmatch(r"\d{1,15}(\.\d+)?", value, re.ASCII) or not _is_between(float(value), least, most):
            raise ValueError(f"seconds {_range(least, most)} are expected, like 5 or 0.5")
        return float(value)

    return read


def port(value: str) -> int:
    """Kubernetes may spell it tcp://10.0.0.1:8000."""
    return number(1, 65535)(value.rpartition(":")[2])


def one_of(*choices: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)} is expected")
        return value

    return read


def switch(value: str) -> bool:
    if value.lower() not in _SWITCH:
        raise ValueError("on or off is expected")
    return _SWITCH[value.lower()]


_SWITCH = {"on": True, "1": True, "true": True, "yes": True, "off": False, "0": False, "false": False, "no": False}


def listed(value: str) -> list[str]:
    """Parted by commas."""
    return [item.strip() for item in value.split(",") if item.strip()]


def pairs(value: str) -> dict[str, str]:
    """Like name=image,name=image."""
    found = [item.partition("=") for item in listed(value)]
    if not all(name and told for name, _, told in found):
        raise ValueError("pairs are expected, like name=value,name=value")
    return {name: told for name, _, told in found}


def networks(value: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    try:
        return [ipaddress.ip_network(item, strict=False) for item in listed(value)]
    except ValueError as wrong:
        raise ValueError(f"{wrong}; addresses and networks are expected, like 10.0.0.0/8,192.0.2.7") from wrong


def path(value: str) -> Path:
    return Path(value)


def prefix(value: str) -> str:
    """What a slash and a name are put behind."""
    return value.rstrip("/")


def url(*schemes: str) -> Callable[[str], str]:
    """An address without a slash at its end, of which the rest is made."""

    def read(value: str) -> str:
        expected = f"an address like {schemes[0]}://host is expected"
        try:
            parts = urlsplit(value)
            _ = parts.port
        except ValueError as wrong:
            raise ValueError(f"{expected}; {wrong}") from None
        if parts.scheme not in schemes or not (parts.netloc or parts.query):
            raise ValueError(expected)
        return value.rstrip("/")

    return read


def database(value: str) -> str:
    address = url("postgresql", "postgres")(value)
    if not urlsplit(address).path.strip("/"):
        raise ValueError("the database's name is missing: postgresql://user:password@host:port/name is expected")
    return address


def origins(value: str) -> list[str]:
    """Of pages: a scheme, a host and perhaps a port."""
    for item in listed(value):
        if not re.fullmatch(r"https?://[^/?#\s]+", item):
            raise ValueError("origins are expected, like https://ui.example.org, without a path")
    return listed(value)


def rate(value: str) -> str:
    if value == "off":
        return value
    from limits import parse  # where no limit is set, processes without a web server needn't hold it

    try:
        parse(value)
    except ValueError as wrong:
        raise ValueError("a limit like 200/second, 5000 per 10 minutes, or off is expected") from wrong
    return value


def _is_between(found: float, least: float, most: float | None) -> bool:
    return least <= found and (most is None or found <= most)


def _range(least: float, most: float | None) -> str:
    return f"from {least} to {most}" if most is not None else f"of {least} or more"
