"""Bulk import as a real process that is killed in the middle; its own file, as rows must really be committed."""

import os
import subprocess
import sys
from pathlib import Path

from django.conf import settings
from django.db import connection
from django_tenants.utils import schema_context

from inventory.models import Host, InstanceState, OperatingSystem
from tenants.models import Claim, Project


def test_an_import_that_is_killed_leaves_whole_rows_and_is_finished_by_the_next(committed, tmp_path):
    """A real process, killed at a moment that no seed repeats: after its first batch was told."""
    with schema_context(committed.schema_name):
        image = {"sha256": "0" * 64, "os_type": "OS_TYPE_MUTABLE", "os_provider": "OS_PROVIDER_KIND_INFRA"}
        OperatingSystem(name="debian-12", **image).save()
    file = tmp_path / "hosts.csv"
    file.write_text("\n".join(["Serial,OSProfile", *(f"SN{number:05},debian-12" for number in range(2000))]))
    with importing(file, committed) as process:
        for line in process.stdout:
            if line.startswith("row 1:"):
                break
        process.kill()
    with schema_context(committed.schema_name):
        whole = Host.objects.filter(instance__desired_state=InstanceState.RUNNING).count()
        assert 0 < whole < 2000 and Host.objects.count() == whole
        assert Claim.objects.filter(schema=committed.schema_name).count() == whole
    with importing(file, committed) as process:
        said, _ = process.communicate()
    assert process.returncode == 0 and f"{2000 - whole} imported, {whole} already registered" in said


def importing(file: Path, project: Project) -> subprocess.Popen:
    """The command as its users start it, on the tests' database."""
    database = connection.settings_dict
    url = f"postgresql://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    command = [
        sys.executable,
        settings.BASE_DIR / "manage.py",
        "bulk_import",
        file,
        "--project",
        project.name,
        "-v",
        "2",
    ]
    return subprocess.Popen(command, env=os.environ | {"DATABASE_URL": url}, stdout=subprocess.PIPE, text=True)
