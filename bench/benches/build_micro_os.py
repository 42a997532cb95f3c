"""All that the micro-OS takes, built by the worker from Debian's packages on; and built again with nothing changed.

Once for all repetitions: it takes minutes. Meanwhile wishes are made, to see whether a build keeps others waiting.
"""

import shutil
import threading
import time
from functools import cache
from pathlib import Path

from django.conf import settings
from django.db import connections

from bench.benches import wish_to_work
from bench.declare import Bench, Figures, Side, Unit
from bench.load import percentile
from bench.rig import Rig
from provisioning import artifacts
from provisioning.dkam import debian, microos
from provisioning.dkam.build import MIRROR
from provisioning.models import Artifact

LAST = "media"  # of the steps that are the micro-OS's; those of the disk image come after it
MEANWHILE = "p99 of wishes meanwhile"
FIGURES = {"built after": Unit.SECONDS, "again, nothing changed": Unit.SECONDS, MEANWHILE: Unit.MS}
PATIENCE = 900  # seconds


@cache
def by_the_worker(rig: Rig) -> Figures:
    with rig.running("builders"):
        built = threading.Event()
        took: list[float] = []

        def build() -> None:
            try:
                took.append(_until_built())
            finally:
                built.set()
                connections.close_all()

        builder = threading.Thread(target=build)
        builder.start()
        waits: list[float] = []
        while not built.is_set():
            waits += wish_to_work.waits(rig)
        builder.join()
        return {"built after": took[0], "again, nothing changed": _until_built(), MEANWHILE: percentile(waits, 99)}


def _until_built() -> float:
    began = time.perf_counter()
    wanted = artifacts.ask_for_all()[LAST]
    while not Artifact.objects.filter(name=LAST, current_digest=wanted).exists():
        if time.perf_counter() - began > PATIENCE:
            raise TimeoutError(str([f"{row.name}: {row.build_status}" for row in Artifact.objects.all()]))
        time.sleep(0.1)
    return time.perf_counter() - began


@cache
def by_mmdebstrap(rig: Rig) -> Figures:
    """Debian's packages are unpacked, and no more."""
    folder = Path(settings.EIM_ARTIFACTS) / "bare"
    folder.mkdir(parents=True)
    began = time.perf_counter()
    debian.unpack(microos.PACKAGES, MIRROR, folder / "packages.tar")
    took = time.perf_counter() - began
    shutil.rmtree(folder)
    began = time.perf_counter()
    debian.versions(microos.PACKAGES)
    again = time.perf_counter() - began
    return {
        "built after": took, "again, nothing changed": again,
        MEANWHILE: percentile(wish_to_work.waits(rig), 99),
    }  # fmt: skip


bench = Bench(
    name="build-micro-os",
    ours=Side("kernel, initramfs, signed image, iPXE, USB image, by the build worker", by_the_worker),
    floor=Side("its Debian packages unpacked by mmdebstrap; their versions asked of apt; no build", by_mmdebstrap),
    figures=FIGURES,
    around=Rig.worker,
)
