"""Ids that no cause determines, such as the correlation id of a request from outside."""

from __future__ import annotations

from typing import Protocol


class Ids(Protocol):
    """Simulations give them from a seed."""

    def new(self) -> str:
        """32 hex digits that nobody else has."""
