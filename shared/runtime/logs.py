"""One structured line per handled event, and notes for what happens in between."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TextIO

from shared.domain.errors import StoreUnavailable

Entry = dict[str, object]


class LogLine(NamedTuple):
    """What is said of one delivery; ``about`` is its batch or incident."""

    service: str
    event: str
    event_id: str
    about: str
    correlation: str
    outcome: str
    milliseconds: float
    attempt: int
    traceparent: str = ""


class EventLog:
    """Writes log lines as JSON; ``listen`` lets a console show them as they come."""

    def __init__(self, stream: TextIO | None = None, shape: Callable[[Entry], Entry] | None = None) -> None:
        """``shape`` gives an entry the names that its reader knows."""
        self._stream = stream
        self._shape = shape
        self._listeners: list[Callable[[LogLine], None]] = []
        self.last_note = ""

    def listen(self, listener: Callable[[LogLine], None]) -> None:
        """Call ``listener`` with every line from now on."""
        self._listeners.append(listener)

    def line(self, line: LogLine) -> None:
        """One delivery was dealt with."""
        severity = "INFO" if line.outcome in {"handled", "repeated", "ignored"} else "WARNING"
        self._write({"severity": severity, **line._asdict()})
        for listener in self._listeners:
            listener(line)

    def note(self, kind: str, service: str, message: str) -> None:
        """Something worth a line of its own; ``message`` is masked."""
        self.last_note = message
        self._write({"severity": "WARNING", "service": service, "outcome": kind, "message": message})

    def _write(self, entry: dict[str, object]) -> None:
        if self._stream is not None:
            with suppress(OSError):  # a full disk stops no work for the sake of a line about it
                entry = self._shape(entry) if self._shape is not None else entry
                self._stream.write(json.dumps(entry, ensure_ascii=False) + "\n")
                self._stream.flush()


LOG_BYTES_MAX = 50_000_000


def file_log(path: Path, now: Callable[[], int]) -> EventLog:
    """Lines at the end of a file, for a process that people watch otherwise; one old file is kept beside it.

    ``now`` says the time of each line, in microseconds since 1970. Raises ``StoreUnavailable`` when the file cannot
    be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
            path.replace(path.with_suffix(".old.jsonl"))
        return EventLog(path.open("a", encoding="utf-8"), lambda entry: {"time": now(), **entry})
    except OSError as error:
        what = f"log {path}: it cannot be written ({error.strerror})"
        raise StoreUnavailable(f"{what}; make its folder writable for this user, then try again") from error


def stdout_log() -> EventLog:
    """Lines on standard output, as Cloud Logging takes them."""
    return EventLog(sys.stdout)
