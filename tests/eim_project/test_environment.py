"""Settings: a wrong one ends the start with its name and the reason; the rest is listed, secrets hidden."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eim_project import environment as env

ROOT = Path(__file__).parent.parent.parent
WRONG = {
    "EIM_DOWNLOADS": "many", "EIM_HTTP_PORT": "99999", "EIM_BMC_TIMEOUT": "nan", "EIM_AUTH": "maybe",
    "EIM_TRUSTED_PROXIES": "10.0.0.0/99", "EIM_MPS_URL": "mps:3000", "EIM_LOG_LEVEL": "LOUD",
    "EIM_LIMIT_TENANT": "many", "DATABASE_URL": "postgresql://eim:hunter2@host", "EIM_CORS_ORIGINS": "example.org/",
    "EIM_DATA": "/proc/nowhere", "REDIS_URL": "redis://host:none", "EIM_LEASE": "٣",
}  # fmt: skip


def started(*command: str, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(
    "command",
    [
        ("manage.py", "check"),
        ("-m", "eim_project"),
        ("-m", "celery", "-A", "eim_project.celery:app", "inspect", "ping"),
        ("-m", "gunicorn", "eim_project.wsgi", "--bind=127.0.0.1:0"),
    ],
    ids=lambda command: command[-1],
)
def test_no_process_starts_with_a_wrong_setting(command):
    done = started(*command, EIM_LEASE="soon")
    assert done.returncode == 2
    assert done.stderr == "eim: EIM_LEASE=soon: a whole number from 1 to 3600 is expected\n"


def test_all_wrong_settings_are_told_at_once_and_what_is_no_setting_with_the_nearest_one():
    done = started("manage.py", "settings", **WRONG, EIM_TRUSTED_PROXY="10.0.0.1", EIM_WEB_SERVICE_PORT="80")
    warning, *wrong = done.stderr.splitlines()
    assert done.returncode == 2 and not done.stdout
    assert warning == "eim: warning: EIM_TRUSTED_PROXY is no setting: is EIM_TRUSTED_PROXIES meant?"
    assert sorted(line.removeprefix("eim: ").partition("=")[0] for line in wrong) == sorted(WRONG)
    assert "hunter2" not in done.stderr and "Traceback" not in done.stderr


def test_settings_that_are_wrong_together_are_refused():
    done = started("manage.py", "check", EIM_AUTH="off", EIM_BIND="0.0.0.0", EIM_LEASE="20", EIM_BMC_TIMEOUT="30",
                   EIM_OS_REGISTRY="https://registry.example")  # fmt: skip
    assert "EIM_OS_REGISTRY and EIM_OS_REGISTRY_PROFILES need each other" in done.stderr
    assert done.returncode == 2 and "EIM_AUTH=off opens everything" in done.stderr
    assert "EIM_BMC_TIMEOUT=30: it must be less than EIM_LEASE=20" in done.stderr


def test_every_setting_is_listed_with_its_meaning_and_no_secret():
    secrets = {"EIM_SECRET_KEY": "hunter2", "EIM_OIDC_CLIENT_SECRET": "hunter3", "REDIS_URL": "redis://:hunter4@host"}
    done = started("manage.py", "settings", "--json", EIM_DEBUG="1", EIM_MPS_URL="http://mps:3000/", **secrets)
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert done.returncode == 0 and "hunter" not in done.stdout
    assert all(rows[name]["value"] == "[hidden]" for name in secrets)
    assert all(row["about"] for row in rows.values())
    assert rows["EIM_DEBUG"]["value"] == "on" and rows["EIM_DEBUG"]["default"] == "off"
    assert rows["EIM_MPS_URL"]["value"] == "http://mps:3000" and not rows["EIM_RPS_URL"]["set"]


def test_no_setting_is_read_past_its_declaration():
    """What is declared is documented, checked and listed; so is what another file reads by itself."""
    source = (ROOT / "eim_project/settings.py").read_text()
    reads = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute) and node.attr == "environ"]
    assert len(reads) == 2, "Environment(os.environ), and one variable of Authlib's that is set: use setting()"


def test_an_empty_variable_is_one_that_is_not_set():
    told = env.Environment({"EIM_A": " ", "EIM_B": ""})
    assert told.setting("EIM_A", env.number(0), 3, "a number") == 3
    assert told.setting("EIM_B", env.listed, ["x"], "a list") == ["x"]
    assert not told.wrong and not told.settings["EIM_A"].is_set


def test_kubernetes_own_names_for_a_port_are_understood():
    told = env.Environment({"EIM_HTTP_PORT": "tcp://10.0.0.1:8000", "EIM_HTTP_PORT_8000_TCP_ADDR": "10.0.0.1"})
    assert told.setting("EIM_HTTP_PORT", env.port, 1, "a port") == 8000
    assert told.unknown() == []
