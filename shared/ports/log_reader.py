"""What the services wrote down while they worked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class LogEntry(NamedTuple):
    """One handled delivery, or a note; ``time`` in microseconds since 1970 (0: not said)."""

    time: int
    severity: str
    service: str
    event: str
    outcome: str
    milliseconds: float
    attempt: int
    about: str
    message: str


class LogReader(Protocol):
    """Reads log lines back, for a person who looks into something."""

    def about(self, ids: Sequence[str], limit: int, since: int = 0) -> list[LogEntry]:
        """The last ``limit`` lines about one of the batches or incidents, oldest first, from ``since`` on.

        ``since`` is in microseconds since 1970. A line that is no line of ours is passed over. Raises
        ``StoreUnavailable`` when the log cannot be read; one that was never written is empty.
        """


def entry_of(said: dict[str, object], time: int) -> LogEntry:
    """A line as it was read, whatever it holds."""

    def text(name: str) -> str:
        found = said.get(name)
        return found if isinstance(found, str) else ""

    def number(name: str) -> float:
        found = said.get(name)
        return found if isinstance(found, int | float) else 0

    return LogEntry(
        time=time,
        severity=text("severity"),
        service=text("service"),
        event=text("event"),
        outcome=text("outcome"),
        milliseconds=float(number("milliseconds")),
        attempt=int(number("attempt")),
        about=text("about"),
        message=text("message"),
    )
