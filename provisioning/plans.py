"""What there is to do to install an instance: from its OS profile and host, by a template, the list of actions.

Templates are provisioning/data/workflows/*.yaml, or in the folder workflows/ of EIM_TEMPLATES: YAML in the form of
Tinkerbell's templates, with Jinja in it. The one for a profile is the one whose name its profile's begins with
(ubuntu-22.04.yaml before ubuntu.yaml), else mutable.yaml or immutable.yaml, by the type of the OS.
"""

import base64
import json
from collections import Counter
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import yaml
from django.conf import settings

from inventory.api.location import inherit
from inventory.models import Host, Instance, OperatingSystem, OsType, SecurityFeature
from inventory.profiles import NOT_PINNED
from provisioning import curation, mirror, outward, texts
from provisioning.curation import SECRET_MARK
from provisioning.errors import CannotInstall

__all__ = ["SECRET_MARK", "TASK", "Plan", "plan_for"]

TASK = "OS provisioning"
INSTALL_DISK = "install-disk"  # a key of metadata
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
    install_disk: str  # as the machine knows it; "" for the first one
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
    inward: bool  # the image may lie where only its machine reaches: this server's own, and what a setting allows
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
    if bundle := bundle_of(instance.os):
        raise CannotInstall(
            f"{instance.os.name} asks for a platform bundle ({bundle}), whose Go templates this server doesn't render: "
            "say the same in a workflow template of its profile's name (EIM_TEMPLATES), in a profile without the bundle"
        )
    try:
        _fits_slots(instance)
        name = template_of(instance)
        return _checked(name, texts.render(name, asdict(_inputs(instance, name))))
    except texts.BadTemplate as bad:
        raise CannotInstall(str(bad)) from bad


def bundle_of(os: OperatingSystem) -> str:
    """What of {"cloudInitScript", "installerScript"} it asks for, in words. "" if nothing."""
    try:
        asked = json.loads(os.platform_bundle or "{}")
        return ", ".join(f"{name} {where}" for name, where in asked.items() if where)
    except (ValueError, AttributeError):
        return os.platform_bundle


def _fits_slots(instance: Instance) -> None:
    """The immutable image that we build takes the whole disk, and its boot loader finds its slots unencrypted."""
    if instance.os.os_type != OsType.IMMUTABLE or not instance.os.profile_name.startswith("debian"):
        return
    if instance.security_feature == SecurityFeature.SECURE_BOOT_AND_FULL_DISK_ENCRYPTION:
        raise CannotInstall(f"{instance.os.name} has two slots, which can't be encrypted: ask for no such feature")
    if instance.host.user_lvm_size:
        raise CannotInstall(f"{instance.os.name} takes the whole disk: give its host the userLvmSize 0")


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
        install_disk=_install_disk(host),
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
        inward=url != address or bool(settings.EIM_IMAGE_NETWORKS),
        compressed=path.suffix in COMPRESSED,
        http_proxy=proxies["enProxyHTTP"],
        https_proxy=proxies["enProxyHTTPS"],
        no_proxy=proxies["enProxyNoProxy"],
        apt_conf=curation.apt_conf(facts),
        cloud_init=curation.cloud_init(facts),
        custom_configs=curation.custom_configs(instance),
        installer=curation.installer(facts),
    )


def _install_disk(host: Host) -> str:
    """Of its metadata, or of its site's or a region's above that: "nvme" fits one host, "smallest" a whole site."""
    page, site = [{"metadata": host.metadata}], host.site
    inherit(page, [(site.region_id or "") if site else ""], [site.metadata if site else []])
    pairs = [*page[0]["metadata"], *page[0]["inheritedMetadata"]]
    return next((pair["value"] for pair in pairs if pair["key"] == INSTALL_DISK), "")


def images() -> dict[str, str]:
    """The registry and the tags are settings; the machine's own proxy serves localhost:7443."""
    return {
        name: settings.ACTION_IMAGE_OVERRIDES.get(name, f"{settings.ACTION_IMAGES}/{name}:{settings.ACTION_VERSION}")
        for name in ACTIONS
    }


def image_url(url: str) -> str:
    """Where the machine loads this image from: a relative address is this server's own.

    Raises CannotInstall for one that leads a machine to itself or to its link, by its name too.
    """
    if not url:
        raise CannotInstall("The operating system has no imageUrl")
    parts = urlsplit(url)
    if not parts.scheme and not url.startswith("//"):
        return f"https://{settings.EIM_PUBLIC_HOST}:{settings.EIM_HTTPS_PORT}/{url.lstrip('/')}"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CannotInstall(f"The image's address {url!r} is neither http:// nor https:// with a host, nor a path here")
    try:
        outward.check(parts.hostname)
    except outward.LeadsInward as why:
        raise CannotInstall(f"The image's address {url!r}: {why}") from why
    return url


# From text to actions ---------------------------------------------------------------------------------------------


def _checked(name: str, text: str) -> Plan:
    try:
        made = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as wrong:
        raise CannotInstall(f"{name} doesn't make YAML: {wrong}") from wrong
    if fault := _fault(made):
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


def _fault(made: Any) -> Any:
    """What the schema has against it, if anything."""
    from jsonschema.exceptions import best_match  # not at the start: most processes never need it

    return best_match(_schema().iter_errors(made))


@cache
def _schema() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads((texts.SHIPPED / "workflow.schema.json").read_text()))
