"""`manage.py build_artifacts`: wish for the micro-OS and disk image that today's sources give, and wait for them."""

import json
import time

from django.core.management.base import BaseCommand, CommandError

from inventory.models import Indicator
from provisioning.dkam import build
from provisioning.models import Artifact
from provisioning.reconcilers.artifact import inputs

LOOK_EVERY_SECONDS = 0.3


class Command(BaseCommand):
    help = "Ask the build workers for everything that machines boot and install from; prints where it is, as JSON."

    def add_arguments(self, parser):
        parser.add_argument("--timeout", type=float, default=900, metavar="SECONDS", help="give up after this (900)")

    def handle(self, **options):
        wanted = {step.name: build.digest(step.name, inputs()) for step in build.STEPS}
        for name, digest in wanted.items():
            self._ask(name, digest)
        deadline, told = time.monotonic() + options["timeout"], {}
        while waiting := self._waiting(wanted, told):
            if time.monotonic() > deadline:
                raise CommandError(f"not built within {options['timeout']:.0f} s: {', '.join(waiting)}")
            time.sleep(LOOK_EVERY_SECONDS)
        self.stdout.write(json.dumps(self._served(wanted)))

    def _ask(self, name: str, digest: str) -> None:
        artifact = Artifact.objects.filter(name=name).first()
        if artifact and artifact.current_digest == digest and not inputs().store.has(name, digest):
            artifact.delete()  # somebody has cleared the folder: what is written here isn't so any more
            artifact = None
        if artifact is None or artifact.current_digest != digest:
            (artifact or Artifact(name=name)).ask(digest=digest)

    def _waiting(self, wanted: dict[str, str], told: dict[str, str]) -> list[str]:
        """Names of what isn't built yet; each change of a status goes to the operator. A refusal ends the wait."""
        waiting = []
        for artifact in Artifact.objects.filter(name__in=wanted):
            if told.get(artifact.name) != artifact.build_status:
                told[artifact.name] = artifact.build_status
                self.stderr.write(f"{artifact.name}: {artifact.build_status}")
            if artifact.current_digest != wanted[artifact.name]:
                if artifact.build_status_indicator == Indicator.ERROR:
                    raise CommandError(artifact.build_status)
                waiting.append(artifact.name)
        return waiting

    @staticmethod
    def _served(wanted: dict[str, str]) -> dict[str, dict[str, str | int]]:
        store, served = inputs().store, {}
        for step in build.STEPS:
            for name in step.serves:
                folder = store.folder(step.name, wanted[step.name])
                served[name] = {"digest": wanted[step.name], **store.facts(folder / name)}
        return served
