"""Numbers about the running system."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Metrics(Protocol):
    """Never raises: a lost number is not worth a lost row."""

    def record(self, name: str, value: float, labels: Mapping[str, str] | None = None) -> None:
        """One observation of ``name`` (unit last: ``handler_ms``, ``rows_loaded``)."""
