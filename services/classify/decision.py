"""From a report to a diagnosis: structured evidence first, then words, then ``unknown``, said rather than guessed."""

from __future__ import annotations

import json
from typing import Any

from services.classify import dataset_findings, exception_types, spoken, structured, violations
from services.classify.diagnosis import Clue, Diagnosis, Evidence, cause_of, combined, diagnosed
from shared.domain.incident import ACTING_CONFIDENCE, FailureClass, Origin
from shared.events.types import IncidentOpened

_OWN_CLASSES = frozenset(
    {FailureClass.DISK_SPACE_FULL, FailureClass.PERMISSION_DENIED, FailureClass.MISSING_DEPENDENCY}
)
# Reasons that make plain what a 403, 400 or 429 alone leaves open: their status is no contradiction.
_EXPLAINED_STATUS = {400, 403, 409, 429, 500, 503}


def diagnose(report: IncidentOpened) -> Diagnosis:
    """What went wrong, as far as the report's evidence goes."""
    if report.origin == Origin.VIOLATION:
        return violations.violation(report.check, report.column, evidence_of(report))
    if report.origin == Origin.DATASET:
        return dataset_findings.finding(report.check, report.column, evidence_of(report))
    if report.origin == Origin.DEAD_LETTER:
        return _dead_letter(report)
    if report.origin == Origin.INTERNAL and report.system in ("", "mendline"):
        return _own(report)
    return _foreign(report)


def evidence_of(report: IncidentOpened) -> dict[str, Any]:
    """The report's evidence as a mapping; empty when it is none."""
    try:
        found = json.loads(report.evidence_json or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _dead_letter(report: IncidentOpened) -> Diagnosis:
    ours = bool(report.event_id) and evidence_of(report).get("replayable") is not False
    if ours:
        told = f"{report.service or 'A service'} could not handle an event within its deliveries; it can be replayed."
        return diagnosed("dead_letter", 0.95, told, [Evidence("event", "event_id", report.event_id[:64], 0.95)])
    told = "A message used up its deliveries and is no event of ours, so it cannot be replayed."
    return diagnosed("dead_letter_unreplayable", 0.95, told, [Evidence("event", "event_id", "", 0.95)])


def _own(report: IncidentOpened) -> Diagnosis:
    """Our own code failed: its error's type is the evidence."""
    name = exception_types.last_name(report.exception_type)
    evidence = [Evidence("event", "exception_type", report.exception_type[:200], 0.9)]
    if name in exception_types.OWN:
        cause = exception_types.OWN[name]
        return diagnosed(cause, 0.95, _told_own(cause, report), evidence)
    words = spoken.read(report.message, "os") if name in ("oserror", "permissionerror", "filenotfounderror") else None
    if words is not None and words.failure_class in _OWN_CLASSES:
        cause = cause_of(words.failure_class, report.origin)
        return diagnosed(cause, words.weight, _told_own(cause, report), [clue.evidence for clue in words.clues])
    return diagnosed("internal_error", 0.9, _told_own("internal_error", report), evidence)


def _told_own(cause: str, report: IncidentOpened) -> str:
    said = f": {report.message}" if report.message else ""
    kind = report.exception_type or "an error"
    if cause in ("definition_wrong", "definition_missing"):
        return f"A definition cannot be used as it is{said}"[:600]
    return f"{report.service or 'Mendline'} ended with {kind}{said}"[:600]


def _foreign(report: IncidentOpened) -> Diagnosis:
    clues = structured.clues_of(report)
    words = spoken.read(report.message, report.system)
    if clues and clues[0].evidence.weight > exception_types.WEAK_WEIGHT:
        return _by_structure(report, clues, words)
    if words is not None and words.failure_class != FailureClass.UNKNOWN:
        return _by_words(report, clues, words)
    if clues:
        return _by_structure(report, clues, None)
    return _unknown(report, words)


def _by_structure(report: IncidentOpened, clues: list[Clue], words: spoken.Spoken | None) -> Diagnosis:
    first = clues[0]
    if first.failure_class == FailureClass.UNKNOWN:
        told = f"{_system(report)} failed, and {first.meaning}: a mistake in code, or an end that was wished for."
        return diagnosed(cause_of(FailureClass.UNKNOWN, report.origin), 0.0, told, [first.evidence])
    counted = [clue for clue in clues if not _explained_status(first, clue)]
    if words is not None and words.failure_class == first.failure_class:
        counted = [*counted, *words.clues[:1]]  # words that agree support it; those that do not, anybody can write
    cause = first.cause or cause_of(first.failure_class, report.origin)
    told = f"{_system(report)} failed, and {first.meaning}."
    return diagnosed(cause, combined(counted), told, [clue.evidence for clue in [first, *counted[1:]]])


def _explained_status(first: Clue, clue: Clue) -> bool:
    """A reason says more than the status it came with."""
    return (
        clue is not first
        and first.evidence.field == "reason"
        and clue.evidence.field == "http_status"
        and clue.failure_class != first.failure_class
        and int(clue.evidence.value) in _EXPLAINED_STATUS
    )


def _by_words(report: IncidentOpened, clues: list[Clue], words: spoken.Spoken) -> Diagnosis:
    confidence = words.weight
    agreeing = [clue for clue in clues if clue.failure_class == words.failure_class]
    if clues:
        confidence = confidence + (1 - confidence) * 0.25 if agreeing else confidence * 0.85
    told = f"{_system(report)} failed, and {words.clues[0].meaning}."
    evidence = [clue.evidence for clue in (*words.clues, *agreeing)]
    cause = cause_of(words.failure_class, report.origin)
    return diagnosed(cause, confidence, told, evidence)


def _unknown(report: IncidentOpened, words: spoken.Spoken | None) -> Diagnosis:
    """Said rather than guessed; the confidence is how surely the failure is of none of the classes."""
    cause = cause_of(FailureClass.UNKNOWN, report.origin)
    if words is not None and words.clues and words.weight >= ACTING_CONFIDENCE:
        told = f"{_system(report)} failed, and {words.clues[0].meaning}: a failure of none of the known classes."
        return diagnosed(cause, words.weight, told, [clue.evidence for clue in words.clues])
    told = f"{_system(report)} failed, and nothing in the report is like a failure that is known."
    return diagnosed(cause, words.weight if words is not None else 0.0, told, [])


def _system(report: IncidentOpened) -> str:
    return report.system or report.service or "A system"
