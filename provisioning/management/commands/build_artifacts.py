"""`manage.py build_artifacts`: wish for all that machines boot and install from, as of today, and wait for it."""

import json
import time

from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet

from provisioning import artifacts
from provisioning.dkam import build
from provisioning.dkam.errors import BuildFailed
from provisioning.models import Artifact
from workers.models import Work

LOOK_EVERY_SECONDS = 0.3


class Command(BaseCommand):
    help = "Ask the build workers for everything that machines boot and install from; prints where it is, as JSON."

    def add_arguments(self, parser):
        parser.add_argument("steps", nargs="*", metavar="STEP", help="build these alone, and what they need")
        parser.add_argument("--timeout", type=float, default=900, metavar="SECONDS", help="give up after this (900)")
        parser.add_argument(
            "--back", metavar="NAME[=DIGEST]", help="serve an earlier version of this one again instead"
        )

    def handle(self, **options):
        self.asked_before = dict(self._work().values_list("target", "generation"))
        try:
            wanted = self._back(options["back"]) if options["back"] else self._ask(options["steps"])
        except (BuildFailed, artifacts.NoSuchVersion) as why:
            raise CommandError(str(why)) from why
        deadline, told = time.monotonic() + options["timeout"], {}
        while waiting := self._waiting(wanted, told):
            if time.monotonic() > deadline:
                raise CommandError(f"not built within {options['timeout']:.0f} s: {', '.join(waiting)}")
            time.sleep(LOOK_EVERY_SECONDS)
        self.stdout.write(json.dumps(self._served(wanted)))

    @staticmethod
    def _ask(steps: list[str]) -> dict[str, str]:
        if unknown := {*steps} - {*build.BY_NAME}:
            raise CommandError(f"there is no step {', '.join(sorted(unknown))}; there are {', '.join(build.BY_NAME)}")
        return artifacts.ask_for_all(steps) if steps else artifacts.ask_for_all()

    @staticmethod
    def _back(asked: str) -> dict[str, str]:
        name, _, digest = asked.partition("=")
        return artifacts.go_back(name, digest)

    def _waiting(self, wanted: dict[str, str], told: dict[str, str]) -> list[str]:
        """Names of what isn't built yet; each change of a status goes to the operator. A refusal ends the wait."""
        waiting = []
        for artifact in Artifact.objects.filter(name__in=wanted):
            if told.get(artifact.name) != artifact.build_status:
                told[artifact.name] = artifact.build_status
                self.stderr.write(f"{artifact.name}: {artifact.build_status}")
            if artifact.current_digest != wanted[artifact.name]:
                if self._is_refused(artifact):
                    raise CommandError(artifact.build_status)
                waiting.append(artifact.name)
        return waiting

    def _is_refused(self, artifact: Artifact) -> bool:
        """Since we asked: an earlier refusal is shown until a worker has looked at it again."""
        work = self._work().filter(target=artifact.pk).exclude(refused="").first()
        return work is not None and work.generation > self.asked_before.get(artifact.pk, 0)

    @staticmethod
    def _work() -> QuerySet[Work]:
        return Work.objects.filter(reconciler="ArtifactBuild")

    @staticmethod
    def _served(wanted: dict[str, str]) -> dict[str, dict[str, str | int]]:
        store, served = artifacts.store(), {}
        for name, digest in wanted.items():
            for file in build.BY_NAME[name].serves:
                served[file] = {"digest": digest, **store.facts(store.folder(name, digest), file)}
        return served
