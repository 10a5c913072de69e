"""Numbers about the running system, as log lines that log-based metrics count."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import TextIO


class LogMetrics:
    """One structured line an observation.

    Cloud Monitoring takes one point per series and some seconds, and counts by log-based metrics what it reads here;
    so handling an event waits for no other service. ``infra/monitoring`` says which lines become which metric.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def record(self, name: str, value: float, labels: Mapping[str, str] | None = None) -> None:
        """Write the observation; what cannot be written is lost."""
        line = {"severity": "DEBUG", "metric": name, "value": value, "labels": dict(labels or {})}
        with suppress(OSError, TypeError, ValueError):
            self._stream.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
            self._stream.flush()
