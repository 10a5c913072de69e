"""What a batch can be, and the place of its rows."""

from __future__ import annotations

from enum import StrEnum


class BatchState(StrEnum):
    """Where a batch stands; derived from the documents of the services that own its parts."""

    REGISTERED = "registered"
    STAGED = "staged"
    VALIDATED = "validated"
    LOADED = "loaded"
    HELD = "held"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"


class VerdictState(StrEnum):
    """What validate said of an attempt: rows released, nothing released until somebody decides, or refused."""

    RELEASED = "released"
    HELD = "held"
    REJECTED = "rejected"


class LoadState(StrEnum):
    """What became of an attempt's passed rows."""

    LOADED = "loaded"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
    IGNORED = "ignored"


def derive_state(*, duplicate: bool, staged: bool, verdicts: list[str], loads: list[str]) -> BatchState:
    """The state of a batch from its delivery, its verdicts (in attempt order) and the states of its loads.

    Rows of any attempt in the warehouse make it ``loaded``, even while the rest is in quarantine.
    """
    if duplicate:
        return BatchState.DUPLICATE
    if LoadState.LOADED in loads:
        return BatchState.LOADED
    if verdicts:
        last = verdicts[-1]
        if last == VerdictState.HELD:
            return BatchState.HELD
        if last == VerdictState.REJECTED:
            return BatchState.REJECTED
        return BatchState.VALIDATED
    return BatchState.STAGED if staged else BatchState.REGISTERED
