"""`manage.py move_over --from https://api.example.org --project demo`: takes a project over from another server."""

import csv
import time
from pathlib import Path

from django.core.management.base import CommandError
from django.db import OperationalError, transaction

from inventory import presence
from inventory.bulk.options import WHO_ASKS, BulkCommand, add_login, add_project, ready_project, server
from inventory.bulk.progress import progress
from inventory.bulk.server import Refusal, ServerError
from inventory.moving import nodes
from inventory.moving.mover import Mover, Outcome, let_in, wait_for_machines
from tenants.events import acting_as, one_bell
from tenants.models import Project
from tenants.schema import in_schema

SHOWN = 20  # lines of the report on the terminal; the file has them all


class Command(BulkCommand):
    help = (
        "Take over a project from a server with the same REST API, the archived system's or one of ours, and keep its "
        "ids, wishes and facts. Nothing is asked of any machine. Safe to run again: what is here already is left alone."
    )

    def add_arguments(self, parser):
        add_project(parser)
        parser.add_argument("--dry-run", action="store_true", help="do it all, tell what came of it, and undo it")
        parser.add_argument(
            "--report", type=Path, default=Path("move_over_report.csv"),
            help="where to write what didn't come over, and why (move_over_report.csv)",
        )  # fmt: skip
        parser.add_argument(
            "--node-secrets", type=Path, metavar="FILE",
            help="an export of its Keycloak (kc.sh export --file FILE): machines go on with the secrets they have",
        )  # fmt: skip
        there = parser.add_argument_group("the other server", WHO_ASKS)
        there.add_argument(
            "--from", dest="url", required=True, metavar="URL", help="of the server, like https://api.example.org"
        )
        there.add_argument("--from-project", metavar="NAME", help="what the project is called there; else as here")
        add_login(there)

    def handle(
        self, *, project: str | None, url: str, from_project: str | None, token_file: Path | None, issuer: str | None,
        parallel: int, dry_run: bool, report: Path, node_secrets: Path | None, **_,
    ) -> None:  # fmt: skip
        here, began = ready_project(project), time.monotonic()
        try:
            secrets = nodes.secrets_in(node_secrets) if node_secrets else {}
            with server(url, from_project or project, token_file, issuer, parallel) as there:
                mover = Mover(there, parallel=parallel)
                self._warn(here, mover.project_uuid())
                lacking = self._move(here, mover, secrets, dry_run)
        except nodes.NotAnExport as wrong:
            raise CommandError(str(wrong)) from wrong
        except (ServerError, Refusal) as wrong:
            raise CommandError(f"{wrong}; what was moved is here, run it again to go on") from wrong
        except OperationalError as away:
            raise CommandError(f"The database failed: {str(away).splitlines()[0]}; run it again to go on") from away
        except KeyboardInterrupt:
            raise CommandError("Interrupted; what was moved is here, run it again to go on") from None
        self._tell(mover, report, lacking, dry_run, time.monotonic() - began)

    def _move(self, here: Project, mover: Mover, secrets: dict[str, str], dry_run: bool) -> int:
        """Returns how many onboarded machines have no credentials here."""
        totals = mover.totals()
        with in_schema(here), acting_as("move_over"), progress(sum(totals.values()), "things") as advance:
            if dry_run:
                with transaction.atomic():
                    for count in mover.run(totals):
                        advance(count)
                    lacking = let_in(secrets)
                    transaction.set_rollback(True)
                return lacking
            with one_bell():
                for count in mover.run(totals):
                    advance(count)
            lacking = let_in(secrets)
            try:
                wait_for_machines()
            except presence.Away as away:
                self.stderr.write(f"Redis is away ({away}): when it is back, run this again, or silence isn't noticed")
            return lacking

    def _warn(self, here: Project, uuid: str) -> None:
        if uuid and uuid != str(here.uuid):
            self.stderr.write(
                f"Project {here} is {here.uuid} here and {uuid} there, and tokens of a Keycloak that stays name the "
                f"latter: if it stays, begin with `manage.py create_project NAME --org ORG --uuid {uuid}` instead"
            )

    def _tell(self, mover: Mover, file: Path, lacking: int, dry_run: bool, seconds: float) -> None:
        for called, count in mover.report.count.items():
            told = ", ".join(f"{count[outcome]} {outcome}" for outcome in Outcome if count[outcome])
            self.stdout.write(f"{called}: {told or 'none there'}")
        lines = mover.report.lines
        for line in lines[:SHOWN]:
            self.stdout.write(
                f"{line.resource_id or line.kind} {line.name}".rstrip() + f" ({line.outcome}): {line.why}"
            )
        if len(lines) > SHOWN:
            self.stdout.write(f"and {len(lines) - SHOWN} more")
        if lines:
            with file.open("w", newline="") as opened:
                writer = csv.writer(opened)
                writer.writerow(("kind", "id", "name", "outcome", "why"))
                writer.writerows((line.kind, line.resource_id, line.name, line.outcome, line.why) for line in lines)
        if lacking:
            self.stdout.write(
                f"{lacking} onboarded hosts have no credentials here, so their agents get no token of ours: say "
                "--node-secrets FILE, keep their Keycloak as EIM_OIDC_ISSUER, or `manage.py enrol HOST-ID --open` each"
            )
        told = f"in {seconds:.0f} s" + ("; nothing was changed, this was a dry run" if dry_run else "")
        if left := mover.report.left():
            raise CommandError(f"Moved, but for {left}, {told}; see {file}")
        self.stdout.write(f"Moved, {told}" + (f"; see {file}" if lines else ""))
