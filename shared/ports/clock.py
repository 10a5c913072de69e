"""Time, as an argument."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """The present; simulations turn it by hand."""

    def now(self) -> int:
        """Microseconds since 1970, UTC."""

    def monotonic(self) -> float:
        """Seconds from some start, never going back; only differences mean anything."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
