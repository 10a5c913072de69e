"""Gauges in the store's file of numbers, under the suite."""

import json
from pathlib import Path

import pytest

from shared.adapters.local.gauges import RecordedGauges
from shared.adapters.local.metrics import JsonLinesMetrics
from shared.ports.gauges import Gauges
from tests.conformance.gauges_suite import GaugesSuite
from tests.conformance.turned_clock import TurnedClock


class TestRecordedGauges(GaugesSuite):
    """No known differences."""

    @pytest.fixture
    def gauges(self, tmp_path: Path) -> Gauges:
        self.path = tmp_path / "metrics.jsonl"
        self.metrics = JsonLinesMetrics(self.path, TurnedClock())
        return RecordedGauges(self.metrics)

    def arrived(self) -> list[tuple[str, float, dict[str, str]]]:
        self.metrics.close()
        if not self.path.exists():
            return []
        lines = [json.loads(line) for line in self.path.read_text().splitlines()]
        return [(line["name"], line["value"], line.get("labels", {})) for line in lines]
