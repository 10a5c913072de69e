"""What the classifier says of an incident, and the written rules that its confidence follows.

Confidence is a number for the policy, so it is principled and never 1. Each piece of evidence has a weight: how often
it alone names the right class.

- The highest-ranking piece decides (reason codes, then SQLSTATE, gRPC, exception types, HTTP status, exit codes,
  and words last); its weight is the start.
- A lower-ranking piece that agrees closes half of its own weight's share of the remaining doubt.
- A lower-ranking piece that disagrees takes 15 % off.
- The confidence of words alone is the text model's, calibrated on messages it had not seen. Anybody can write words,
  so remediate counts a diagnosis that rests on them alone as at most 0.75, and one that is less sure than
  ``ACTING_CONFIDENCE`` as at most 0.55: no remedy that changes data runs by itself because of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from shared.domain.causes import CAUSES, failure_class_of
from shared.domain.checks import check
from shared.domain.incident import FailureClass, Origin

CONFIDENCE_MAX = 0.98
EVIDENCE_MAX = 12
EXPLANATION_CHARACTERS_MAX = 1_000


class Evidence(NamedTuple):
    """One thing the diagnosis rests on: where it came from, what it is, and how much it weighs (0 … 1)."""

    # event | profile | words | person (feedback on it, or one like it) | knowledge (an entry) | circumstances, which
    # weigh nothing
    source: str
    field: str
    value: str
    weight: float


class Diagnosis(NamedTuple):
    """What went wrong, as far as the evidence goes."""

    failure_class: FailureClass
    cause: str
    confidence: float
    explanation: str
    evidence: tuple[Evidence, ...] = ()


class Clue(NamedTuple):
    """A piece of evidence that points at a failure class; ``cause`` "" leaves the cause to the incident's origin."""

    failure_class: FailureClass
    evidence: Evidence
    meaning: str
    cause: str = ""


def diagnosed(cause: str, confidence: float, explanation: str, evidence: Sequence[Evidence]) -> Diagnosis:
    """A diagnosis of a known cause, bounded."""
    check(cause in CAUSES, f"{cause} is not in the table of causes")
    bounded = round(min(max(confidence, 0.0), CONFIDENCE_MAX), 3)
    heaviest = sorted(evidence, key=lambda each: -each.weight)[:EVIDENCE_MAX]
    return Diagnosis(failure_class_of(cause), cause, bounded, explanation[:EXPLANATION_CHARACTERS_MAX], tuple(heaviest))


def combined(clues: Sequence[Clue]) -> float:
    """Confidence in the first clue's class, given the others in order of rank."""
    confidence = clues[0].evidence.weight
    for clue in clues[1:]:
        if clue.failure_class == clues[0].failure_class:
            confidence += (1 - confidence) * clue.evidence.weight / 2
        else:
            confidence *= 0.85
    return confidence


_C = FailureClass
_EXTERNAL: dict[FailureClass, str] = {
    _C.PERMISSION_DENIED: "external_permission",
    _C.AUTHENTICATION_FAILURE: "external_authentication",
    _C.NETWORK_TIMEOUT: "external_network",
    _C.TIMEOUT_EXCEEDED: "external_timeout",
    _C.RATE_LIMITING: "external_rate_limit",
    _C.RESOURCE_EXHAUSTION: "external_resources",
    _C.MEMORY_LEAK: "external_memory",
    _C.DISK_SPACE_FULL: "external_disk",
    _C.SCHEMA_MISMATCH: "external_schema",
    _C.DATA_CORRUPTION: "external_data",
    _C.MISSING_DEPENDENCY: "external_dependency",
    _C.CONFIGURATION_ERROR: "external_configuration",
    _C.UNKNOWN: "external_failure",
}
_BY_ORIGIN: dict[str, dict[FailureClass, str]] = {
    Origin.SOURCE: {
        _C.PERMISSION_DENIED: "source_forbidden",
        _C.AUTHENTICATION_FAILURE: "source_login_failed",
        _C.NETWORK_TIMEOUT: "source_unavailable",
        _C.TIMEOUT_EXCEEDED: "source_unavailable",
        _C.RATE_LIMITING: "source_rate_limited",
        _C.MISSING_DEPENDENCY: "source_missing",
        _C.DATA_CORRUPTION: "truncated_delivery",
        _C.UNKNOWN: "unknown",
    },
    Origin.DESTINATION: {
        _C.PERMISSION_DENIED: "destination_forbidden",
        _C.AUTHENTICATION_FAILURE: "destination_forbidden",
        _C.NETWORK_TIMEOUT: "destination_unavailable",
        _C.TIMEOUT_EXCEEDED: "destination_unavailable",
        _C.RATE_LIMITING: "destination_quota",
        _C.SCHEMA_MISMATCH: "destination_schema",
        _C.DATA_CORRUPTION: "destination_refused",
        _C.MISSING_DEPENDENCY: "destination_refused",
        _C.CONFIGURATION_ERROR: "destination_refused",
        _C.UNKNOWN: "unknown",
    },
    Origin.INTERNAL: {
        _C.DISK_SPACE_FULL: "disk_full",
        _C.CONFIGURATION_ERROR: "definition_wrong",
        _C.UNKNOWN: "internal_error",
    },
}


def cause_of(failure_class: FailureClass, origin: str) -> str:
    """The cause that a failure class is for whoever saw it."""
    return _BY_ORIGIN.get(origin, {}).get(failure_class) or _EXTERNAL[failure_class]
