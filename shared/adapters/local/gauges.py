"""Gauges among the other numbers of a store."""

from __future__ import annotations

from collections.abc import Sequence

from shared.ports.gauges import Gauge
from shared.ports.metrics import Metrics


class RecordedGauges:
    """Each is one more recorded number; the time is that of the recorder."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def write(self, gauges: Sequence[Gauge], now: int) -> None:
        """Record them all."""
        for each in gauges:
            self._metrics.record(each.name, each.value, each.labels)
