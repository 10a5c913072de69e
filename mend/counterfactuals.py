"""What would have changed a verdict: the diagnosis made again without one piece of the evidence at a time.

Of a message the pieces are the whole, its clauses, and its words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from services.classify import wording
from services.classify.decision import diagnose
from services.classify.diagnosis import Diagnosis
from services.classify.records import report_of
from shared.domain.incident import ACTING_CONFIDENCE
from shared.events.types import IncidentOpened

TRIED_MAX: Final = 24
CLAUSES_MAX: Final = 8
WORDS_MAX: Final = 32
_SHOWN_MAX: Final = 6  # words that decide
_QUOTED_MAX: Final = 60
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z_.'-]{2,60}")
_FIELDS: Final = ("reason", "sqlstate", "grpc_status", "exception_type", "http_status", "exit_code", "message")
# What a finding is about, and what holds the other pieces, is no evidence by itself.
_ABOUT: Final = frozenset({"check", "column", "columns", "rows", "logical_type", "severity", "diagnosis", "hypotheses"})


def would_change(incident: dict[str, Any]) -> list[dict[str, Any]]:
    """Each piece without which the cause would be another one, or too doubtful to act on: what would be said then.

    The diagnosis is made by the same rules that made the one that is shown, without what people said of failures like
    it. An empty list says that no single piece decides.
    """
    report = report_of(incident)
    as_it_is = diagnose(report)
    found = [*_changing(as_it_is, _without_one(report)), *_changing(as_it_is, _without_a_clause(report))]
    return found + sorted(_changing(as_it_is, _without_a_word(report)), key=_least_sure)[:_SHOWN_MAX]


def _changing(as_it_is: Diagnosis, tried: Iterator[tuple[str, IncidentOpened]]) -> list[dict[str, Any]]:
    found = []
    for name, without in tried:
        then = diagnose(without)
        if _verdict(then) != _verdict(as_it_is):
            told = {"failure_class": str(then.failure_class), "cause": then.cause, "confidence": then.confidence}
            found.append({"without": name, **told})
    return found


def _least_sure(changed: dict[str, Any]) -> float:
    return float(changed["confidence"])


def _verdict(diagnosis: Diagnosis) -> tuple[str, bool]:
    return diagnosis.cause, diagnosis.confidence >= ACTING_CONFIDENCE


def _without_one(report: IncidentOpened) -> Iterator[tuple[str, IncidentOpened]]:
    empty = {name: type(getattr(report, name))() for name in _FIELDS}
    for name in _FIELDS:
        if getattr(report, name):
            yield name, report.model_copy(update={name: empty[name]})
    try:
        evidence = json.loads(report.evidence_json or "{}")
    except ValueError:
        return
    if not isinstance(evidence, dict):
        return
    guesses = evidence.get("hypotheses")
    places: list[tuple[str, ...]] = [(name,) for name in evidence if name not in _ABOUT]
    places += [("hypotheses", name) for name in guesses] if isinstance(guesses, dict) else []
    for place in places[:TRIED_MAX]:
        yield place[-1], report.model_copy(update={"evidence_json": _less(evidence, place)})


def _without_a_clause(report: IncidentOpened) -> Iterator[tuple[str, IncidentOpened]]:
    """The message without one of its clauses, read in the order of their weight."""
    clauses = wording.clauses(report.message)[:CLAUSES_MAX]
    for number, clause in enumerate(clauses) if len(clauses) > 1 else ():
        rest = "\n".join(clauses[:number] + clauses[number + 1 :])
        yield f"“{_cut(clause)}”", report.model_copy(update={"message": rest})


def _without_a_word(report: IncidentOpened) -> Iterator[tuple[str, IncidentOpened]]:
    """The message without one of its words, wherever it stands."""
    words = dict.fromkeys(found.group() for found in _WORD.finditer(report.message))
    for word in list(words)[:WORDS_MAX] if len(words) > 1 else ():
        rest = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", "", report.message)
        yield f"the word {word}", report.model_copy(update={"message": rest})


def _cut(text: str) -> str:
    return text if len(text) <= _QUOTED_MAX else f"{text[: _QUOTED_MAX - 1]}…"


def _less(evidence: dict[str, Any], place: tuple[str, ...]) -> str:
    inner = {**evidence["hypotheses"]} if len(place) == 2 else {}
    inner.pop(place[-1], None)
    fewer = {name: value for name, value in evidence.items() if (name,) != place}
    return json.dumps({**fewer, "hypotheses": inner} if len(place) == 2 else fewer, ensure_ascii=False)
