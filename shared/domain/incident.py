"""Incidents: their origins, states, failure classes and fingerprints."""

from __future__ import annotations

from enum import StrEnum


class Origin(StrEnum):
    """Who saw the failure."""

    VIOLATION = "violation"  # rows or cells of a batch break their contract
    DATASET = "dataset"  # a whole batch does: columns, row count, score, drift, truncation
    SOURCE = "source"  # a source did not answer, or not properly
    DESTINATION = "destination"  # the warehouse refused
    SIGNAL = "signal"  # somebody else's pipeline reported a failure
    DEAD_LETTER = "dead_letter"  # an event used up its deliveries
    INTERNAL = "internal"  # our own handler failed for good


class IncidentState(StrEnum):
    """Where an incident stands."""

    OPEN = "open"
    CLASSIFIED = "classified"
    HEALING = "healing"
    WAITING = "waiting"
    HEALED = "healed"
    ESCALATED = "escalated"
    DISMISSED = "dismissed"


# From here on a diagnosis that rests on a message's words alone is sure enough to be acted upon without a person.
# On messages that the text model had not seen, some 94 of 100 that were so sure were right.
ACTING_CONFIDENCE = 0.85
CLOSED = frozenset({IncidentState.HEALED, IncidentState.ESCALATED, IncidentState.DISMISSED})


class FailureClass(StrEnum):
    """First level of the taxonomy; the finer causes stand in ``taxonomy.toml``."""

    PERMISSION_DENIED = "permission_denied"
    AUTHENTICATION_FAILURE = "authentication_failure"
    NETWORK_TIMEOUT = "network_timeout"
    TIMEOUT_EXCEEDED = "timeout_exceeded"
    RATE_LIMITING = "rate_limiting"
    RESOURCE_EXHAUSTION = "resource_exhaustion"
    MEMORY_LEAK = "memory_leak"
    DISK_SPACE_FULL = "disk_space_full"
    SCHEMA_MISMATCH = "schema_mismatch"
    DATA_CORRUPTION = "data_corruption"
    MISSING_DEPENDENCY = "missing_dependency"
    CONFIGURATION_ERROR = "configuration_error"
    UNKNOWN = "unknown"


def batch_fingerprint(pipeline: str, batch: str, check: str, column: str) -> str:
    """Fingerprint of a finding in a batch: all its attempts report into one incident."""
    return f"{pipeline}|{batch}|{check}|{column}"
