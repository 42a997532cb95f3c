"""OS profiles become lists of actions: which, by kind; and what is wrong with a template is said before anything is."""

from ipaddress import ip_network

import pytest

from inventory.models import OperatingSystem, Region, Site
from provisioning import plans, texts
from provisioning.errors import CannotInstall
from tests.conftest import settle
from tests.provisioning.machines import machine, system

DISK = [
    ("secure-boot-status-flag-read", "securebootflag", 560),
    ("erase-non-removable-disk", "erase_non_removable_disks", 560),
]
CLOUD_INIT = ("install-cloud-init", "writefile", 90)
CONFIGS = [("custom-configs", "writefile", 90), ("custom-configs-split", "cexec", 200)]
IDENTITY = ("cloud-init-ds-identity", "writefile", 90)
END = [("efibootset-for-diskboot", "efibootset", 560), ("reboot", "reboot-action", 90)]
ENCRYPTED = {"security_feature": "SECURITY_FEATURE_SECURE_BOOT_AND_FULL_DISK_ENCRYPTION"}
UBUNTU = {"image_url": "https://images.example/ubuntu.img"}


def streamed(image: str = "image2disk") -> tuple[str, str, int]:
    return "stream-os-image", image, 9800


def ubuntu(*, configs=(), encryption=()) -> list[tuple[str, str, int]]:
    """Those of reference: provisioning.md 2.4."""
    return [
        *DISK, streamed("qemu_nbd_image2disk"), ("add-apt-proxy", "writefile", 90), CLOUD_INIT, *configs, IDENTITY,
        ("profile-pkg-and-node-agents-install-script-download", "writefile", 90),
        ("service-script-for-profile-pkg-and-node-agents-install", "writefile", 90),
        ("system-configuration", "cexec", 200), *encryption, ("kernel-upgrade", "kernelupgrd", 9800), *END,
    ]  # fmt: skip


FDE = [("fde-encryption", "fde_dmv", 560)]
IMMUTABLE = {"os_type": "OS_TYPE_IMMUTABLE"}
DMVERITY = ("enable-security-features", "fde_dmv", 560)


@pytest.mark.parametrize(("profile", "os", "instance", "expected"), [
    ("ubuntu-22.04-lts-generic", UBUNTU, {}, ubuntu()),
    ("ubuntu-24.04-lts-generic-ext", UBUNTU, ENCRYPTED, ubuntu(encryption=FDE)),
    ("microvisor-nonrt", IMMUTABLE, {}, [*DISK, streamed(), CLOUD_INIT, IDENTITY, DMVERITY, *END]),
    ("microvisor-standalone", IMMUTABLE | {"metadata": '{"standalone-node":"true"}'}, ENCRYPTED,
     [*DISK, streamed(), CLOUD_INIT, IDENTITY, DMVERITY, *END]),
    ("debian-12", {}, {}, [*DISK, streamed(), CLOUD_INIT, IDENTITY, *END]),
    ("debian-12", {}, ENCRYPTED, [*DISK, streamed(), CLOUD_INIT, IDENTITY, *FDE, *END]),
    ("", {"name": "nameless"}, {}, [action if action[0] != "stream-os-image" else streamed() for action in ubuntu()]),
])  # fmt: skip
def test_each_kind_of_profile_has_its_actions(profile, os, instance, expected, acme):
    made = system(profile, **os) if profile else nameless(os)
    plan = plans.plan_for(machine(os=made, **instance))
    assert [
        (action["name"], action["image"].removeprefix("localhost:7443/eim/").removesuffix(":v1.0.0"), action["timeout"])
        for action in plan.actions
    ] == expected
    by_name = dict(zip((action["name"] for action in plan.actions), plan.environments, strict=True))
    if "enable-security-features" in by_name:
        only = "false" if instance else "true"
        assert by_name["enable-security-features"] == {"LVM_SIZE": "0", "ENABLE_ONLY_DMVERITY": only}


@pytest.mark.parametrize(("instance", "host", "why"), [
    (ENCRYPTED, {}, "two slots, which can't be encrypted"), ({}, {"user_lvm_size": 10}, "takes the whole disk"),
])  # fmt: skip
def test_the_image_with_two_slots_is_installed_as_it_is_or_not_at_all(instance, host, why, acme):
    asked = machine(os=system("debian-immutable-12", **IMMUTABLE), **instance)
    for name, value in host.items():
        setattr(asked.host, name, value)
    with pytest.raises(CannotInstall, match=why):
        plans.plan_for(asked)


def nameless(columns: dict) -> OperatingSystem:
    given = {"image_url": "a.raw.gz", "os_type": "OS_TYPE_MUTABLE", "os_provider": "OS_PROVIDER_KIND_INFRA"}
    os = OperatingSystem(sha256="a" * 64, **given, **columns)
    os.ask()
    return os


def test_the_disk_to_install_on_is_named_by_the_hosts_metadata_or_that_of_where_it_stands(acme):
    def named():
        return {environment.get("INSTALL_DISK") for environment in plans.plan_for(instance).environments}

    region = Region(name="Here", metadata=[{"key": "install-disk", "value": "smallest"}])
    region.ask()
    site = Site(name="Lab", region=region)
    site.ask()
    instance = machine("debian-12")
    host = instance.host
    assert named() == {None}
    host.site = site
    assert named() == {"smallest"}
    site.metadata = [{"key": "install-disk", "value": "largest"}]
    assert named() == {"largest"}
    host.metadata = [{"key": "install-disk", "value": "wd-wcc4"}]
    assert named() == {"wd-wcc4"}


def test_what_the_actions_get_comes_from_the_profile_the_host_and_the_settings(acme, settings, tmp_path):
    settings.EIM_INFRA_CONFIG = tmp_path / "infra.yaml"
    settings.EIM_INFRA_CONFIG.write_text("enProxyHTTP: http://proxy.example:911")
    settings.ACTION_IMAGE_OVERRIDES = {"kernelupgrd": "registry.example/kernel:2"}
    metadata = '{"kernelversion":"6.8.0-52-generic","skipkernelupgrade":"true"}'
    instance = machine(os=system("ubuntu-22.04-lts-generic", metadata=metadata, tls_ca_cert="QUJD", **UBUNTU))
    instance.host.user_lvm_size = 60
    plan = plans.plan_for(instance)
    by_name = dict(zip((action["name"] for action in plan.actions), plan.environments, strict=True))
    assert by_name["kernel-upgrade"] == {
        "LVM_SIZE": "60", "KERNEL_VERSION": "6.8.0-52-generic", "SKIP_KERNEL_UPGRADE": "true",
    }  # fmt: skip
    assert plan.actions[-3]["image"] == "registry.example/kernel:2"
    assert by_name["stream-os-image"] == {
        "IMG_URL": UBUNTU["image_url"], "SHA256": "a" * 64, "COMPRESSED": "false", "TLS_CA_CERT": "QUJD",
        "HTTP_PROXY": "http://proxy.example:911", "HTTPS_PROXY": "", "NO_PROXY": "", "ALLOW_INWARD": "false",
    }  # fmt: skip
    assert by_name["add-apt-proxy"]["CONTENTS"] == 'Acquire::http::Proxy "http://proxy.example:911";\n'
    assert plan.actions[2]["pid"] == "host" and "/dev/nbd0:/dev/nbd0" in plan.actions[2]["volumes"]


@pytest.mark.parametrize("name", ["mutable", "immutable", "debian"])
def test_no_shipped_template_asks_for_what_there_is_not(name):
    assert texts.asked_for(f"workflows/{name}.yaml") <= plans.Inputs.__dataclass_fields__.keys()


@pytest.fixture
def templates(settings, tmp_path):
    settings.EIM_TEMPLATES = tmp_path
    (tmp_path / "workflows").mkdir()
    return tmp_path / "workflows"


WHOLE = (texts.SHIPPED / "workflows/debian.yaml").read_text()


@pytest.mark.parametrize(("text", "why"), [
    (WHOLE + "      - name: {{ nmae }}\n", "asks for what there isn't: 'nmae' is undefined"),
    (WHOLE + "      - name: reboot\n", "'image' is a required property"),
    (WHOLE + "      - {name: reboot, image: {{ images.cexec }}, timeout: 1}\n", "two actions called 'reboot'"),
    (WHOLE + "      - {name: x, image: {{ images.cexec }}, timeout: 0}\n", "timeout: 0 is less than"),
    (WHOLE + "      - {name: x, image: x, timeout: 1, environment: {A: 1}}\n", "1 is not of type 'string'"),
    (WHOLE + "{% if %}", r"debian.yaml, line \d+: "),
    ("a: [", "doesn't make YAML"),
    ("- a", "the whole: .* is not of type 'object'"),
    ("{{ 1 / 0 }}", "division by zero"),
    ("{{ images.nothing }}", "no attribute 'nothing'"),
])  # fmt: skip
def test_a_template_that_is_wrong_is_refused_with_the_reason(text, why, acme, templates):
    (templates / "debian.yaml").write_text(text)
    with pytest.raises(CannotInstall, match=why):
        plans.plan_for(machine("debian-12"))


def test_a_template_of_ones_own_is_taken_for_the_profiles_that_its_name_begins(acme, templates):
    (templates / "debian-12.yaml").write_text(WHOLE.replace('{% include "workflows/parts/end.yaml" %}', ""))
    assert plans.plan_for(machine("debian-12-demo")).actions[-1]["name"] == "cloud-init-ds-identity"
    assert plans.plan_for(machine("debian-13")).actions[-1]["name"] == "reboot"


@pytest.mark.parametrize("url", [
    "http://127.0.0.1/x.raw.gz", "https://localhost:8443/x", "http://[::1]/x", "http://169.254.169.254/latest",
    "http://[fe80::1%25eth0]/x", "http://127.1/x", "http://2130706433/x", "http://0x7f.0.0.1/x", "http://0.0.0.0/x",
    "http://[::ffff:127.0.0.1]/x", "http://a.localhost./x", "ftp://images.example/x", "//images.example/x",
    "file:///x", "",
])  # fmt: skip
def test_an_image_that_lies_where_only_the_machine_or_we_reach_is_refused(url, settings):
    with pytest.raises(CannotInstall):
        plans.image_url(url)


@pytest.mark.parametrize(("bundle", "why"), [
    ('{"cloudInitScript":"edge/bundle:1.0","installerScript":""}', r"asks for a platform bundle \(cloudInitScript "),
    ("edge/bundle:1.0", r"asks for a platform bundle \(edge/bundle:1.0\)"),
])  # fmt: skip
def test_a_platform_bundle_is_refused_and_not_left_out_silently(bundle, why, acme):
    with pytest.raises(CannotInstall, match=why):
        plans.plan_for(machine(os=system("debian-bundled", platform_bundle=bundle)))
    plans.plan_for(machine(os=system("debian-empty", platform_bundle='{"cloudInitScript":""}')))


@pytest.mark.parametrize(("leads_to", "where"), [
    (["203.0.113.7", "127.0.0.1"], "loopback"), (["::ffff:127.0.0.1"], "loopback"), (["169.254.169.254"], "link-local"),
])  # fmt: skip
def test_an_image_whose_name_leads_there_is_refused_with_the_reason_on_the_instance(leads_to, where, acme, names):
    names["rebound.example"] = leads_to
    instance = machine(os=system("debian-elsewhere", image_url="http://rebound.example/x.raw.gz"))
    settle()
    instance.refresh_from_db()
    assert f"rebound.example is {leads_to[-1].removeprefix('::ffff:')}, a {where} addr" in instance.provisioning_status


def test_machines_are_told_to_look_whom_they_reach_for_an_image_that_is_not_ours(acme, names):
    ours, others = system("debian-12"), system("debian-elsewhere", image_url="http://images.example/x.raw.gz")
    told = [plans.plan_for(machine(os=os)).environments for os in (ours, others)]
    assert [next(it["ALLOW_INWARD"] for it in each if "IMG_URL" in it) for each in told] == ["true", "false"]


def test_an_image_may_lie_there_if_a_setting_says_so(settings, names):
    settings.EIM_IMAGE_NETWORKS = [ip_network("127.0.0.0/8")]
    assert plans.image_url("http://127.0.0.1/x.raw.gz") == "http://127.0.0.1/x.raw.gz"
    assert plans.image_url("https://images.example/x") == "https://images.example/x"
    with pytest.raises(CannotInstall, match="link-local"):
        plans.image_url("http://169.254.169.254/x")
    names["trial.example"] = ["127.0.0.1"]
    assert plans.image_url("https://trial.example/x") == "https://trial.example/x"
