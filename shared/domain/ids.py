"""Deterministic ids: the same cause about the same thing always gives the same id."""

from __future__ import annotations

import hashlib

_SEPARATOR = "\x1f"  # cannot occur in a name, so that ("ab", "c") and ("a", "bc") differ


def derive(*parts: str | int, length: int = 32) -> str:
    """Hex digest of ``parts`` (SHA-256, first ``length`` characters); order matters."""
    text = _SEPARATOR.join(str(part) for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def batch_id(pipeline: str, uri: str, generation: str, sha256: str) -> str:
    """Id of one delivery under one pipeline: ``b`` + 20 hex digits."""
    return "b" + derive("batch", pipeline, uri, generation, sha256, length=20)


def incident_id(fingerprint: str, occurrence: int) -> str:
    """Id of the nth time (from 1) that a fingerprint is open: ``i`` + 12 hex digits."""
    return "i" + derive("incident", fingerprint, occurrence, length=12)


def remedy_id(incident: str, remedy: str, ordinal: int) -> str:
    """Id of the nth (from 1) try of a remedy on an incident: ``r`` + 12 hex digits."""
    return "r" + derive("remedy", incident, remedy, ordinal, length=12)


def event_id(event_type: str, cause_id: str, about: str) -> str:
    """Id of an event: what caused it and what it is about."""
    return derive("event", event_type, cause_id, about)
