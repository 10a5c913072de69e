"""What every recorder of numbers does: it never raises."""

import pytest

from shared.ports.metrics import Metrics


class MetricsSuite:
    """Subclasses supply ``metrics`` and ``broken_metrics``, whose place cannot be written."""

    @pytest.fixture
    def metrics(self) -> Metrics:
        raise NotImplementedError

    @pytest.fixture
    def broken_metrics(self) -> Metrics:
        raise NotImplementedError

    def recorded(self, metrics: Metrics) -> list[tuple[str, float, dict[str, str]]]:
        """What has arrived so far, in order."""
        raise NotImplementedError

    def test_what_is_recorded_arrives(self, metrics: Metrics) -> None:
        metrics.record("handler_ms", 1.5, {"service": "vålidate"})
        metrics.record("rows_loaded", 3)
        expected = [("handler_ms", 1.5, {"service": "vålidate"}), ("rows_loaded", 3, {})]
        assert self.recorded(metrics) == expected

    def test_it_never_raises(self, broken_metrics: Metrics) -> None:
        broken_metrics.record("handler_ms", 1.5, {"service": "validate"})
        broken_metrics.record("handler_ms", float("nan"))
