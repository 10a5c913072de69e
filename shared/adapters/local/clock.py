"""The system's clock."""

from __future__ import annotations

import time


class SystemClock:
    """Wall time, monotonic time and real sleep."""

    def now(self) -> int:
        """Microseconds since 1970, UTC."""
        return time.time_ns() // 1_000

    def monotonic(self) -> float:
        """Seconds from some start, never going back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let time pass; nothing happens for less than nothing."""
        time.sleep(max(0.0, seconds))
