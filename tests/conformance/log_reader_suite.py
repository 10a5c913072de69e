"""What every reader of log lines does."""

from typing import Any

import pytest

from shared.ports.log_reader import LogReader

SECOND = 1_000_000
START = 1_700_000_000 * SECOND


def line(number: int, about: str, **rest: Any) -> dict[str, Any]:
    """A line as the services write it, ``number`` seconds after the start."""
    said = {"service": "load", "event": "batch.validated.v1", "about": about, "outcome": "handled"}
    return {
        "time": START + number * SECOND, "severity": "INFO", **said, "milliseconds": 1.5, "attempt": number, **rest
    }  # fmt: skip


class LogReaderSuite:
    """Subclasses supply ``reader`` and write lines for it."""

    @pytest.fixture
    def reader(self) -> LogReader:
        raise NotImplementedError

    def write(self, lines: list[dict[str, Any]]) -> None:
        """Make the lines be there."""
        raise NotImplementedError

    def test_nothing_was_written(self, reader: LogReader) -> None:
        assert reader.about(["b1"], 10) == []

    def test_lines_about_some_in_their_order(self, reader: LogReader) -> None:
        self.write([line(1, "b1"), line(2, "b2"), line(3, "i1", severity="WARNING", message="näh"), line(4, "b10")])
        found = reader.about(["b1", "i1"], 10)
        assert [(each.time, each.about, each.attempt) for each in found] == [
            (START + SECOND, "b1", 1),
            (START + 3 * SECOND, "i1", 3),
        ]
        assert (found[0].service, found[0].event, found[0].outcome) == ("load", "batch.validated.v1", "handled")
        assert (found[0].milliseconds, found[0].severity, found[1].severity) == (1.5, "INFO", "WARNING")
        assert (found[0].message, found[1].message) == ("", "näh")

    def test_the_last_ones(self, reader: LogReader) -> None:
        self.write([line(number, "b1") for number in range(1, 30)])
        assert [each.attempt for each in reader.about(["b1"], 3)] == [27, 28, 29]
        assert [each.attempt for each in reader.about(["b1"], 9, since=START + 28 * SECOND)] == [28, 29]

    def test_names_are_taken_literally(self, reader: LogReader) -> None:
        self.write([line(1, "b1"), line(2, 'b" OR "x'), line(3, "b\\")])
        assert [each.attempt for each in reader.about(['b" OR "x'], 9)] == [2]
        assert [each.attempt for each in reader.about(["b\\"], 9)] == [3]

    def test_lines_of_other_shapes(self, reader: LogReader) -> None:
        self.write([{"time": START, "about": "b1", "service": 7, "milliseconds": "x", "attempt": None}, line(1, "b1")])
        first, second = reader.about(["b1"], 9)
        assert (first.service, first.milliseconds, first.attempt) == ("", 0.0, 0)
        assert second.attempt == 1
