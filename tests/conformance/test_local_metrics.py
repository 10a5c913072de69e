"""The file of numbers under the suite, and that it does not grow without end."""

import json
from pathlib import Path

import pytest

from shared.adapters.local import metrics as module
from shared.adapters.local.metrics import JsonLinesMetrics
from shared.ports.metrics import Metrics
from tests.conformance.metrics_suite import MetricsSuite
from tests.conformance.turned_clock import START, TurnedClock


class TestJsonLinesMetrics(MetricsSuite):
    """No known differences."""

    @pytest.fixture
    def metrics(self, tmp_path: Path) -> Metrics:
        return JsonLinesMetrics(tmp_path / "deeper" / "metrics.jsonl", TurnedClock())

    @pytest.fixture
    def broken_metrics(self, tmp_path: Path) -> Metrics:
        return JsonLinesMetrics(tmp_path, TurnedClock())

    def recorded(self, metrics: Metrics) -> list[tuple[str, float, dict[str, str]]]:
        assert isinstance(metrics, JsonLinesMetrics)
        lines = [json.loads(line) for line in metrics._path.read_text().splitlines()]
        assert {line["time"] for line in lines} == {START}
        return [(line["name"], line["value"], line.get("labels", {})) for line in lines]


def test_a_large_file_steps_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILE_BYTES_MAX", 1_000)
    path = tmp_path / "metrics.jsonl"
    metrics = JsonLinesMetrics(path, TurnedClock())
    for n in range(2_500):
        metrics.record("n", n)
    metrics.close()
    metrics.record("after", 1.0)
    kept = [json.loads(line)["name"] for file in (f"{path}.1", path) for line in Path(file).read_text().splitlines()]
    assert kept[-1] == "after"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["metrics.jsonl", "metrics.jsonl.1"]
    assert len(kept) < 2_000
