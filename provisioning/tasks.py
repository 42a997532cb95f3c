"""What is done about boot artifacts by the clock."""

import logging

from celery import shared_task

from provisioning import artifacts
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
