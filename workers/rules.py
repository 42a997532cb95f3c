"""What a message of an agent may hold, beyond its types: the archived system's rules, and those that our tables need.

A rule says what is wrong with a value, or nothing. Where the old rules refused what their own agents send from machines
whose tools are missing (a CPU without cores, memory of no size) there is none: the host manager takes that for silence.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from workers.southbound import Refusal

MOST_ITEMS = 1024  # of one list: no machine has more of anything
_DATE = re.compile(
    r"(\d{4}/(0[1-9]|1[0-2])/(0[1-9]|[12]\d|3[01])|(0[1-9]|1[0-2])/(0[1-9]|[12]\d|3[01])/\d{4}"
    r"|\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])|(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])-\d{4})?"
)

Rule = Callable[[Any], str]  # what is wrong, or ""


def at_most(letters: int) -> Rule:
    return lambda text: "" if len(text) <= letters else f"has {len(text)} letters, {letters} are the most"


def named(text: str) -> str:
    return at_most(128)(text) if text else "is missing"


def below(limit: int) -> Rule:
    return lambda number: "" if number < limit else f"is {number}, too large"


def date(text: str) -> str:
    return "" if _DATE.fullmatch(text) else f"is {text[:40]!r}, no date like 2024-09-05 or 09/05/2024"


def some(items: Any) -> str:
    return "" if items else "is empty"


def some_different(items: Any) -> str:
    return some(items) or ("" if len({*items}) == len(items) else "names one twice")


def texts(*names: str, letters: int = 128) -> dict[str, Rule]:
    return dict.fromkeys(names, at_most(letters))


_HRM = "hostmgr_southbound_proto"
RULES: dict[str, dict[str, Rule]] = {
    f"{_HRM}.BiosInfo": texts("version") | texts("vendor", letters=40) | {"release_date": date},
    f"{_HRM}.OsKernel": texts("version"),
    f"{_HRM}.OsRelease": texts("id", "version"),
    f"{_HRM}.HWInfo": texts("serial_num", "product_name"),
    f"{_HRM}.SystemCPU": texts("arch", "vendor", "model")
    | dict.fromkeys(("sockets", "cores", "threads"), below(2**31)),
    f"{_HRM}.SystemMemory": {"size": below(2**63)},
    f"{_HRM}.SystemDisk": texts("serial_number", "vendor", "model", "wwid") | {"name": named},
    f"{_HRM}.SystemGPU": texts("pci_id", "product", "vendor", "name", "description"),
    f"{_HRM}.SystemNetwork": {"name": named}
    | texts(
        "pci_id", "mac", "current_duplex", "peer_name", "peer_description", "peer_mac", "peer_mgmt_ip", "peer_port"
    ),
    f"{_HRM}.CPUTopology": {"sockets": some},
    f"{_HRM}.Socket": {"core_groups": some},
    f"{_HRM}.CoreGroup": {"core_list": some_different},
    f"{_HRM}.SystemPCI": texts("dev_class"),
    f"{_HRM}.Interfaces": texts("class"),
    f"{_HRM}.SystemUSB": texts("class", "idvendor", "idproduct", "description", "serial"),
    f"{_HRM}.BmcInfo": texts("bm_ip", "bm_username", "bm_password"),
    "maintmgr.v1.UpdateStatus": texts("profile_name", "profile_version")
    | texts("os_image_id", letters=500)
    | texts("status_detail", "os_update_available", letters=500_000),
}  # fmt: skip


def check(message: Message) -> None:
    """Raises Refusal, which names the field that breaks a rule."""
    if wrong := _wrong_in(message):
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, wrong)


def _wrong_in(message: Message, at: str = "") -> str:
    for name, rule in RULES.get(message.DESCRIPTOR.full_name, {}).items():
        if wrong := rule(getattr(message, name)):
            return f"{at}{name} {wrong}"
    for field, value in message.ListFields():
        items = value if field.is_repeated else [value]
        if field.message_type and len(items) > MOST_ITEMS:
            return f"{at}{field.name} has {len(items)} items, {MOST_ITEMS} are the most"
        for item in items:
            if field.type == FieldDescriptor.TYPE_STRING and "\0" in item:
                return f"{at}{field.name} has a NUL character"
            if field.message_type and (wrong := _wrong_in(item, f"{at}{field.name}.")):
                return wrong
    return ""


def address(text: str, bits: int) -> str:
    """ "10.0.2.15/24", as it was written. Raises Refusal if that is no address with a prefix length of its kind."""
    try:
        if bits < 1:
            raise ValueError
        ipaddress.ip_interface(f"{ipaddress.ip_address(text)}/{bits}")
    except ValueError:
        raise Refusal(
            grpc.StatusCode.INVALID_ARGUMENT, f"{text[:60]!r} with {bits} bits is no IP address with its prefix"
        ) from None
    return f"{text}/{bits}"
