"""Numbers about the running system as JSON lines in a file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from shared.ports.clock import Clock

FILE_BYTES_MAX = 50_000_000
_RECORDS_BETWEEN_LOOKS = 1_000


class JsonLinesMetrics:
    """One line an observation; a file that has grown large becomes ``<name>.1``, and the one before goes."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._descriptor = -1
        self._records = 0

    def record(self, name: str, value: float, labels: Mapping[str, str] | None = None) -> None:
        """Append the observation; what cannot be written is lost."""
        line = {"time": self._clock.now(), "name": name, "value": value, **({"labels": dict(labels)} if labels else {})}
        try:
            text = json.dumps(line, separators=(",", ":"))
            if self._descriptor < 0 or self._records % _RECORDS_BETWEEN_LOOKS == 0:
                self._open()
            self._records += 1
            os.write(self._descriptor, f"{text}\n".encode())
        except (OSError, TypeError, ValueError):
            return

    def close(self) -> None:
        """Give the file back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        self.close()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists() and self._path.stat().st_size > FILE_BYTES_MAX:
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
