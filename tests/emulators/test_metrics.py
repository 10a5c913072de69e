"""Numbers as log lines under the suite of the local ones, and log lines as Cloud Logging reads them."""

import io
import json
from pathlib import Path

import pytest

from shared.adapters.gcp.log_lines import shaper
from shared.adapters.gcp.metrics import LogMetrics
from shared.ports.metrics import Metrics
from tests.conformance.metrics_suite import MetricsSuite


class TestLogMetrics(MetricsSuite):
    """They need no emulator."""

    @pytest.fixture
    def stream(self) -> io.StringIO:
        return io.StringIO()

    @pytest.fixture
    def metrics(self, stream: io.StringIO) -> Metrics:  # type: ignore[override]
        self.lines = stream
        return LogMetrics(stream)

    @pytest.fixture
    def broken_metrics(self, tmp_path: Path) -> Metrics:
        closed = (tmp_path / "log").open("w")
        closed.close()
        return LogMetrics(closed)

    def recorded(self, metrics: Metrics) -> list[tuple[str, float, dict[str, str]]]:
        entries = [json.loads(line) for line in self.lines.getvalue().splitlines()]
        return [(entry["metric"], entry["value"], entry["labels"]) for entry in entries]


def test_a_line_as_cloud_logging_reads_it() -> None:
    shape = shaper("p", "validate", "v1")
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    entry: dict[str, object] = {
        "severity": "INFO", "service": "validate", "event": "batch.staged.v1", "outcome": "handled",
        "event_id": "e1", "traceparent": f"00-{trace}-{span}-01",
    }  # fmt: skip
    assert shape(entry) == {
        "severity": "INFO",
        "message": "validate batch.staged.v1 handled",
        "service": "validate",
        "event": "batch.staged.v1",
        "outcome": "handled",
        "event_id": "e1",
        "logging.googleapis.com/trace": f"projects/p/traces/{trace}",
        "logging.googleapis.com/spanId": span,
        "logging.googleapis.com/trace_sampled": True,
        "logging.googleapis.com/labels": {"service": "validate", "event": "batch.staged.v1", "outcome": "handled"},
    }


def test_what_nobody_foresaw_is_reported() -> None:
    shaped = shaper("p", "load", "v2")(
        {"severity": "WARNING", "outcome": "unforeseen", "service": "load", "message": "x"}
    )
    assert shaped["severity"] == "ERROR"
    assert shaped["message"] == "x"
    assert shaped["serviceContext"] == {"service": "load", "version": "v2"}
    assert "ReportedErrorEvent" in str(shaped["@type"])
    assert "logging.googleapis.com/trace" not in shaped
