"""How things stand, as numbers that are written now and then: what is open, what waits, how long ago."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol


class Gauge(NamedTuple):
    """One number with its unit last in the name (``oldest_waiting_seconds``); labels tell series apart."""

    name: str
    value: float
    labels: Mapping[str, str]


class Gauges(Protocol):
    """Where they are written."""

    def write(self, gauges: Sequence[Gauge], now: int) -> None:
        """One point a series, at ``now`` (microseconds since 1970); ``StoreUnavailable`` when that is refused."""
