"""An object that is made when it is first used: its libraries are a service's cold start."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any


class Lazily:
    """Stands for what ``make`` makes, once, whichever thread asks first."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: Any = None
        self._lock = Lock()

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._make()
        return getattr(self._made, name)

    def close(self) -> None:
        """Give back what was made, if anything was."""
        if self._made is not None:
            self._made.close()
