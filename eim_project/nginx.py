"""docker/nginx.conf.template, filled in as nginx's image does it, for where nginx comes from elsewhere."""

import re
from collections.abc import Mapping

from django.conf import settings

from eim_project.settings import environment


def site(**others: object) -> str:
    """What is to be included in nginx's http block. `others` count in place of the settings of these names."""
    values: Mapping[str, object] = {name: one.shown(one.value) for name, one in environment.settings.items()} | others
    template = (settings.BASE_DIR / "docker/nginx.conf.template").read_text()
    return re.sub(r"\$\{(\w+)\}", lambda found: str(values[found[1]]), template)
