"""What the documentation names is there: commands, make's targets, settings, files, and texts of statuses."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from eim_project.settings import environment

ROOT = Path(__file__).parent.parent
PAGES = [*map(ROOT.joinpath, ("README.md", "CONTRIBUTING.md", "SECURITY.md")), *sorted((ROOT / "docs").rglob("*.md"))]
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page):
    text = page.read_text()
    commands = set(re.findall(r"manage\.py ([a-z]\w*)", text))
    assert commands <= get_commands().keys(), "commands"
    targets = set(re.findall(r"(?:^ {4}|`|\bor )make ([a-z]+)", text, re.MULTILINE))
    assert targets <= TARGETS, "targets of make"
    settings = set(re.findall(r"\b(EIM_[A-Z0-9_]*[A-Z0-9])\b", text))
    assert settings <= environment.settings.keys(), "settings"
    files = set(re.findall(r"`((?:[a-z_]+/)+[\w.-]*)`", text))
    ours = {file for file in files if file.split("/")[0] in FOLDERS}
    assert {file for file in ours if not (ROOT / file).exists()} == set(), "files"


def test_the_options_that_commands_are_shown_with_exist():
    unknown = []
    for page in PAGES:
        for line in page.read_text().splitlines():
            for name, rest in re.findall(r"manage\.py (\w+)([^`|#]*)", line):
                parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
                known = set(re.findall(r"--[a-z][a-z-]*", parser.format_help()))
                unknown += [f"{name} {one}" for one in re.findall(r"--[a-z][a-z-]*", rest) if one not in known]
    assert unknown == []


def test_each_text_that_troubleshooting_explains_is_said_somewhere():
    """A status whose words have changed is looked for in vain."""
    source = "\n".join(file.read_text() for app in ("tenants", "inventory", "workers", "onboarding", "provisioning",
                       "eim_project") for file in (ROOT / app).rglob("*.py"))  # fmt: skip
    page = (ROOT / "docs/operate/troubleshooting.md").read_text()
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ") and "---" not in line]
    said = [text for text in rows if text != "it says" and "`" not in text and "..." not in text]
    said = [re.sub(r"\bProject P\b", "Project {name}", text) for text in said]
    assert len(said) > 20
    assert [text for text in said if text.rstrip(":") not in source] == []
