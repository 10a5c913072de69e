"""The store's own log: lines of JSON in a file, an older one beside it."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from shared.domain.errors import StoreUnavailable
from shared.ports.log_reader import LogEntry, entry_of


class FileLogReader:
    """Reads what a store's processes wrote."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def about(self, ids: Sequence[str], limit: int, since: int = 0) -> list[LogEntry]:
        """The last lines about one of these."""
        found: deque[LogEntry] = deque(maxlen=limit)
        wanted = frozenset(ids)
        written = [json.dumps(each, ensure_ascii=False) for each in wanted]
        for line in self._lines():
            if not any(each in line for each in written):
                continue
            try:
                said = json.loads(line)
            except (ValueError, RecursionError):
                continue  # a process was killed while it wrote
            if not isinstance(said, dict) or said.get("about") not in wanted:
                continue
            time = said.get("time")
            entry = entry_of(said, time if isinstance(time, int) else 0)
            if entry.time >= since:
                found.append(entry)
        return list(found)

    def _lines(self) -> Iterator[str]:
        for path in (self._path.with_suffix(".old.jsonl"), self._path):
            try:
                with path.open(encoding="utf-8", errors="replace") as file:
                    yield from file
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StoreUnavailable(f"log {path}: it cannot be read ({error.strerror})") from error
