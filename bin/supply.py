"""Whom we stand on: licences and known weaknesses of what the lock files pin, and a bill of materials (SBOM).

Ends with 1 if something is wrong, and with 77 if nothing is, but the weaknesses could not be looked up.
"""

import datetime
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / ".venv/bin"
SHIPPED = [file for file in ("requirements.txt", "requirements-otel.txt") if (ROOT / file).exists()]
POLICY = tomllib.loads((ROOT / "deploy/licences.toml").read_text())
NOT_LOOKED_UP = 77  # as automake's tests say that they could not be run


def main() -> int:
    licences = wrong_licences(json.loads(said("pip-licenses", "--format=json", "--from=mixed", "--with-system")))
    audited: list[dict[str, Any]] = []
    for file in SHIPPED:
        options = ["--require-hashes", "--disable-pip", "--format=json", "--requirement", file]
        audited += json.loads(said("pip-audit", *options))["dependencies"]
    weaknesses, unknown = known_weaknesses(audited)
    bill = bill_of_materials()
    for what, wrong in {"licences": licences, "known weaknesses": weaknesses, "bill of materials": bill}.items():
        is_open = unknown and not wrong and what == "known weaknesses"
        print(f"  {'FAILED' if wrong else 'UNKNOWN' if is_open else 'ok':<8}{what}")
        print("".join(f"          {line}\n" for line in wrong), end="")
    if unknown:
        print(f"  !!!!!!  {len(unknown)} OF {len(audited)} PACKAGES COULD NOT BE LOOKED UP FOR KNOWN WEAKNESSES")
        print(f"          {unknown[0]}. Run it where PyPI's advisories can be reached.")
    if licences or weaknesses or bill:
        return 1
    return NOT_LOOKED_UP if unknown else 0


def said(program: str, *arguments: str) -> str:
    """They end with 1 when they have found something, which is told in what they say."""
    done = subprocess.run([PROGRAMS / program, *arguments], cwd=ROOT, capture_output=True, text=True)
    if not done.stdout:
        sys.exit(f"{program} says nothing: {done.stderr.strip()[-500:]}")
    return done.stdout


def pinned(*files: str) -> dict[str, str]:
    found = re.findall(r"^([\w.-]+)==([^\s\\;]+)", "\n".join((ROOT / file).read_text() for file in files), re.M)
    return {plain(name): version for name, version in found}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def wrong_licences(installed: list[dict[str, str]]) -> list[str]:
    licences = {plain(package["Name"]): package["License"] for package in installed}
    shipped = pinned(*SHIPPED)
    ours = shipped.keys() | pinned("requirements-dev.txt").keys()
    wrong = [
        f"{name} is under {licence}, which deploy/licences.toml doesn't allow for it"
        for name, licence in sorted(licences.items())
        if name in ours and not _is_allowed(licence) and name not in POLICY["looked_up"]
        and (name in shipped or name not in POLICY["tools"])
    ]  # fmt: skip
    if missing := shipped.keys() - licences.keys():
        wrong.append(f"{', '.join(sorted(missing))}: not installed, so nobody knows the licence")
    return wrong


def _is_allowed(licence: str) -> bool:
    """Each part of an expression must be, whether it is joined by AND or by OR."""
    allowed = {*POLICY["permissive"], *POLICY["weak_copyleft"]}
    parts = {part.strip() for part in re.split(r"\bAND\b|\bOR\b|[;()]", licence) if part.strip()}
    return licence in allowed or parts <= allowed


def known_weaknesses(audited: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Those that aren't lived with, and what couldn't be looked up, which pip-audit itself takes for well."""
    today = datetime.date.today().isoformat()
    lived_with = {name for name, why in POLICY["weaknesses"].items() if today <= why.partition(":")[0]}
    wrong = [
        f"{package['name']} {package['version']}: {one['id']}, mended in {', '.join(one['fix_versions']) or 'none yet'}"
        for package in audited
        for one in package.get("vulns", [])
        if not lived_with & {one["id"], *one["aliases"]}
    ]
    return wrong, [package["skip_reason"] for package in audited if "skip_reason" in package]


def bill_of_materials() -> list[str]:
    """Written to var/sbom.json, in CycloneDX, of what is shipped."""
    target = ROOT / "var/sbom.json"
    target.parent.mkdir(exist_ok=True)
    shape = ["--pyproject", "pyproject.toml", "--output-format=JSON", "--output-reproducible", "--validate"]
    target.write_text(bill := said("cyclonedx-py", "requirements", *shape, "requirements.txt"))
    listed = {plain(part["name"]): part["version"] for part in json.loads(bill)["components"]}
    other = listed.items() ^ pinned("requirements.txt").items()
    return [f"{name} {version} is pinned or listed, not both" for name, version in sorted(other)]


if __name__ == "__main__":
    sys.exit(main())
