"""Builds what machines boot and install from, a step at a time: a killed worker loses one step."""

from datetime import timedelta

from django.conf import settings

from inventory.models import Indicator, Status
from provisioning.dkam import build
from provisioning.dkam.errors import BuildFailed
from provisioning.models import Artifact
from workers.engine import Done, Later, Reconciler, Refused, register
from workers.models import Queue


def inputs() -> build.Inputs:
    return build.Inputs(settings.EIM_ARTIFACTS, settings.BASE_DIR, settings.EIM_CA_FILE)


@register
class ArtifactBuild(Reconciler):
    model, pair = Artifact, "digest"
    queue = Queue.BUILD

    def reconcile(self, artifact):
        wanted = {row.name: row for row in Artifact.objects.filter(name__in=build.BY_NAME[artifact.name].needs)}
        for need in build.BY_NAME[artifact.name].needs:
            if need not in wanted or wanted[need].current_digest != build.digest(need, inputs()):
                return Later(timedelta(seconds=2), f"Waiting for {need}")

        def report(line: str) -> None:
            artifact.observe(build_status=Status(line, Indicator.IN_PROGRESS))

        try:
            build.build(artifact.name, inputs(), report)
        except BuildFailed as failure:
            raise Refused(str(failure)) from failure
        return Done("Built", digest=build.digest(artifact.name, inputs()))
