"""Downloads what is to be mirrored, a turn at a time: a killed worker loses none of it."""

from datetime import timedelta

from inventory.models import Indicator, Status
from provisioning import mirror
from provisioning.models import Mirrored
from workers.engine import Done, Later, Reconciler, Refused, register
from workers.models import Queue


@register
class Download(Reconciler):
    model, pair = Mirrored, "digest"
    queue = Queue.BUILD

    def reconcile(self, mirrored):
        mirrored.observe(download_status=Status("Downloading", Indicator.IN_PROGRESS))
        try:
            progress = mirror.fetch(mirrored)
        except mirror.NotWhatItShouldBe as why:
            raise Refused(str(why)) from why
        if progress.finished:
            return Done("Downloaded", digest=mirrored.sha256, size_bytes=progress.done_bytes)
        done, size = (number // 2**20 for number in (progress.done_bytes, progress.size_bytes))
        return Later(timedelta(0), f"Downloading: {done} of {size or '?'} MiB")
