"""The one way to state an invariant in product code (`assert` vanishes under `python -O`)."""

from __future__ import annotations

from shared.domain.errors import InvariantBroken


def check(holds: bool, what: str) -> None:
    """Raise ``InvariantBroken(what)`` unless ``holds``; ``what`` names the broken promise, without cell values."""
    if not holds:
        raise InvariantBroken(what)
