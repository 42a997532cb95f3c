"""What is done about boot artifacts and runs by the clock."""

import logging

from celery import shared_task

from provisioning import artifacts, workflow
from provisioning.dkam.errors import BuildFailed

log = logging.getLogger(__name__)


@shared_task(name="provisioning.follow")
def follow() -> list[str]:
    """What was built before is built again when what goes in has changed: our CA, a setting, a Debian package, code."""
    try:
        return artifacts.follow()
    except BuildFailed as failure:  # what is served stays
        log.warning("artifacts can't follow their inputs", extra={"reason": str(failure)})
        return []


@shared_task(name="provisioning.forget")
def forget() -> int:
    """Every hour, by beat: runs that are too old. What a time limit cuts short goes on in an hour."""
    return workflow.forget_old()
