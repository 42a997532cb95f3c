"""The product's settings, and the floors inside its servers."""

from eim_project.settings import *  # noqa: F403
from eim_project.settings import INSTALLED_APPS as PRODUCT

INSTALLED_APPS = [*PRODUCT, "bench"]
ROOT_URLCONF = "bench.urls"
