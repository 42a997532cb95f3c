"""Builds what machines boot and install from, a step at a time: a killed worker loses one step."""

from datetime import timedelta

from inventory.models import Indicator, Status
from provisioning import artifacts
from provisioning.dkam import build
from provisioning.dkam.errors import BuildFailed
from provisioning.models import Artifact
from workers.engine import Done, Later, Reconciler, Refused, register
from workers.models import Queue


@register
class ArtifactBuild(Reconciler):
    model, pair = Artifact, "digest"
    queue = Queue.BUILD

    def reconcile(self, artifact):
        if artifact.name not in build.BY_NAME:
            raise Refused(f"This release builds no {artifact.name}")
        try:
            if artifacts.store().has(artifact.name, artifact.desired_digest):
                artifacts.store().point(artifact.name, artifact.desired_digest, build.BY_NAME[artifact.name].kept)
                return Done("Built", digest=artifact.desired_digest)
            return self._build(artifact)
        except BuildFailed as failure:
            raise Refused(str(failure)) from failure

    @staticmethod
    def _build(artifact):
        inputs = artifacts.inputs()
        today = build.digests(inputs)
        if artifact.desired_digest != today[artifact.name]:
            raise Refused("What it is made from has changed since it was asked for: ask for a build again")
        for need in build.BY_NAME[artifact.name].needs:
            if not inputs.store.has(need, today[need]):
                return Later(timedelta(seconds=2), f"Waiting for {need}")

        def report(line: str) -> None:
            artifact.observe(build_status=Status(line, Indicator.IN_PROGRESS))

        return Done("Built", digest=build.build(artifact.name, inputs, report))
