"""Ids from the system's source of randomness."""

from __future__ import annotations

import secrets


class SystemIds:
    """128 random bits each."""

    def new(self) -> str:
        """32 hex digits that nobody else has."""
        return secrets.token_hex(16)
