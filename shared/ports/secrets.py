"""Secrets by name."""

from __future__ import annotations

from typing import Protocol


class Secrets(Protocol):
    """Values are never logged and never put into events or state."""

    def get(self, name: str) -> str | None:
        """The secret's value, or None when there is none of that name."""
