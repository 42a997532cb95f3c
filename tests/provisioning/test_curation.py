"""What an installed system is told: golden files for each kind of profile, and cloud-init's own opinion of them."""

import json
import os
import re
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import yaml
from django.conf import settings

from inventory.models import CustomConfig, LocalAccount
from provisioning import curation, infra, plans, texts
from provisioning.errors import CannotInstall
from provisioning.management.commands.machine_life import CONFIG, GREETING
from tests.provisioning.machines import machine

GOLDEN = Path(__file__).parent / "golden"
CLOUD_INIT = "usr/lib/python3/dist-packages"
SCHEMA = "cloudinit/config/schemas/schema-cloud-config-v1.json"
CA = "-----BEGIN CERTIFICATE-----\nabc: 'd' \"e\" {{ f }} #\n-----END CERTIFICATE-----\n"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 ann@example"
INFRA = {
    "enProxyHTTP": "http://proxy.example:911", "enProxyHTTPS": "http://proxy.example:912",
    "enProxyNoProxy": "localhost,.example", "ntpServers": ["ntp1.example", "10.0.0.1"], "nameServers": ["10.0.0.53"],
    "orchCluster": "cluster.eim.example:443", "enDebianPackagesRepo": "edge/deb",
    "packages": {"node-agent": "1.9.1", "cluster-agent": "1.7.3"},
    "firewallReqAllow": [{"sourceIp": "admin.example", "ports": "22", "protocol": "tcp"}],
    "firewallCfgAllow": [{"ports": "6443,10250", "protocol": "tcp"}, {"sourceIp": "10.0.0.0/8", "ports": "161"}],
}  # fmt: skip


@pytest.fixture
def whole(settings):
    settings.EIM_PUBLIC_HOST = "eim.example"
    settings.EIM_HTTPS_PORT, settings.EIM_GRPC_PORT = 443, 50051
    return infra._complete(INFRA)


@pytest.fixture
def facts(whole):
    return curation.Facts(
        hostname="host-1a2b3c4d", mac="52:54:00:12:34:56", guid="a1458656-e817-4a84-b4ca-60def028ebe4",
        host_ip="10.0.0.5", project_id="2c065bc2-0774-4171-8f71-50f5d1d9915c", client_id="edgenode-1",
        client_secret=curation.SECRET_MARK, account=None, developer=None, agents="built-in", standalone=False,
        static_ip=False, metadata={}, image={}, infra=whole, eim_url="https://eim.example:443",
        grpc_authority="eim.example:50051", ca_pem=CA,
    )  # fmt: skip


ACCOUNT = {"username": "ann", "ssh_key": KEY}
DEVELOPER = {"username": "dev", "password_hash": "$6$salt$hash"}
KINDS = {
    "debian": {"agents": "built-in"},
    "debian-account": {"agents": "built-in", "account": ACCOUNT},
    "ubuntu": {"agents": "packages", "account": ACCOUNT},
    "ubuntu-static-developer": {"agents": "packages", "static_ip": True, "developer": DEVELOPER},
    "microvisor": {"agents": "image", "account": ACCOUNT},
    "microvisor-standalone": {"agents": "image", "standalone": True},
}


def is_as_kept(name: str, text: str) -> None:
    """EIM_GOLDEN=write keeps what there is now; read the difference before you commit it."""
    file = GOLDEN / name
    if os.environ.get("EIM_GOLDEN") == "write":
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_profile_has_the_configuration_that_is_kept(kind, facts):
    is_as_kept(f"{kind}.cfg", curation.cloud_init(replace(facts, **KINDS[kind])))


@pytest.fixture
def cloud_init() -> Path:
    """The modules of the package cloud-init, installed or only unpacked into var/ (.ci/run does that)."""
    for folder in (Path("/", CLOUD_INIT), settings.BASE_DIR / "var/cloud-init" / CLOUD_INIT):
        if (folder / SCHEMA).exists():
            return folder
    if os.environ.get("CI"):
        pytest.fail("cloud-init isn't here, and this is where it should be")
    pytest.skip("cloud-init isn't here: .ci/run unpacks it")


@pytest.mark.parametrize("kind", KINDS)
def test_cloud_inits_own_schema_finds_nothing_wrong(kind, facts, cloud_init):
    validator = jsonschema.Draft4Validator(json.loads((cloud_init / SCHEMA).read_text()))
    config = yaml.safe_load(curation.cloud_init(replace(facts, **KINDS[kind])))
    assert [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(config)] == []


def test_cloud_init_drops_the_files_of_a_custom_config_but_not_of_one_that_appends_them_as_the_documents_say(
    facts, cloud_init, tmp_path
):
    page = (settings.BASE_DIR / "docs/boot.md").read_text()
    [documented] = re.findall(r"^    #cloud-config\n(?:    .*\n)+", page, re.MULTILINE)
    configs = {
        "00_infra.cfg": "write_files: [{path: /dropped}]\n",
        "01_infra.cfg": textwrap.dedent(documented), "02_infra.cfg": CONFIG, "99_infra.cfg": curation.cloud_init(facts),
    }  # fmt: skip
    for name, text in configs.items():
        (tmp_path / name).write_text(text)
    merge = "import importlib.util, json; from cloudinit import util; print(json.dumps(util.read_conf_d('.')))"
    command, environment = [sys.executable, "-c", merge], {"PYTHONPATH": str(cloud_init)}
    read = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True).stdout
    told = [file["path"] for file in yaml.safe_load(curation.cloud_init(facts))["write_files"]]
    assert [file["path"] for file in json.loads(read)["write_files"]] == [*told, GREETING, "/etc/motd"]


def test_the_identity_is_written_before_what_starts_the_agent(facts):
    files = {file["path"]: file for file in yaml.safe_load(curation.cloud_init(facts))["write_files"]}
    assert files[f"{curation.CREDENTIALS}/client_secret"]["content"] == curation.SECRET_MARK
    assert files[f"{curation.CREDENTIALS}/client_secret"]["permissions"] == "0600"
    assert files[curation.CA_FILE]["content"] == CA
    assert "EIM_URL=https://eim.example:443\n" in files[curation.AGENT_VARIABLES]["content"]
    assert [*files][-1] == curation.AGENT_VARIABLES


def test_the_installer_is_kept_too_and_the_shell_can_read_it(facts):
    script = curation.installer(replace(facts, agents="packages"))
    is_as_kept("ubuntu.sh", script)
    assert subprocess.run(["sh", "-n"], input=script, text=True).returncode == 0
    assert curation.installer(replace(facts, agents="image")) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_scripts_in_the_configuration_can_be_read_by_the_shell(kind, facts):
    config = yaml.safe_load(curation.cloud_init(replace(facts, **KINDS[kind])))
    scripts = [file["content"] for file in config["write_files"] if file["content"].startswith("#!/bin/sh")]
    for script in [*scripts, *(line for line in config.get("runcmd", []) if isinstance(line, str))]:
        assert subprocess.run(["sh", "-n"], input=script, text=True).returncode == 0, script


def test_firewall_rules_are_ufws_or_iptables_by_the_kind_of_image(facts):
    assert curation._firewall(replace(facts, agents="packages")) == [
        'for ip in $(getent ahosts admin.example | cut -d" " -f1 | sort -u); do '
        'ufw allow from "$ip" to any port 22 proto tcp; done',
        "ufw allow in to any port 6443,10250 proto tcp",
        "ufw allow from 10.0.0.0/8 to any port 161",
    ]
    assert curation._firewall(replace(facts, agents="image")) == [
        "iptables -A INPUT -s admin.example -p tcp --dport 22 -j ACCEPT",
        "iptables -A INPUT -p tcp --dport 6443 -j ACCEPT",
        "iptables -A INPUT -p tcp --dport 10250 -j ACCEPT",
        "iptables -A INPUT -s 10.0.0.0/8 -p tcp --dport 161 -j ACCEPT",
        "iptables -A INPUT -s 10.0.0.0/8 -p udp --dport 161 -j ACCEPT",
    ]


STRANGE = "ü\x7f\x85\u2028\U0001f600\x1f"


@pytest.mark.parametrize("value", ["a: b", "'", '"', "# no comment", "x\ny: z\n", STRANGE, "{{ x }}"])
def test_no_value_becomes_syntax(value, facts):
    config = yaml.safe_load(curation.cloud_init(replace(facts, ca_pem=value)))
    assert next(file for file in config["write_files"] if file["path"] == curation.CA_FILE)["content"] == value
    assert texts.for_shell("$(reboot)") == "'$(reboot)'"


# The file of the infrastructure ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("said", "why"), [
    ("orchInfra: nowhere", "orchInfra: 'nowhere' does not match"),
    ("enProxyHTPP: x", "'enProxyHTPP' was unexpected"),
    ("a: [", "isn't YAML"),
    ("firewallReqAllow: [{ports: '22; reboot'}]", r"firewallReqAllow\.0\.ports"),
    ("enProxyNoProxy: \"a\\nb\"", "enProxyNoProxy"),
])  # fmt: skip
def test_a_file_of_the_infrastructure_that_is_wrong_is_refused_by_key(said, why, tmp_path, settings):
    settings.EIM_INFRA_CONFIG = tmp_path / "infra.yaml"
    settings.EIM_INFRA_CONFIG.write_text(said)
    with pytest.raises(CannotInstall, match=f"infra.yaml.*{why}"):
        infra.infra()


def test_a_file_of_the_infrastructure_counts_as_soon_as_it_changes(tmp_path, settings):
    settings.EIM_INFRA_CONFIG = tmp_path / "infra.yaml"
    for at, server in enumerate(["ntp1.example", "ntp2.example"]):
        settings.EIM_INFRA_CONFIG.write_text(f"ntpServers: [{server}]")
        os.utime(settings.EIM_INFRA_CONFIG, ns=(at, at))
        assert infra.infra()["ntpServers"] == [server]
    settings.EIM_INFRA_CONFIG = tmp_path / "no.yaml"
    with pytest.raises(CannotInstall, match=r"no\.yaml can't be read"):
        infra.infra()


# From the rows of a host ----------------------------------------------------------------------------------------------


def test_the_account_of_the_instance_is_a_user_of_the_machine(acme):
    account = LocalAccount(username="ann", ssh_key=KEY)
    account.ask()
    config = yaml.safe_load(plans.plan_for(machine("debian-12", local_account=account)).environments[3]["CONTENTS"])
    [_, ann] = config["users"]
    assert (ann["name"], ann["ssh_authorized_keys"], ann["lock_passwd"]) == ("ann", [KEY], True)


def configs(*named: tuple[str, str]) -> list[CustomConfig]:
    made = [CustomConfig(name=name, config=config) for name, config in named]
    for config in made:
        config.ask()
    return made


def test_custom_configs_come_in_the_order_of_their_names_and_are_split_into_files_of_that_order(acme, tmp_path):
    instance = machine("debian-12")
    instance.custom_config.set(configs(("b", "packages: [b]\n"), ("a", "packages: [a]\n"), ("c", "final: c")))
    plan = plans.plan_for(instance)
    by_name = dict(zip((action["name"] for action in plan.actions), plan.environments, strict=True))
    (tmp_path / "cloud.cfg.d").mkdir()
    (tmp_path / "custom_configs").write_text(by_name["custom-configs"]["CONTENTS"])
    command = by_name["custom-configs-split"]["CMD_LINE"].replace("/etc/cloud", str(tmp_path))
    assert subprocess.run(["sh", "-c", command]).returncode == 0
    split = {file.name: file.read_text() for file in (tmp_path / "cloud.cfg.d").iterdir()}
    assert split == {
        "00_infra.cfg": "packages: [a]\n", "01_infra.cfg": "packages: [b]\n", "02_infra.cfg": "final: c",
    }  # fmt: skip
    assert not (tmp_path / "custom_configs").exists()


@pytest.mark.parametrize(("config", "why"), [
    ("packages: [", "custom config mine isn't YAML"),
    ("just words", "custom config mine isn't a cloud-config"),
    ("a: \"\\e\x1f\"", "custom config mine"),
])  # fmt: skip
def test_a_custom_config_that_cloud_init_could_not_read_is_refused_by_name(config, why, acme):
    instance = machine("debian-12")
    instance.custom_config.set(configs(("mine", config)))
    with pytest.raises(CannotInstall, match=why):
        plans.plan_for(instance)


def test_an_address_is_kept_only_if_there_is_one_and_a_name_server(acme, settings, tmp_path):
    settings.EIM_INFRA_CONFIG = tmp_path / "infra.yaml"
    settings.EIM_INFRA_CONFIG.write_text("netIP: static")
    with pytest.raises(CannotInstall, match="nameServers is needed"):
        plans.plan_for(machine("debian-12"))
    settings.EIM_INFRA_CONFIG = tmp_path / "whole.yaml"
    settings.EIM_INFRA_CONFIG.write_text("netIP: static\nnameServers: [10.0.0.53]")
    text = plans.plan_for(machine("debian-12")).environments[3]["CONTENTS"]
    assert re.search(r'"52:54:00:00:[0-9a-f:]{5}" "10\.0\.0\.5" "\$size" "\$gateway"', text)
