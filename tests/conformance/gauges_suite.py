"""What every writer of gauges does."""

import pytest

from shared.ports.gauges import Gauge, Gauges

NOW = 1_700_000_000_000_000


class GaugesSuite:
    """Subclasses supply ``gauges`` and tell what has arrived."""

    @pytest.fixture
    def gauges(self) -> Gauges:
        raise NotImplementedError

    def arrived(self) -> list[tuple[str, float, dict[str, str]]]:
        """Name, value and labels of what was written, in order."""
        raise NotImplementedError

    def test_nothing_to_write(self, gauges: Gauges) -> None:
        gauges.write([], NOW)
        assert self.arrived() == []

    def test_each_is_one_series(self, gauges: Gauges) -> None:
        written = [
            Gauge("incidents_open", 3.0, {"pipeline": "bestellüngen", "state": "waiting"}),
            Gauge("incidents_open", 1.0, {"pipeline": "x", "state": "waiting"}),
            Gauge("oldest_waiting_seconds", 0.5, {}),
        ]
        gauges.write(written, NOW)
        assert self.arrived() == [(each.name, each.value, dict(each.labels)) for each in written]

    def test_many(self, gauges: Gauges) -> None:
        gauges.write([Gauge("n", float(number), {"pipeline": str(number)}) for number in range(450)], NOW)
        assert [value for _, value, _ in self.arrived()] == [float(number) for number in range(450)]
