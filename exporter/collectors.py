"""The fleet as metrics, by SQL when Prometheus asks: exact after any restart. Kept for seconds, for many who ask."""

import threading
import time
from collections.abc import Iterator

from django.conf import settings
from django_tenants.utils import schema_context
from prometheus_client.core import CollectorRegistry, GaugeMetricFamily

from exporter import fleet, hosts, work


class Fleet:
    """A collector in prometheus_client's sense. Whoever asks while another is being answered waits for that answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[GaugeMetricFamily] = []
        self._until = 0.0

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing: or the registry would collect all once, at the start, to learn the names."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with self._lock:
            if time.monotonic() >= self._until:
                self._kept = self._asked()
                self._until = time.monotonic() + settings.EXPORTER_KEEPS
            yield from self._kept

    def _asked(self) -> list[GaugeMetricFamily]:
        began = time.perf_counter()
        with schema_context("public"):
            found = [*fleet.families(), *hosts.families(), *work.families()]
        seconds = time.perf_counter() - began
        return [*found, GaugeMetricFamily("eim_exporter_seconds", "What collecting all this took", value=seconds)]


def registry() -> CollectorRegistry:
    made = CollectorRegistry()
    made.register(Fleet())
    return made
