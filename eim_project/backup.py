"""A backup: one file with the database, the keys that open it, and the certificates that machines trust.

A tar of: manifest.json, what is in it; database.dump, of pg_dump; rows/<table>, the rows of tables that row-level
security guards; data/<file>, out of EIM_DATA. Not in it: artifacts and images (built and fetched anew), logs, what is
in Redis (found anew), and keys and certificates that the environment names elsewhere.

Why rows/: to pg_dump, which looks from no schema, row-level security shows not a single row, and no role of ours is
above it. So these are copied from public, in the same snapshot.
"""

import hashlib
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django_tenants.utils import schema_context

from tenants import schema
from tenants.errors import SchemaMissing

FORMAT = 1
MANIFEST, DUMP = "manifest.json", "database.dump"
KEPT = ["secret_key", "secret_keys", "ports.json", "tls/*"]  # of EIM_DATA
CHUNK = 2**20
REPLACED = ".before-restore"  # is put behind the name of a file that a restore replaces


class BackupProblem(Exception):
    """A sentence that says what stands in the way, and the way out."""


def describe(manifest: dict[str, Any]) -> str:
    tables, files = manifest["rows"], [name for name in manifest["sha256"] if name.startswith("data/")]
    return (
        f"  made       {manifest['made_at']} of database {manifest['database']}, Postgres {manifest['postgres']}\n"
        f"  tenants    {manifest['tenants']}\n"
        f"  guarded    {sum(table['rows'] for table in tables.values())} rows in {len(tables)} tables\n"
        f"  migrated   {', '.join(f'{app} {name}' for app, name in sorted(manifest['migrations'].items()))}\n"
        f"  files      {', '.join(sorted(name.removeprefix('data/') for name in files)) or 'none'}"
    )


# Making one ----------------------------------------------------------------------------------------------------------


def make(file: Path) -> dict[str, Any]:
    """Write the backup, readable by its owner alone, and return its manifest. Nothing is left of one that fails."""
    if file.exists():
        raise BackupProblem(f"{file} is there already: name another, or remove it")
    try:
        with tempfile.TemporaryDirectory(dir=file.absolute().parent, prefix=".backup-") as made:
            folder = Path(made)
            manifest = _dump(folder)
            _copy_kept(folder)
            manifest["sha256"] = {name: _digest(folder / name) for name in _names(folder)}
            (folder / MANIFEST).write_text(json.dumps(manifest, indent=2))
            partial = folder / "whole.tar"
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
                with tarfile.open(fileobj=output, mode="w") as tar:
                    for name in (MANIFEST, *manifest["sha256"]):
                        tar.add(folder / name, name)
                output.flush()
                os.fsync(output.fileno())
            partial.rename(file)
    except OSError as why:
        raise BackupProblem(f"{file} can't be written: {why.strerror}") from why
    return manifest


def _dump(folder: Path) -> dict[str, Any]:
    """All in one snapshot, whatever is written meanwhile."""
    with schema_context("public"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SELECT pg_export_snapshot(), current_database(), current_setting('server_version')")
        snapshot, database, postgres = cursor.fetchone()
        guarded = _guarded_tables(cursor)
        # On the command line no password is.
        _run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}",
             f"--file={folder / DUMP}", *(f"--exclude-table-data=public.{table}" for table in guarded))  # fmt: skip
        (folder / "rows").mkdir()
        rows = {
            table: {"columns": columns, "rows": _copy_out(cursor, table, columns, folder / "rows" / table)}
            for table, columns in guarded.items()
        }
        migrations = MigrationRecorder.Migration.objects.order_by("id").values_list("app", "name")
        cursor.execute("SELECT count(*) FROM tenants_project")
        return {
            "format": FORMAT, "made_at": datetime.now(UTC).isoformat(timespec="seconds"), "database": database,
            "postgres": postgres, "tenants": cursor.fetchone()[0], "migrations": dict(migrations), "rows": rows,
        }  # fmt: skip


def _guarded_tables(cursor: Any) -> dict[str, list[str]]:
    """Tables whose rows pg_dump can't see -> their columns that are stored, not computed."""
    cursor.execute(
        """
        SELECT relname, array_agg(attname::text ORDER BY attnum)
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
        WHERE relforcerowsecurity AND relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
          AND attgenerated = '' GROUP BY relname ORDER BY relname
        """
    )
    return dict(cursor.fetchall())


def _copy_out(cursor: Any, table: str, columns: list[str], into: Path) -> int:
    with (
        into.open("wb") as output,
        cursor.copy(f"COPY (SELECT {_list(columns)} FROM public.{_quoted(table)}) TO STDOUT") as copy,
    ):
        for data in copy:
            output.write(data)
    return cursor.rowcount


def _copy_kept(folder: Path) -> None:
    for pattern in KEPT:
        for file in sorted(settings.EIM_DATA.glob(pattern)):
            if file.is_file():
                target = folder / "data" / file.relative_to(settings.EIM_DATA)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read_bytes())
                target.chmod(file.stat().st_mode & 0o777)


def _names(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


# Bringing one back ---------------------------------------------------------------------------------------------------


def restore(file: Path, force: bool) -> dict[str, Any]:
    """Fill the database that DATABASE_URL names, and EIM_DATA, and return the manifest.

    The file is read whole and compared with its digests before anything is touched. A database that isn't empty is
    emptied by force only; one whose restoring fails is emptied again. Keys that are replaced stay beside the new ones.
    """
    settings.EIM_DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.EIM_DATA, prefix=".restore-") as made:
        folder = Path(made)
        manifest = _unpacked(file, folder)
        _refuse_unless_free(force)
        try:
            _empty()
            _fill(folder, manifest)
        except (BackupProblem, DatabaseError) as why:
            connection.close()
            _empty()
            raise BackupProblem(f"The backup can't be restored, and the database is empty: {why}") from why
        for name in manifest["sha256"]:
            if name.startswith("data/"):
                _bring_back(folder / name, settings.EIM_DATA / name.removeprefix("data/"))
    return manifest


def manifest_of(file: Path) -> dict[str, Any]:
    with _opened(file) as tar:
        return _manifest(tar, file)


def _opened(file: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(file)
    except (OSError, tarfile.TarError) as why:
        raise BackupProblem(f"{file} can't be read: {why}") from why


def _manifest(tar: tarfile.TarFile, file: Path) -> dict[str, Any]:
    try:
        member = tar.extractfile(MANIFEST)
        manifest = json.load(member) if member else {}
    except (KeyError, ValueError, OSError, tarfile.TarError):
        manifest = {}
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise BackupProblem(f"{file} is no backup of ours: it has no {MANIFEST}")
    if manifest["format"] != FORMAT:
        raise BackupProblem(f"{file} is of format {manifest['format']}, and this version reads {FORMAT}")
    return manifest


def _unpacked(file: Path, folder: Path) -> dict[str, Any]:
    """Only what the manifest names, each as it was."""
    with _opened(file) as tar:
        manifest = _manifest(tar, file)
        for name, digest in manifest["sha256"].items():
            try:
                tar.extract(name, folder, filter="data")
            except (KeyError, OSError, tarfile.TarError) as why:
                raise BackupProblem(f"{file} is damaged: {name} can't be had ({why})") from why
            if _digest(folder / name) != digest:
                raise BackupProblem(f"{file} is damaged: {name} isn't what was written")
    return manifest


def _refuse_unless_free(force: bool) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        if others := cursor.fetchone()[0]:
            raise BackupProblem(f"{others} others are connected to the database: end all processes first (make down)")
        cursor.execute(
            "SELECT count(*) FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)'"
        )
        if (tables := cursor.fetchone()[0]) and not force:
            raise BackupProblem(
                f"The database {connection.settings_dict['NAME']} isn't empty, it has {tables} tables: name another in "
                "DATABASE_URL, or use --force, which deletes all that is in it"
            )


def _empty() -> None:
    """Tenants first, a few tables in a transaction, and then what is left of our role's."""
    connection.set_schema_to_public()
    with connection.cursor() as cursor:
        cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$|public$)'")
        schemas = [name for (name,) in cursor.fetchall()]
    for name in schemas:
        for _ in schema.dropping(name):
            pass
    with connection.cursor() as cursor:
        cursor.execute("DROP OWNED BY CURRENT_USER")


def _fill(folder: Path, manifest: dict[str, Any]) -> None:
    """Rows come before what watches over them: triggers, foreign keys, row-level security."""
    options = [
        "--no-owner",
        "--no-privileges",
        "--no-comments",
        "--exit-on-error",
        "--dbname",
        connection.settings_dict["NAME"],
    ]
    for section in ("pre-data", "data"):
        _run("pg_restore", *options, f"--section={section}", str(folder / DUMP))
    with transaction.atomic(), connection.cursor() as cursor:
        for table, told in manifest["rows"].items():
            with (folder / "rows" / table).open("rb") as rows:
                _copy_in(cursor, table, told["columns"], rows)
    _run("pg_restore", *options, "--section=post-data", str(folder / DUMP))


def _copy_in(cursor: Any, table: str, columns: list[str], rows: IO[bytes]) -> None:
    with cursor.copy(f"COPY public.{_quoted(table)} ({_list(columns)}) FROM STDIN") as copy:
        for chunk in _chunks(rows):
            copy.write(chunk)


def _bring_back(kept: Path, target: Path) -> None:
    if target.exists():
        if target.read_bytes() == kept.read_bytes():
            return
        target.rename(target.with_name(target.name + REPLACED))
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = 0o644 if target.suffix == ".crt" else 0o600
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as output:
        output.write(kept.read_bytes())


# What both need ------------------------------------------------------------------------------------------------------


def _run(program: str, *arguments: str) -> None:
    try:
        done = subprocess.run(
            [schema.pg_program(program), *arguments], env=schema.pg_environment(), capture_output=True, text=True
        )
    except SchemaMissing as why:
        raise BackupProblem(str(why)) from why
    if done.returncode:
        said = (
            [line for line in done.stderr.splitlines() if "error:" in line] or done.stderr.splitlines() or ["nothing"]
        )
        raise BackupProblem(f"{program} says: {said[0]}")


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _chunks(opened: IO[bytes]) -> Iterator[bytes]:
    while chunk := opened.read(CHUNK):
        yield chunk


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)


def _list(columns: list[str]) -> str:
    return ", ".join(map(_quoted, columns))
