"""Remedies: tiers, states, modes and their legal moves."""

from __future__ import annotations

from enum import StrEnum


class Tier(StrEnum):
    """How much a remedy can harm."""

    SAFE = "safe"  # no lasting effect outside Mendline, undone trivially
    GUARDED = "guarded"  # changes data or settings, can be undone
    DANGEROUS = "dangerous"  # rights, deletions, code or dependency changes: never alone


class Mode(StrEnum):
    """How far a pipeline lets remedies go by themselves."""

    OBSERVE = "observe"
    PROPOSE = "propose"
    GUARDED = "guarded"
    AUTONOMOUS = "autonomous"


class RemedyState(StrEnum):
    """Where a remedy stands."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"
    APPLIED = "applied"
    VERIFIED = "verified"
    FAILED = "failed"
    UNDONE = "undone"
    EXPIRED = "expired"


_MOVES: dict[RemedyState, frozenset[RemedyState]] = {
    RemedyState.PROPOSED: frozenset({RemedyState.APPROVED, RemedyState.REJECTED, RemedyState.EXPIRED}),
    RemedyState.APPROVED: frozenset({RemedyState.APPLIED, RemedyState.FAILED}),
    RemedyState.APPLIED: frozenset({RemedyState.VERIFIED, RemedyState.FAILED}),
    RemedyState.VERIFIED: frozenset({RemedyState.UNDONE}),
    RemedyState.FAILED: frozenset({RemedyState.UNDONE}),
    RemedyState.REJECTED: frozenset(),
    RemedyState.UNDONE: frozenset(),
    RemedyState.EXPIRED: frozenset(),
}


def may_move(old: RemedyState, new: RemedyState) -> bool:
    """True when a remedy in state ``old`` may become ``new``."""
    return new in _MOVES[old]
