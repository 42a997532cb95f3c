"""bin/supply.py: what it takes for wrong, and that it never takes what it doesn't know for well."""

import importlib.util
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("supply", Path(__file__).parents[2] / "bin/supply.py")
supply = importlib.util.module_from_spec(spec)
spec.loader.exec_module(supply)
FINE = [{"Name": name, "License": "MIT"} for name in supply.pinned(*supply.SHIPPED)]


@pytest.mark.parametrize(("licence", "is_fine"), [
    ("MIT", True), ("MPL-2.0 AND (Apache-2.0 OR MIT)", True), ("ISC License (ISCL)", True), ("GPL-3.0-or-later", False),
    ("MIT AND AGPL-3.0-only", False), ("UNKNOWN", False),
])  # fmt: skip
def test_a_package_that_is_shipped_has_a_licence_that_the_policy_allows(licence, is_fine):
    said = supply.wrong_licences([*FINE, {"Name": "Django", "License": licence}])
    assert said == ([] if is_fine else [f"django is under {licence}, which deploy/licences.toml doesn't allow for it"])


def test_a_tool_may_have_a_stronger_one_if_it_is_named_and_not_shipped(monkeypatch):
    strong = {"License": "GPL-3.0-or-later"}
    assert supply.wrong_licences([*FINE, {"Name": "pytest", **strong}])
    monkeypatch.setitem(supply.POLICY["tools"], "pytest", "only tests import it")
    assert supply.wrong_licences([*FINE, {"Name": "pytest", **strong}]) == []
    monkeypatch.setitem(supply.POLICY["tools"], "django", "so they say")
    assert supply.wrong_licences([*FINE, {"Name": "Django", **strong}])


def test_what_is_not_installed_is_not_taken_for_well():
    assert supply.wrong_licences(FINE[1:]) == [f"{FINE[0]['Name']}: not installed, so nobody knows the licence"]


def test_a_known_weakness_is_wrong_unless_it_is_lived_with_and_what_is_unknown_is_told(monkeypatch):
    weak = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.0"]}
    audited = [{"name": "a", "version": "1.0", "vulns": [weak]}, {"name": "b", "skip_reason": "nobody knows b"}]
    assert supply.known_weaknesses(audited) == (["a 1.0: PYSEC-1, mended in 2.0"], ["nobody knows b"])
    monkeypatch.setitem(supply.POLICY["weaknesses"], "CVE-1", "2999-12-31: not used")
    assert supply.known_weaknesses(audited)[0] == []
    monkeypatch.setitem(supply.POLICY["weaknesses"], "CVE-1", "2001-12-31: not used")
    assert supply.known_weaknesses(audited)[0] != []
