"""The rules of the house, run: floors, migrations, forbidden ways, and files that say what they are for."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from django.core.management import BaseCommand

ROOT = Path(__file__).parent.parent
FILES = [
    Path(name) for name in subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
]  # fmt: skip
OURS = [file for file in FILES if "migrations" not in file.parts and "_pb2" not in file.name and (ROOT / file).exists()]


def test_floors_are_only_left_downwards():
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--config", "importlinter.ini", "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.django_db
def test_models_and_migrations_agree(public):
    from django.core.management import call_command

    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize("file", [file for file in OURS if file.name != "__init__.py"], ids=str)
def test_every_file_says_first_what_it_is_for(file):
    assert ast.get_docstring(ast.parse((ROOT / file).read_text())), f"{file} begins without a docstring"


def test_nobody_enters_a_tenant_by_the_ways_that_leak():
    """`with tenant:` keeps its way back on the class; @schema_context leaves a thread in public."""
    leaks = []
    for file in OURS:
        for node in ast.walk(ast.parse((ROOT / file).read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names = {ast.unparse(decorator).split("(")[0].split(".")[-1] for decorator in node.decorator_list}
                leaks += [f"{file}:{node.lineno}" for _ in names & {"schema_context", "tenant_context"}]
            if isinstance(node, ast.With):
                entered = {ast.unparse(item.context_expr) for item in node.items}
                leaks += [f"{file}:{node.lineno}" for name in entered if name in ("tenant", "project", "self.project")]
            if isinstance(node, ast.Attribute) and node.attr in ("activate", "set_tenant"):
                leaks.append(f"{file}:{node.lineno}")
    assert leaks == []


CATCH_ALL = {
    "workers/engine.py": "the loop",
    "workers/server.py": "a door tells nobody why it fell shut",
    "edge/worker.py": "an action stands for a container",
    "tenants/fleet.py": "a migration runs anybody's Python",
}


def test_no_exception_is_swallowed_whole():
    """Whoever catches everything is known by name, and why is written beside it."""
    broad = set()
    for file in OURS:
        source = (ROOT / file).read_text()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) == "Exception"):
                broad.add(str(file))
                assert "#" in source.splitlines()[node.lineno - 1], f"{file}:{node.lineno} doesn't say why"
    assert {file for file in broad if not file.startswith("tests/")} == CATCH_ALL.keys()


def test_no_command_replaces_what_django_itself_calls_of_it():
    """`check`, for one: tests call commands by call_command, which leaves the system checks out; operators don't."""
    for file in (file for file in OURS if "commands" in file.parts and file.name != "__init__.py"):
        command = import_module(".".join(file.with_suffix("").parts)).Command
        replaced = {name for name in vars(command) if callable(getattr(BaseCommand, name, None))}
        of_ours = {name for name in replaced if not name.startswith("__")}
        assert of_ours <= {"handle", "add_arguments", "get_check_kwargs"}, file
