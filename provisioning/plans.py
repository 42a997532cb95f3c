"""What there is to do to install an instance: from its OS profile and host, by a template, the list of actions.

Templates are provisioning/data/workflows/*.yaml, or in the folder workflows/ of EIM_TEMPLATES: YAML in the form of
Tinkerbell's templates, with Jinja in it. The one for a profile is the one whose name its profile's begins with
(ubuntu-22.04.yaml before ubuntu.yaml), else mutable.yaml or immutable.yaml, by the type of the OS.
"""

import base64
import ipaddress
import json
from collections import Counter
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import yaml
from django.conf import settings

from inventory.models import Instance, OsType, SecurityFeature
from inventory.profiles import NOT_PINNED
from provisioning import curation, mirror, texts
from provisioning.curation import SECRET_MARK
from provisioning.errors import CannotInstall

__all__ = ["SECRET_MARK", "TASK", "Plan", "plan_for"]

TASK = "OS provisioning"
COMPRESSED = {".bz2", ".bzip2", ".gz", ".xz", ".zs", ".zst"}
ACTIONS = [
    "securebootflag", "erase_non_removable_disks", "image2disk", "qemu_nbd_image2disk", "writefile", "cexec",
    "efibootset", "kernelupgrd", "fde_dmv", "reboot-action",
]  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """actions: {"name", "image", "timeout" in seconds, "volumes", "pid"}; environments: of each, K -> V."""

    template: str
    timeout: int
    actions: list[dict[str, Any]]
    environments: list[dict[str, str]]


@dataclass(frozen=True)
class Inputs:
    """What a workflow's template may ask for. Texts, but for those that say otherwise."""

    template: str
    worker: str  # the MAC address
    images: dict[str, str]  # of the actions, by their names: images.writefile
    security_feature: str
    encrypted: bool  # secure boot and full disk encryption are asked for
    lvm_size: str  # GB that the user keeps for LVM
    kernel_version: str
    skip_kernel_upgrade: str  # "true", or "" as in the OS' metadata
    standalone: bool
    stream_action: str  # image2disk, or qemu_nbd_image2disk for images of virtual machines
    image_url: str
    image_sha256: str
    image_ca: str  # base64 of PEM
    compressed: bool
    http_proxy: str
    https_proxy: str
    no_proxy: str
    apt_conf: str
    cloud_init: str
    custom_configs: str  # parted by the byte 0x1F, in order; "" if there are none
    installer: str  # a script for the shell


def plan_for(instance: Instance) -> Plan:
    """Call in the instance's schema. Raises CannotInstall."""
    if instance.os.sha256 == NOT_PINNED:
        raise CannotInstall(f"{instance.os.name} has no digest yet: an administrator must enter one")
    try:
        name = template_of(instance)
        return _checked(name, texts.render(name, asdict(_inputs(instance, name))))
    except texts.BadTemplate as bad:
        raise CannotInstall(str(bad)) from bad


def template_of(instance: Instance) -> str:
    """Raises BadTemplate if there is none."""
    words = instance.os.profile_name.split("-") if instance.os.profile_name else []
    named = ["-".join(words[:length]) for length in range(len(words), 0, -1)]
    by_type = "immutable" if instance.os.os_type == OsType.IMMUTABLE else "mutable"
    return texts.first_of(*(f"workflows/{name}.yaml" for name in [*named, by_type] if "/" not in name))


def _inputs(instance: Instance, name: str) -> Inputs:
    host, os = instance.host, instance.os
    facts = curation.facts_of(instance)
    address = mirror.path_of(os.sha256) or os.image_url
    url, path = image_url(address), PurePosixPath(urlsplit(address).path)
    proxies = facts.infra
    return Inputs(
        template=PurePosixPath(name).stem,
        worker=host.pxe_mac,
        images=images(),
        security_feature=instance.security_feature,
        encrypted=instance.security_feature == SecurityFeature.SECURE_BOOT_AND_FULL_DISK_ENCRYPTION,
        lvm_size=str(host.user_lvm_size),
        kernel_version=facts.metadata.get("kernelversion", ""),
        skip_kernel_upgrade=facts.metadata.get("skipkernelupgrade", ""),
        standalone=facts.standalone,
        stream_action="qemu_nbd_image2disk" if {".img", ".qcow2"} & {*path.suffixes} else "image2disk",
        image_url=url,
        image_sha256=os.sha256,
        image_ca=os.tls_ca_cert if url == address else base64.b64encode(facts.ca_pem.encode()).decode(),
        compressed=path.suffix in COMPRESSED,
        http_proxy=proxies["enProxyHTTP"],
        https_proxy=proxies["enProxyHTTPS"],
        no_proxy=proxies["enProxyNoProxy"],
        apt_conf=curation.apt_conf(facts),
        cloud_init=curation.cloud_init(facts),
        custom_configs=curation.custom_configs(instance),
        installer=curation.installer(facts),
    )


def images() -> dict[str, str]:
    """The registry and the tags are settings; the machine's own proxy serves localhost:7443."""
    return {
        name: settings.ACTION_IMAGE_OVERRIDES.get(name, f"{settings.ACTION_IMAGES}/{name}:{settings.ACTION_VERSION}")
        for name in ACTIONS
    }


def image_url(url: str) -> str:
    """Where the machine loads this image from: a relative address is this server's own.

    Raises CannotInstall for one that leads a machine to itself, or a server of ours to what only it reaches.
    """
    if not url:
        raise CannotInstall("The operating system has no imageUrl")
    parts = urlsplit(url)
    if not parts.scheme and not url.startswith("//"):
        return f"https://{settings.EIM_PUBLIC_HOST}:{settings.EIM_HTTPS_PORT}/{url.lstrip('/')}"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CannotInstall(f"The image's address {url!r} is neither http:// nor https:// with a host, nor a path here")
    if (where := _inward(parts.hostname)) and not _is_allowed(parts.hostname):
        raise CannotInstall(
            f"The image's address {url!r} is a {where} address: name a server that machines reach "
            "(EIM_IMAGE_NETWORKS lists what is allowed all the same)"
        )
    return url


def _inward(host: str) -> str:
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return "loopback"
    address = _address(name)
    if address is None:
        return ""
    if address.is_loopback or address.is_unspecified:
        return "loopback"
    return "link-local" if address.is_link_local else ""


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Also as clients read it that aren't strict: 127.1, 2130706433 and 0x7f.0.0.1 are all 127.0.0.1."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            numbers = [int(part, 16 if part[:2] == "0x" else 8 if part[:1] == "0" else 10) for part in host.split(".")]
        except ValueError:
            return None
        *high, low = numbers
        if len(numbers) > 4 or any(number > 255 for number in high) or low >= 256 ** (4 - len(high)):
            return None
        address = ipaddress.IPv4Address(sum(number << (8 * (3 - at)) for at, number in enumerate(high)) + low)
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address
    return address


def _is_allowed(host: str) -> bool:
    address = _address(host.rstrip(".").lower()) or ipaddress.ip_address("127.0.0.1")  # localhost
    return any(address in network for network in settings.EIM_IMAGE_NETWORKS)


# From text to actions ---------------------------------------------------------------------------------------------


def _checked(name: str, text: str) -> Plan:
    try:
        made = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as wrong:
        raise CannotInstall(f"{name} doesn't make YAML: {wrong}") from wrong
    from jsonschema.exceptions import best_match  # 5 MB and more, that only who makes plans needs

    if fault := best_match(_schema().iter_errors(made)):
        where = ".".join(str(part) for part in fault.absolute_path) or "the whole"
        why = fault.message if len(fault.message) < 200 else f"it breaks the rule {fault.validator!r}"
        raise CannotInstall(f"{name} doesn't make a workflow: {where}: {why}")
    [task] = made["tasks"]
    if twice := [name for name, times in Counter(action["name"] for action in task["actions"]).items() if times > 1]:
        raise CannotInstall(f"{name} has two actions called {twice[0]!r}")
    return Plan(
        template=made["name"],
        timeout=made["global_timeout"],
        actions=[
            {
                "name": action["name"], "image": action["image"], "timeout": action["timeout"],
                "volumes": [*task.get("volumes", []), *action.get("volumes", [])], "pid": action.get("pid", ""),
            } for action in task["actions"]
        ],
        environments=[task.get("environment", {}) | action.get("environment", {}) for action in task["actions"]],
    )  # fmt: skip


@cache
def _schema() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads((texts.SHIPPED / "workflow.schema.json").read_text()))
