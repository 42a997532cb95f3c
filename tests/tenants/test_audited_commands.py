"""What is typed at the server is in the audit, too. With rows that are committed, which another process sees."""

import os
import subprocess
import sys
from pathlib import Path

from django.conf import settings
from django.db import connection

from tenants import expired
from tenants.models import Audit

ROOT = Path(__file__).parent.parent.parent


def test_the_command_line_tells_of_itself(committed, monkeypatch):
    url, ours = settings.DATABASE_URL, f"/{connection.settings_dict['NAME']}"
    base, _, query = url.partition("?")
    there = base.rpartition("/")[0] + ours + ("?" + query if query else "")

    def manage(*words: str) -> int:
        return subprocess.run(
            [sys.executable, "manage.py", *words], cwd=ROOT, env=os.environ | {"DATABASE_URL": there}, timeout=60,
            capture_output=True,
        ).returncode  # fmt: skip

    lines = Audit.objects.filter(method="RUN").exclude(pk__in=[*Audit.objects.values_list("pk", flat=True)])
    try:
        assert manage("create_project", committed.name, "--org", "tests") == 0
        assert manage("create_project", committed.name, "--org", "another") != 0
        assert manage("showmigrations", "tenants") == manage("migrate_fleet", "--plan") == manage("nginx") == 0
        told = [*lines.order_by("id").values_list("action", "resource_id", "status")]
        assert told == [("create_project", committed.name, 200), ("create_project", committed.name, 500)]
    finally:
        monkeypatch.setattr(settings, "AUDIT_DAYS", -1)
        expired.forget_lines()
