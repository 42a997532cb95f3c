"""`manage.py migrate_fleet`: public, the template and every tenant's schema to the head of the migrations."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from tenants import fleet
from tenants.errors import FleetBusy, MigrationFailed
from tenants.fleet import Tenant
from tenants.schema import TEMPLATE

TELL_EVERY = 2.0  # seconds, where there is no terminal to draw a bar on


class Command(BaseCommand):
    help = "Migrate every schema to the head, each in a transaction of its own. Run it again and it goes on."
    requires_system_checks = [Tags.database]  # behind a pooler that mixes schemas the wrong ones were migrated

    def add_arguments(self, parser):
        parser.add_argument("--canary", metavar="PROJECT", help="migrate this one first, and stop if it fails")
        parser.add_argument("--stop-after", type=int, default=3, metavar="K", help="failed schemas (default: 3)")
        parser.add_argument("--schema", action="append", help="only this tenant's, after public and the template")
        parser.add_argument("--plan", action="store_true", help="show what would be done, and do nothing")
        parser.add_argument(
            "--lock-timeout", type=float, default=2, metavar="SECONDS",
            help="wait no longer for a table: who wants it after us waits as well (default: 2)",
        )  # fmt: skip

    def get_check_kwargs(self, options):
        return {**super().get_check_kwargs(options), "databases": ["default"]}

    def handle(self, *, canary, stop_after, schema, plan, lock_timeout, verbosity, **options):
        self.quiet = verbosity == 0
        try:
            if plan:
                self._show(canary, schema)
                return
            with fleet.alone(timedelta(seconds=lock_timeout)):
                self._migrate_public()
                fleet.make_template()
                self._migrate(_in_order(fleet.tenants(), canary, schema), canary, stop_after)
        except (FleetBusy, MigrationFailed) as why:
            raise CommandError(str(why)) from why
        except OperationalError as away:
            raise CommandError(f"The database failed: {str(away).splitlines()[0]}; run it again to go on") from away
        except KeyboardInterrupt:
            raise CommandError("Interrupted; what is done is done, run it again to go on") from None

    def _show(self, canary: str | None, only: list[str] | None) -> None:
        schemas = [Tenant(fleet.PUBLIC), *_in_order(fleet.tenants(), canary, only)]
        pending = fleet.pending(schemas)
        for upgrade in dict.fromkeys(one.upgrade for one in pending):
            names = [str(one.tenant) for one in pending if one.upgrade is upgrade]
            shown = ", ".join(names) if len(names) <= 3 else f"{names[0]} and {len(names) - 1} others"
            self.stdout.write(f"{shown}: {upgrade}")
        if not pending:
            self.stdout.write(f"Nothing to do: {_count(len(schemas))} at the head")

    def _migrate_public(self) -> None:
        for one in fleet.pending([Tenant(fleet.PUBLIC)]):
            self._say(f"public: {one.upgrade}")
            fleet.migrate_public()

    def _migrate(self, schemas: list[Tenant], canary: str | None, stop_after: int) -> None:
        began, pending = time.monotonic(), fleet.pending(schemas)
        if not pending:
            self._say(f"Nothing to do: {_count(len(schemas))} at the head")
            return
        failed: list[Tenant] = []
        with self._progress(len(pending)) as advance:
            for tried, one in enumerate(pending, start=1):
                try:
                    one.migrate()
                except MigrationFailed as why:
                    print(why, file=sys.stderr)  # not self.stderr: while a bar is drawn, this is written above it
                    failed.append(one.tenant)
                    if len(failed) >= stop_after or _leads(one.tenant, canary):
                        break
                advance(tried)
        if failed:
            raise CommandError(
                f"{len(failed)} of {_count(len(pending))} failed: {', '.join(map(str, failed))}; "
                f"{tried - len(failed)} migrated, {len(pending) - tried} not tried; run it again to go on"
            )
        self._say(f"{_count(len(pending))} migrated in {time.monotonic() - began:.1f} s")

    def _say(self, line: str) -> None:
        if not self.quiet:
            self.stdout.write(line)

    @contextmanager
    def _progress(self, total: int) -> Iterator[Callable[[int], None]]:
        """A bar; where there is no terminal, a plain line now and then."""
        if not self.quiet and sys.stderr.isatty():
            columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
            with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
                task = bar.add_task("", total=total)
                yield lambda done: bar.update(task, completed=done)
        else:
            yield self._plain_progress(total)

    def _plain_progress(self, total: int) -> Callable[[int], None]:
        told = time.monotonic()

        def advance(done: int) -> None:
            nonlocal told
            if time.monotonic() - told >= TELL_EVERY:
                told = time.monotonic()
                self._say(f"{done} of {_count(total)}")

        return advance


def _in_order(tenants: list[Tenant], canary: str | None, only: list[str] | None) -> list[Tenant]:
    """The template first, then the canary, then the rest, or only some of it."""
    if canary and canary not in {tenant.project for tenant in tenants}:
        raise CommandError(f"There is no project {canary}")
    if strangers := set(only or []) - {tenant.schema for tenant in tenants}:
        raise CommandError(f"No project has schema {', '.join(sorted(strangers))}")
    chosen = [tenant for tenant in tenants if not only or tenant.schema in only or _leads(tenant, canary)]
    return [Tenant(TEMPLATE), *sorted(chosen, key=lambda tenant: not _leads(tenant, canary))]


def _leads(tenant: Tenant, canary: str | None) -> bool:
    """Whether its failure ends the run: the others would fail as well."""
    return tenant.schema == TEMPLATE or bool(canary and tenant.project == canary)


def _count(schemas: int) -> str:
    return f"{schemas} schema{'' if schemas == 1 else 's'}"
